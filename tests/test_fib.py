"""fib() is exact."""

import rpc_server
from rpc_server import fib

KNOWN = {0: 0, 1: 1, 2: 1, 3: 2, 10: 55, 30: 832040, 93: 12200160415121876738}


def test_fib_has_the_known_values_and_doubles_exactly_up_to_20000():
    assert {n: fib(n) for n in KNOWN} == KNOWN
    for n in [*range(1000), *range(1000, rpc_server.MAX_N // 2 + 1, 250)]:
        assert fib(2 * n) == fib(n) * (2 * fib(n + 1) - fib(n)), n
        assert fib(2 * n + 1) == fib(n) ** 2 + fib(n + 1) ** 2, n
    assert len(str(fib(rpc_server.MAX_N))) == 4180


def test_call_returns_what_fib_returns_up_to_its_4180_digits(server, client):
    for n in (0, 1, 2, 30, 93, 20_000):
        assert client.call(n) == rpc_server.fib(n)
