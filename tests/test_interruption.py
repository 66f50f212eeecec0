"""Whatever interrupts a call, at whatever moment, leaves a client that works."""

import concurrent.futures
import itertools
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pika
import pytest
from wire import waiting

import rpc_client

OURS, PIKA = rpc_client.__file__, str(Path(pika.__file__).parent)
THREADS = threading.__file__, concurrent.futures.__path__[0]


class Interrupt(BaseException):
    """What a signal handler raises: Ctrl-C's KeyboardInterrupt, a task queue's time limit."""


def interrupted(call, files, moment):
    """Make the call, interrupt it at such a moment in the code of these files; was it?

    Python handles a signal when a function begins and when one in C returns, as a profiler sees.
    The lock of a `with` in the standard library is left out: on Python 3.14, what interrupts
    threading there leaves its _active_limbo_lock held, and no thread can start any more.
    """
    moments = 0

    def profile(frame, event, function):
        nonlocal moments
        file, name = frame.f_code.co_filename, getattr(function, "__name__", None)
        if name == "__enter__" and file != rpc_client.__file__:
            return
        if event in ("call", "c_return") and file.startswith(files):
            moments += 1
            if moments == moment:
                raise Interrupt

    sys.setprofile(profile)
    try:
        call()
    except (Interrupt, TimeoutError, RuntimeError):  # of threading, for its interrupted Condition
        pass
    finally:
        sys.setprofile(None)
    return moments >= moment


@pytest.mark.parametrize(
    ("timeout", "files", "step", "least"),
    [(10, (OURS,), 1, 10), (1e-9, (OURS, *THREADS), 1, 30), (10, (PIKA,), 7, 300)],
    ids=["in a call", "in its diagnosis", "in pika"],
)
def test_client_interrupted_at_any_moment_calls_again(client, server, timeout, files, step, least):
    for moment in itertools.count(1, step):
        if not interrupted(lambda: client.call(30, timeout), files, moment):
            break
        start = time.monotonic()
        assert client.call(30, timeout=1) == 832040, moment
        assert time.monotonic() - start < 1, moment
    assert moment > least


def test_time_limit_of_any_type_ends_a_call_and_sends_nothing_again(client, rpc_queue, channel):
    def handler(*_):
        raise TimeoutError("the caller's own")

    before = signal.signal(signal.SIGUSR1, handler)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    with pytest.raises(TimeoutError, match=r"^the caller's own$"):
        client.call(30, timeout=5)
    signal.signal(signal.SIGUSR1, before)
    assert waiting(channel) == 1
