"""A function that outlasts RabbitMQ's patience of two or three heartbeats of two seconds.

The connection is the main thread's: it is told if another thread works on it.
"""

import threading
import time

from pika import BlockingConnection

import rpc_server

real_fib, process = rpc_server.fib, BlockingConnection.process_data_events


def fib(n):
    """Sleep if n is odd, else keep Python busy."""
    end = time.monotonic() + 6.3
    time.sleep(6.3 * (n % 2))
    while time.monotonic() < end:
        pass
    return real_fib(n)


def process_in_main_thread(connection, time_limit=0):
    if threading.current_thread() is not threading.main_thread():
        print(" [!] another thread works on the connection", flush=True)
    process(connection, time_limit)


BlockingConnection.process_data_events = process_in_main_thread
