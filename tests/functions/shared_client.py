"""A program whose forked children and main process ask through one client at the same time."""

import multiprocessing

from rpc_client import FibonacciRpcClient
from rpc_server import fib

client, numbers = FibonacciRpcClient(), range(100)


def call(n):
    return client.call(n)


if __name__ == "__main__":
    client.connect()
    with multiprocessing.get_context("fork").Pool(4) as pool:
        children = pool.map_async(call, numbers, chunksize=1)
        assert list(map(call, numbers)) == children.get() == list(map(fib, numbers))
    client.call(30)
    client.close()
    print("all answers are right")
