"""RPC server; AMQP_URL names the broker. See rabbitmq.com/tutorials/tutorial-six-python."""

import contextlib
import itertools
import logging
import os
import random
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

DEFAULT_URL = "amqp://guest:guest@localhost:5672/%2F"
URL_FORM = "amqp://user:password@host:port/vhost, percent-encoded (@ as %40); TLS files must exist"
MAX_N = 20_000  # fib(20_000) has 4,180 digits; Python reads no more than 4,300 by default.
HEARTBEAT_SECONDS = 600  # how long a function may take: pika sends no heartbeats meanwhile
KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_USER_TIMEOUT": 60_000}  # s, s, ms
MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.5, 1.5  # between two attempts, not in step with others

log = logging.getLogger(__name__)
stopping = False  # SIGTERM or Ctrl-C has come


class Refused(Exception):
    """Raise it for a bad request: its message is the reply, and costs one line of the log."""


def fib(n: int) -> int:
    """Return the Fibonacci number F(n), exact."""
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def compute(body: bytes) -> bytes:
    """Return fib(n) in decimal digits, for n in decimal digits."""
    if not body.isdigit() or len(body) > len(str(MAX_N)) or int(body) > MAX_N:
        raise Refused(f"send a whole number from 0 to {MAX_N} as decimal digits")
    n = int(body)
    log.info(" [.] fib(%d)", n)
    return b"%d" % fib(n)


def answer(function, body):
    """Return the reply to a request and its AMQP type: "error" if it was refused or failed."""
    try:
        response = function(body)
        if not isinstance(response, bytes):
            raise TypeError(f"the function returned {type(response).__name__}, not bytes")
        return response, None
    except Refused as refusal:
        text = str(refusal)
        log.warning(" [!] refused %r: %s", body[:40], text)
    except BaseException as error:  # not even sys.exit() in the function may end the server
        text = "".join(traceback.format_exception_only(error)).strip()  # str(error) may fail
        log.exception(" [!] failed on %r", body[:40])
    return text[:200].encode(errors="backslashreplace"), "error"


def on_request(function, ch, method, props, body):
    """Reply, then acknowledge, so a crash redelivers it; the second time, acknowledge first."""
    if stopping:  # it is not acknowledged, so RabbitMQ gives it to another server
        return
    if method.redelivered:  # acknowledge first, so that it crashes no third server
        log.warning(" [!] redelivered, since its first server was lost or stopped: %r", body[:40])
        ch.basic_ack(delivery_tag=method.delivery_tag)
    response, kind = answer(function, body)
    ch.basic_publish(
        exchange="",
        routing_key=props.reply_to or "",  # without reply_to, RabbitMQ drops the reply
        properties=pika.BasicProperties(correlation_id=props.correlation_id, type=kind),
        body=response,
    )
    if not method.redelivered:
        ch.basic_ack(delivery_tag=method.delivery_tag)


def connect(url):
    """Return a connection to the node that `url` names, or raise ConnectionError."""
    try:
        node = pika.URLParameters(url)  # each time anew, as certificates are renewed
        node.connection_attempts = 1  # serve() tries again
        node.heartbeat = HEARTBEAT_SECONDS if node.heartbeat is None else node.heartbeat
        node.tcp_options = node.tcp_options or KEEPALIVE  # finds a dead network in a minute
        return pika.BlockingConnection(node)
    except Exception as error:  # pika raises many types here; once connected, AMQPError alone
        raise ConnectionError(error) from error


def declare(connection, queue):
    try:
        # Durable, as RabbitMQ 4.3 may deny transient shared queues. The broker chooses the type.
        connection.channel().queue_declare(queue=queue, durable=True)
    except ChannelClosedByBroker as error:
        log.warning(" [!] declaring %s %s; it is served as it is", queue, explain(error))


def serve_node(url, queue, function):
    """Serve; ConnectionError if it cannot connect, AMQPError if connection or queue is lost."""
    with connect(url) as connection:
        declare(connection, queue)
        channel = connection.channel()  # a new one, as a refused declaration closes its own
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume(queue=queue, on_message_callback=partial(on_request, function))
        log.info(" [x] Awaiting RPC requests")
        while not stopping:  # start_consuming() does not look at `stopping`
            if channel.is_closed:
                raise AMQPError("channel closed: see RabbitMQ's log")
            if not channel.consumer_tags:  # RabbitMQ has cancelled the consumer, not the channel
                raise AMQPError(f"{queue} was deleted, or a request outlasted the consumer_timeout")
            connection.process_data_events(time_limit=1)


def stop(signum, frame):
    """End the server after the request in hand; a second signal ends it at once."""
    global stopping
    stopping = True
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with contextlib.suppress(OSError):  # os.write(), as print() is not reentrant
        os.write(1, b" [!] ending after any request in hand; a second signal ends it at once\n")


def explain(error):
    """Return what happened, in plain words; pika tells it only in its errors' texts."""
    if "ConnectionRefusedError" in repr(error):
        return "refuses connections: is RabbitMQ running?"
    if re.search("TimeoutError|StackTimeout|HeartbeatTimeout", repr(error)):
        return "does not answer: is RabbitMQ overloaded, or the network down?"
    if re.search("indicated EOF|EOFError|ConnectionReset|BrokenPipe|getpeername", repr(error)):
        if re.search("Incompatible|Probable|Connector|getpeername", repr(error)):  # not open yet
            return "closed the connection: is RabbitMQ starting or stopping, or is this a TLS port?"
        return "closed the connection: is RabbitMQ starting or stopping, or was a heartbeat missed?"
    return f"failed: {str(error) or repr(error)}"


def node_urls():
    """Return the URLs in AMQP_URL; exit with 1 if one is malformed."""
    urls = re.split(r"(?i),\s*(?=amqp)", os.environ.get("AMQP_URL") or DEFAULT_URL)
    try:
        for node in urls:
            pika.URLParameters(node)  # raises errors of many types
            if urlsplit(node).scheme not in ("amqp", "amqps") or not urlsplit(node).hostname:
                raise ValueError  # pika takes http: for amqp:, and no host for localhost
    except Exception:  # its message may contain the password
        sys.exit(f" [!] AMQP_URL is malformed: write {URL_FORM}")
    return urls


def serve(queue: str, function: Callable[[bytes], bytes]) -> None:
    """Serve until SIGTERM or Ctrl-C; if that fails, say why, and try the next node of AMQP_URL.

    `function` takes the bytes of a request and returns those of the reply, or raises Refused. It
    has to be idempotent: a request may be computed more than once. Call serve() once, in the main
    thread of a process of its own: it sets up signals and logging. Exits with 1 on a bad AMQP_URL.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # it logs each failure in thirty lines
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if hasattr(os, "register_at_fork"):  # so that SIGTERM ends a child that the function forks
        os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    for url in itertools.cycle(node_urls()):
        try:
            serve_node(url, queue, function)
        except (AMQPError, ConnectionError) as error:
            address = urlsplit(url).netloc.rpartition("@")[2]
            pause = 0 if stopping else random.uniform(MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS)
            then = f"next attempt in {pause:.1f} s" if pause else "ending"
            log.warning(" [!] %s %s; %s", address, explain(error), then)
            time.sleep(pause)
        if stopping:
            break


if __name__ == "__main__":
    serve("rpc_queue", compute)
