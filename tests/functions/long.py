"""A function that outlasts RabbitMQ's patience of two or three heartbeats of two seconds.

It tells if the main thread and the thread of Heartbeats work on the connection at the same time.
"""

import threading
import time

from pika import BlockingConnection

import rpc_server

rpc_server.POLL_SECONDS = 0.1
real_fib, process = rpc_server.fib, BlockingConnection.process_data_events
TWO_THREADS = " [!] two threads work on the connection"
main_thread_has_left = False  # while the connection is in the hands of Heartbeats' thread
thread_polls = False


def fib(n):
    """Sleep if n is odd, else keep Python busy."""
    assert threading.current_thread() is threading.main_thread()
    end = time.monotonic() + 6.3
    time.sleep(6.3 * (n % 2))
    while time.monotonic() < end:
        pass
    return real_fib(n)


class Heartbeats(rpc_server.Heartbeats):
    def __enter__(self):
        global main_thread_has_left
        main_thread_has_left = True
        super().__enter__()

    def __exit__(self, *error):
        global main_thread_has_left
        super().__exit__(*error)
        main_thread_has_left = False
        if thread_polls:
            print(TWO_THREADS, flush=True)


def process_slowly(connection, time_limit=0):
    global thread_polls
    if threading.current_thread() is threading.main_thread():
        return process(connection, time_limit)
    if not main_thread_has_left:
        print(TWO_THREADS, flush=True)
    thread_polls = True
    time.sleep(0.2)
    process(connection, time_limit)
    thread_polls = False


BlockingConnection.process_data_events = process_slowly
rpc_server.Heartbeats = Heartbeats
