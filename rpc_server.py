#!/usr/bin/env python
"""RPC server over RabbitMQ: consumes rpc_queue, computes Fibonacci numbers, replies.

Run `python rpc_server.py`, several times for more load; AMQP_URL names the broker. The design is
that of https://www.rabbitmq.com/tutorials/tutorial-six-python; each line beyond it answers a
failure that it names.
"""

import functools
import os
import random
import re
import signal
import socket
import ssl
import sys
import threading
import time
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError, ChannelClosedByBroker, ConsumerCancelled, StreamLostError

DEFAULT_URL = "amqp://guest:guest@localhost:5672/%2F"
QUEUE = "rpc_queue"
MAX_N = 20_000  # fib(20_000) has 4,180 digits; Python reads none longer than 4,300 by default
TICK_SECONDS = 0.4  # within this an idle server notices that it is to stop
CLOSE_SECONDS = 0.3  # what a goodbye may take: pika would wait half a minute for a frozen broker
MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.5, 4.0  # between two attempts to connect

# What pika raises for a broker that it can't talk to, and the broker's words for what waiting does
# not mend (unlike a virtual host that "is down" or a connection limit that "is reached").
LOST = (AMQPError, AMQPConnectorException, socket.gaierror, ssl.SSLError, ConnectionResetError)
UNESCAPED = "//[^/?#]*[/?#].*@"  # a password cut short: its rest would be shown as a host or port
FINAL = "CERTIFICATE_VERIFY_FAILED|ACCESS_REFUSED|NOT_ALLOWED(?!.* is (down|reached))"

say = functools.partial(print, flush=True)  # line by line, through a pipe too


def fib(n: int) -> int:
    """Return F(n), exact, by fast doubling: F(2k) and F(2k+1) come from F(k) and F(k+1)."""
    a, b = 0, 1
    for bit in f"{n:b}":
        a, b = a * (2 * b - a), a * a + b * b
        if bit == "1":
            a, b = b, a + b
    return a


def answer(body: bytes) -> tuple[bytes, str | None]:
    """Return the reply to a request, and its AMQP `type`: "error" if it was refused or failed."""
    # The length goes first: int() of a megabyte of digits would outlast the heartbeats.
    if not (body.isdigit() and len(body) <= len(str(MAX_N)) and int(body) <= MAX_N):
        return b"send a whole number from 0 to %d as decimal digits" % MAX_N, "error"
    try:
        return b"%d" % fib(int(body)), None
    except Exception as error:  # whatever it is, the client gets to know and the server lives on
        words = f"{type(error).__name__}: {error}"
        return words[:200].encode(errors="backslashreplace"), "error"


def reply(ch: BlockingChannel, props: pika.BasicProperties, body: bytes) -> None:
    """Answer a request where it says, and show it on the terminal, escaped and cut."""
    shown = repr(body[:40])[2:-1]
    if not props.reply_to:
        say(f" [!] fib({shown}) dropped: it has no reply_to")
        return
    say(f" [.] fib({shown})")
    response, kind = answer(body)
    if kind == "error":
        say(f" [!] fib({shown}) failed: {response!r}")
    ch.basic_publish(
        exchange="",
        routing_key=props.reply_to,
        properties=pika.BasicProperties(correlation_id=props.correlation_id, type=kind),
        body=response,
    )


def on_request(ch: BlockingChannel, method: Any, props: pika.BasicProperties, body: bytes) -> None:
    """Reply, then acknowledge; but first acknowledge what comes back from a server that fell.

    It may be what felled it, and a classic queue counts no deliveries, it only marks them
    (https://www.rabbitmq.com/docs/confirms#automatic-requeueing). An innocent request is answered
    now; a poisonous one takes this server down too, but no third.
    """
    if method.redelivered:
        ch.basic_ack(delivery_tag=method.delivery_tag)
    reply(ch, props, body)
    if not method.redelivered:
        ch.basic_ack(delivery_tag=method.delivery_tag)


def declare(connection: pika.BlockingConnection) -> BlockingChannel:
    """Return a channel with rpc_queue: durable, as RabbitMQ 4.3 refuses transient shared queues."""
    channel = connection.channel()
    try:
        channel.queue_declare(queue=QUEUE, durable=True)
    except ChannelClosedByBroker as error:
        if error.reply_code not in (403, 406):  # not ours to declare, or there and of another make
            raise
        channel = connection.channel()
    return channel


def serve(connection: pika.BlockingConnection, stopping: list[bool], unreadable: bool) -> None:
    """Answer requests until told to stop; raise if connection, channel or queue are lost."""
    channel = declare(connection)
    # What pika can't parse (a timestamp header past the year 9999) breaks the connection before
    # on_request sees it, and is back at the queue's head: this takes it off, acknowledged unseen.
    first: Any = channel.basic_get(queue=QUEUE, auto_ack=True) if unreadable else (None,)
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue=QUEUE, on_message_callback=on_request)
    say(" [x] Awaiting RPC requests")
    on_stop(lambda *_: stopping.append(True))  # from here on the request in hand is finished first
    if first[0]:
        reply(channel, *first[1:])
    tick(connection)
    while not stopping:
        connection.process_data_events(time_limit=None)
        if not (channel.is_open and channel.consumer_tags):  # of neither does pika tell
            raise ConsumerCancelled(f"{QUEUE} was deleted, or the channel closed")
    threading.Timer(CLOSE_SECONDS, leave).start()


def tick(connection: pika.BlockingConnection) -> None:
    """Wake the server now and then; with a time_limit, pika would make a timer for each request."""
    connection.call_later(TICK_SECONDS, lambda: tick(connection))


def on_stop(action: Any) -> None:
    """Have SIGTERM and Ctrl-C call `action`."""
    signal.signal(signal.SIGTERM, action)
    signal.signal(signal.SIGINT, action)


def leave(*_: Any) -> None:
    """Exit at once: there is no request in hand, and pika's own goodbye might take for ever."""
    os._exit(0)


def explain(error: BaseException) -> str:
    """Return what is wrong with the broker, in words for people."""
    cause = getattr(error.args[0], "exception", error) if error.args else error
    if isinstance(cause, ConnectionRefusedError):
        return "refuses connections: is RabbitMQ running?"
    if isinstance(cause, (AMQPConnectorException, TimeoutError)):
        return "does not answer: is RabbitMQ overloaded, or the network down?"
    return f"failed: {cause}"


def main() -> None:
    """Connect, serve, and connect again when the broker went away, until SIGTERM or Ctrl-C."""
    on_stop(leave)
    try:
        urls = re.split(r",\s*(?=amqps?://)", os.environ.get("AMQP_URL") or DEFAULT_URL)
        if any(re.search(UNESCAPED, url) for url in urls):
            raise ValueError
        nodes = [pika.URLParameters(url) for url in urls]
    except Exception as error:  # whatever its parsing stumbles on, in words with the password
        sys.exit(f" [!] AMQP_URL is malformed ({type(error).__name__})")
    where = ", ".join(f"{node.host}:{node.port}" for node in nodes)
    stopping: list[bool] = []
    pause, unreadable = MIN_PAUSE_SECONDS, False
    while not stopping:
        began = time.monotonic()
        try:
            with pika.BlockingConnection(nodes) as connection:
                serve(connection, stopping, unreadable)
        except LOST as error:
            on_stop(leave)
            problem = f" [!] {where} {explain(error)}"
            if re.search(FINAL, problem):
                sys.exit(f"{problem}; check AMQP_URL")
            unreadable = isinstance(error, StreamLostError)
            if time.monotonic() - began > MAX_PAUSE_SECONDS:  # it did serve
                pause = MIN_PAUSE_SECONDS
            if not stopping:
                wait = pause * random.uniform(0.5, 1)
                print(f"{problem}; next attempt in {wait:.2f} s", file=sys.stderr)
                time.sleep(wait)
                pause = min(pause * 2, MAX_PAUSE_SECONDS)


if __name__ == "__main__":
    main()
