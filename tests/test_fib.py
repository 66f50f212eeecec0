"""fib() is exact."""

import rpc_server


def test_fib_is_exact_from_0_to_20000():
    a, b = 0, 1
    for n in range(rpc_server.MAX_N + 1):
        if n < 2000 or n % 500 == 0:
            assert rpc_server.fib(n) == a, n
        a, b = b, a + b
    assert len(str(rpc_server.fib(rpc_server.MAX_N))) == 4180


def test_call_returns_what_fib_returns_up_to_its_4180_digits(server, client):
    for n in (0, 1, 2, 30, 93, 20_000):
        assert client.call(n) == rpc_server.fib(n)
