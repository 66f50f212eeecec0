"""A function that takes longer than RabbitMQ waits for heartbeats of two seconds."""

import threading
import time

from pika import BlockingConnection

import rpc_server

rpc_server.POLL_SECONDS = 0.1
computing = False
real_fib, process = rpc_server.fib, BlockingConnection.process_data_events


def fib(n):
    """Sleep if n is odd, else keep Python busy."""
    global computing
    assert threading.current_thread() is threading.main_thread()
    computing, end = True, time.monotonic() + 6.3
    time.sleep(6.3 * (n % 2))
    while time.monotonic() < end:
        pass
    computing = False
    return real_fib(n)


def process_alone(connection, time_limit=0):
    if threading.current_thread() is not threading.main_thread() and not computing:
        print(" [!] two threads work on the connection", flush=True)
    process(connection, time_limit)


BlockingConnection.process_data_events = process_alone
