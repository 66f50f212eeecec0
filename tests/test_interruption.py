"""Whatever interrupts a call leaves a client that works."""

import concurrent.futures
import itertools
import signal
import sys
import threading
from functools import partial
from pathlib import Path

import pika
import pytest
from brokers import afterwards, takes, wait_until
from relay import NEVER_DEAD
from wire import waiting

import rpc_client
from rpc_client import FibonacciRpcClient, RpcClient, RpcError

OURS, PIKA = rpc_client.__file__, str(Path(pika.__file__).parent)
THREADS = threading.__file__, concurrent.futures.__path__[0]


class Interrupt(BaseException):
    """What a signal handler raises: Ctrl-C's KeyboardInterrupt, a task queue's time limit."""


def interrupted(call, files, moment):
    """Make the call, interrupt it at such a moment in the code of these files; was it?

    Python handles a signal when a function begins and when one in C returns, as a profiler sees.
    The lock of a `with` in the standard library is left out: on 3.14, no thread could start after.
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
    except (Interrupt, AssertionError, RuntimeError):  # of threading, for its interrupted Condition
        pass
    finally:
        sys.setprofile(None)
    return moments >= moment


def fib_30(client):
    client.call(30)


def no_answer(client):
    """The call ends in a diagnosis, as this queue has no server."""
    client.queue = "idle_queue"
    try:
        with pytest.raises(RpcError):
            client.call(30, timeout=0.02)
    finally:
        client.queue = "rpc_queue"


def moments_after_which_it_calls_again(client, call, files, step):
    """Interrupt this call at each of its moments, or each `step`th; return how many there are."""
    for moment in itertools.count(1, step):
        if not interrupted(partial(call, client), files, moment):
            return moment
        assert client.call(30, timeout=2) == 832040, moment


CALLS = [(fib_30, (OURS,), 1, 10), (fib_30, (PIKA,), 7, 300)]
CALLS += [(no_answer, (OURS, *THREADS), 1, 50), (RpcClient.close, (OURS, *THREADS), 1, 30)]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # threading's
@pytest.mark.parametrize(("call", "files", "step", "least"), CALLS)
@pytest.mark.usefixtures("server")
def test_interrupted_client_calls_again(client, channel, call, files, step, least):
    channel.queue_declare("idle_queue", durable=True)
    with afterwards(channel.queue_delete, "idle_queue"):
        assert moments_after_which_it_calls_again(client, call, files, step) > least


class TimeLimit(Exception):
    """As Celery's SoftTimeLimitExceeded and RQ's JobTimeoutException: no BaseException."""


STEPS = {  # what hangs once the broker has given so many answers
    "connect, no answer": (0, lambda client, url: FibonacciRpcClient(url).connect(60)),
    "connect, no queue": (4, lambda client, url: FibonacciRpcClient(url).connect(60)),
    "call, no answer": (0, lambda client, url: client.call(30, timeout=60)),
    "wait": (NEVER_DEAD, lambda client, url: client.call(30, timeout=60)),
    "diagnose": (0, lambda client, url: client.call(30, timeout=0.1)),
    "close": (0, lambda client, url: client.close()),
}


@pytest.mark.parametrize("error", [TimeLimit(), TimeoutError("its own"), Interrupt()], ids=type)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.usefixtures("rpc_queue", "threads_before")
def test_time_limit_ends(step, error, way, far_client, channel, start_server, monkeypatch):
    monkeypatch.setattr("rpc_client.GRACE_SECONDS", 60)
    way.answers, hang = STEPS[step]
    if step == "call, no answer":
        way.cut()

    def interrupt(*_):
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise error

    signal.signal(signal.SIGALRM, interrupt)
    with takes(0.1, 3):
        # Again after a second: Python sleeps on if a signal comes just before it falls asleep.
        signal.setitimer(signal.ITIMER_REAL, 0.15, 1)
        with pytest.raises(type(error)) as raised:
            hang(far_client, way.url)
    assert raised.value is error
    assert step != "wait" or waiting(channel) == 1  # nothing is sent again
    del raised
    error.with_traceback(None)  # A traceback's frames hold what they work on.
    way.answers = NEVER_DEAD
    way.revived.set()
    wait_until(3, way.closed)
    start_server()
    assert far_client.call(30) == 832040
