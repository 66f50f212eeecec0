"""A function that forks: it ends one child by SIGTERM, and has a pool of others do its work."""

import multiprocessing
import time

forking = multiprocessing.get_context("fork")


def wait_for_sigterm(ready):
    ready.set()
    time.sleep(60)


def fib(n):
    """Return the sum of the numbers below n."""
    ready = forking.Event()
    child = forking.Process(target=wait_for_sigterm, args=(ready,))
    child.start()
    ready.wait()
    child.terminate()
    child.join()
    with forking.Pool(2) as pool:
        return sum(pool.map(int, range(n)))
