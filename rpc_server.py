#!/usr/bin/env python
"""RPC server over RabbitMQ: consumes rpc_queue, computes Fibonacci numbers, replies.

Run `python rpc_server.py`, several times for more load; AMQP_URL names the broker. The design is
that of https://www.rabbitmq.com/tutorials/tutorial-six-python; each line beyond it answers a
failure that it names.
"""

import contextlib
import itertools
import os
import random
import re
import signal
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
TICK_SECONDS = 0.2  # within this an idle server notices that it is to stop
CLOSE_SECONDS = 0.3  # what a goodbye may take: pika would wait half a minute for a frozen broker
MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.5, 4.0  # between two attempts to connect

# pika's ways to say that it can't talk to the broker (the last two: an impossible name or option)
LOST = (AMQPError, AMQPConnectorException, OSError, ValueError, TypeError)
# Refusals that waiting does not mend, except those in the look-ahead, which pass.
FINAL = (
    "CERTIFICATE_VERIFY_FAILED|(ACCESS_REFUSED|NOT_ALLOWED)"
    "(?!.*(vhost .* is down|limit (\\(|of|cannot)|in exclusive use|returned an error))"
)
# The network's StreamLostErrors: an end or an errno, except a date's. Else pika broke on a message.
NETWORK = r"indicated EOF|lost: \w+\(-?\d+, (?!'Value too large)"
# An @ further on belongs to a password with an unescaped / ? or #, whose rest would be shown.
URL_FORM = "(?i)amqps?://[^/?#]*([/?#][^@]*)?"
URL_HINT = "is it amqp://user:password@host:port/vhost, percent-encoded?"


def say(line: str, file: Any = None) -> None:
    """Print a line at once, through a pipe too; a lost pipe or a full disk ends no service."""
    with contextlib.suppress(OSError):
        print(line, file=file, flush=True)


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
    try:
        # The length goes first: int() of a megabyte of digits would outlast the heartbeats.
        if not (body.isdigit() and len(body) <= len(str(MAX_N)) and int(body) <= MAX_N):
            return b"send a whole number from 0 to %d as decimal digits" % MAX_N, "error"
        return b"%d" % fib(int(body)), None
    except Exception as error:  # whatever it is, the client gets to know and the server lives on
        words = f"{type(error).__name__}: {error}"
        return words[:200].encode(errors="backslashreplace"), "error"


def reply(ch: BlockingChannel, props: pika.BasicProperties, body: bytes) -> None:
    """Send the answer to the request's reply_to; show the request, escaped and cut."""
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
    """Reply, then acknowledge; but acknowledge a redelivered request first.

    It may have crashed the server that held it, and a classic queue marks redeliveries but does
    not count them (https://www.rabbitmq.com/docs/confirms#automatic-requeueing). A harmless request
    is answered now; a poisonous one crashes this server too, but no third.
    """
    if method.redelivered:
        ch.basic_ack(delivery_tag=method.delivery_tag)
    reply(ch, props, body)
    if not method.redelivered:
        ch.basic_ack(delivery_tag=method.delivery_tag)


def declare(connection: pika.BlockingConnection) -> BlockingChannel:
    """Return a channel with rpc_queue: durable, as RabbitMQ 4.3 refuses transient shared queues.

    See https://www.rabbitmq.com/docs/deprecated-features-list. A queue of another make will do.
    """
    channel = connection.channel()
    try:
        channel.queue_declare(queue=QUEUE, durable=True)
        return channel
    except ChannelClosedByBroker as error:
        if error.reply_code not in (403, 406):  # no right to declare it, or declared differently
            raise
        return connection.channel()


def serve(connection: pika.BlockingConnection, stopping: list[bool], unreadable: bool) -> None:
    """Answer requests until told to stop; raise if connection, channel or queue are lost.

    `unreadable` tells that the last connection broke on a message, which is to be taken off.
    """
    channel = declare(connection)
    try:
        if unreadable:
            # What pika can't parse (a timestamp header past the year 9999) breaks the connection
            # before on_request sees it, and is the queue's head again: with auto_ack, it is gone.
            got: Any = channel.basic_get(queue=QUEUE, auto_ack=True)
            if got[0]:
                on_stop(lambda *_: stopping.append(True))
                reply(channel, *got[1:])
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume(queue=QUEUE, on_message_callback=on_request)
        say(" [x] Awaiting RPC requests")
        on_stop(lambda *_: stopping.append(True))  # from here on, the request in hand comes first
        tick(connection, stopping)
        channel.start_consuming()
        raise ConsumerCancelled(f"{QUEUE} was deleted or lost its node")  # pika returns quietly
    finally:
        on_stop(leave)


def tick(connection: pika.BlockingConnection, stopping: list[bool]) -> None:
    """Stop if told to: pika comes here between two requests."""
    if stopping:
        threading.Timer(CLOSE_SECONDS, leave).start()  # should the broker not answer close()
        connection.close()
        leave()
    connection.call_later(TICK_SECONDS, lambda: tick(connection, stopping))


def on_stop(action: Any) -> None:
    """Have SIGTERM and Ctrl-C call `action`."""
    signal.signal(signal.SIGTERM, action)
    signal.signal(signal.SIGINT, action)


def leave(*_: Any) -> None:
    """Exit at once, as no request is in hand: pika's close() might never return."""
    os._exit(0)


def explain(error: BaseException) -> str:
    """Return what is wrong with the broker, in words for people."""
    cause = getattr(error.args[0], "exception", error) if error.args else error  # pika wraps it
    if isinstance(cause, ConnectionRefusedError):
        return "refuses connections: is RabbitMQ running?"
    if isinstance(cause, (AMQPConnectorException, TimeoutError)):
        return "does not answer: is RabbitMQ overloaded, or the network down?"
    return f"failed: {cause}"


def main() -> None:
    """Connect, serve, and connect again when the broker went away, until SIGTERM or Ctrl-C."""
    on_stop(leave)
    try:
        urls = re.split(r"(?i),\s*(?=amqps?://)", os.environ.get("AMQP_URL") or DEFAULT_URL)
        if not all(re.fullmatch(URL_FORM, url) for url in urls):
            raise ValueError
        nodes = [pika.URLParameters(url) for url in urls]
    except Exception as error:  # whatever pika's parsing stumbles on; its words show the password
        sys.exit(f" [!] AMQP_URL is malformed ({type(error).__name__}): {URL_HINT}")
    stopping: list[bool] = []
    pause, unreadable = MIN_PAUSE_SECONDS, False
    for node in itertools.cycle(nodes):
        began = time.monotonic()
        try:
            with pika.BlockingConnection(node) as connection:
                serve(connection, stopping, unreadable)
        except LOST as error:
            if stopping:
                leave()
            problem = f" [!] {node.host}:{node.port} {explain(error)}"
            if re.search(FINAL, problem):
                sys.exit(f"{problem}; check AMQP_URL")
            unreadable = isinstance(error, StreamLostError) and not re.search(NETWORK, str(error))
            if unreadable or time.monotonic() - began > MAX_PAUSE_SECONDS:  # it served, or waited
                pause = MIN_PAUSE_SECONDS
            wait = pause * random.uniform(0.5, 1)
            say(f"{problem}; next attempt in {wait:.2f} s", file=sys.stderr)
            time.sleep(wait)
            pause = min(pause * 2, MAX_PAUSE_SECONDS)


if __name__ == "__main__":
    main()
