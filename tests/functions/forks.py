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
    started = forking.Barrier(3)
    with forking.Pool(2, started.wait) as pool:
        started.wait()  # a SIGTERM before would be lost, and the pool wait for ever
        return sum(pool.map(int, range(n)))
