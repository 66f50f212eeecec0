"""The first two threads that are not pika's cannot start, as in a container with few threads."""

import threading

import rpc_server

start, reasons = threading.Thread.start, ["can't start new thread", "nor one that closes"]


def fail_twice(thread):
    if reasons and "(run)" in thread.name:
        raise RuntimeError(reasons.pop(0))
    start(thread)


threading.Thread.start = fail_twice
rpc_server.MIN_PAUSE_SECONDS = rpc_server.MAX_PAUSE_SECONDS = 0.1
