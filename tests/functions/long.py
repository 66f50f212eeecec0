"""A function that takes longer than RabbitMQ waits for heartbeats of two seconds."""

import threading
import time

from pika import BlockingConnection

import rpc_server

rpc_server.POLL_SECONDS = 0.1
handed_over = polling = False
TWO_THREADS = " [!] two threads work on the connection"
real_fib, process = rpc_server.fib, BlockingConnection.process_data_events


def fib(n):
    """Sleep if n is odd, else keep Python busy."""
    assert threading.current_thread() is threading.main_thread()
    end = time.monotonic() + 6.3
    time.sleep(6.3 * (n % 2))
    while time.monotonic() < end:
        pass
    return real_fib(n)


class Heartbeats(rpc_server.Heartbeats):
    """Tells whether its thread polls while the main thread has the connection."""

    def __enter__(self):
        global handed_over
        handed_over = True
        super().__enter__()

    def __exit__(self, *error):
        global handed_over
        super().__exit__(*error)
        handed_over = False
        if polling:
            print(TWO_THREADS, flush=True)


def process_slowly(connection, time_limit=0):
    global polling
    if threading.current_thread() is threading.main_thread():
        return process(connection, time_limit)
    if not handed_over:
        print(TWO_THREADS, flush=True)
    polling = True
    time.sleep(0.2)
    process(connection, time_limit)
    polling = False


BlockingConnection.process_data_events = process_slowly
rpc_server.Heartbeats = Heartbeats
