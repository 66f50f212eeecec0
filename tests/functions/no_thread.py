"""The first thread that is not pika's cannot start, as in a container with a limit of threads."""

import threading

start = threading.Thread.start


def fail_once(thread):
    if "(run)" not in thread.name:
        return start(thread)
    threading.Thread.start = start
    raise RuntimeError("can't start new thread")


threading.Thread.start = fail_once
