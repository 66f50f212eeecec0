"""fib() is exact."""

import sys

import rpc_server


def test_fib_is_exact_from_0_to_20000():
    a, b = 0, 1
    for n in range(rpc_server.MAX_N + 1):
        assert rpc_server.fib(n) == a, n
        a, b = b, a + b


def test_longest_result_is_one_that_python_reads():
    digits = len(str(rpc_server.fib(rpc_server.MAX_N)))
    assert digits == 4180 < sys.int_info.default_max_str_digits


def test_call_returns_what_fib_returns(server, client):
    for n in (0, 1, 2, 30, 93, 20_000):
        assert client.call(n) == rpc_server.fib(n)
