"""RPC server; AMQP_URL names the broker. See rabbitmq.com/tutorials/tutorial-six-python."""

import contextlib
import itertools
import logging
import os
import random
import re
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

DEFAULT_URL = "amqp://guest:guest@localhost:5672/%2F"
URL_FORM = "amqp://user:password@host:port/vhost, percent-encoded (@ as %40); TLS files must exist"
MAX_N = 20_000  # fib(20_000) has 4,180 digits; Python reads no more than 4,300 by default.
POLL_SECONDS = 1.0  # between two looks at `stopping`, and at the heartbeats while it computes
MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.5, 1.5  # between two attempts, not in step with others
log = logging.getLogger(__name__)
stopping = False  # SIGTERM or Ctrl-C has come


class Refused(Exception):
    """Raise it for a bad request: its message is the reply, and is logged without a traceback."""


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
    log.info(" [.] fib(%d)", int(body))
    return b"%d" % fib(int(body))


def answer(function, body):
    """Return the reply to a request and its AMQP type: none, "refused", or "error" if it failed."""
    try:
        try:
            response = function(body)
            if not isinstance(response, bytes):
                raise TypeError(f"the function returned {type(response).__name__}, not bytes")
            return response, None
        except Refused as refusal:
            text, kind = str(refusal), "refused"
            log.warning(" [!] refused %r: %s", body[:40], text)
    except BaseException as error:  # not even sys.exit(), or a str() that fails, ends the server
        text, kind = "".join(traceback.format_exception_only(error)).strip(), "error"
        log.exception(" [!] failed on %r", body[:40])
    return text[:200].encode(errors="backslashreplace"), kind


class Heartbeats:
    """pika sends heartbeats only when polled: in `with heartbeats:`, a thread polls."""

    def __init__(self, connection):
        self.lock = threading.Lock()
        self.computing, self.error = False, None
        threading.Thread(target=self.run, args=[connection], daemon=True).start()

    def run(self, connection):
        while connection.is_open:
            time.sleep(POLL_SECONDS)
            with self.lock:
                try:
                    if self.computing:  # inside a callback, pika does I/O, but starts no other
                        connection.process_data_events()
                except Exception as error:
                    self.error = error

    def __enter__(self):
        self.computing = True

    def __exit__(self, *_):
        with self.lock:  # waits until the thread has polled
            self.computing = False
        if self.error:
            raise self.error


def on_request(function, heartbeats, ch, method, props, body):
    """Reply, then acknowledge, so a crash redelivers it; the second time, acknowledge first."""
    if stopping:  # it is not acknowledged, so RabbitMQ gives it to another server
        return
    if method.redelivered:  # acknowledge first, so that it crashes no third server
        log.warning(" [!] redelivered, since its first server was lost or stopped: %r", body[:40])
        ch.basic_ack(delivery_tag=method.delivery_tag)
    with heartbeats:
        response, kind = answer(function, body)
    if ch.is_open:  # else RabbitMQ has closed it meanwhile: serve_node() says so
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
        return pika.BlockingConnection(node)
    except Exception as error:  # pika raises many types here; once connected, AMQPError alone
        raise ConnectionError(error) from error


def serve_node(url, queue, function):
    """Serve; ConnectionError if it cannot connect, AMQPError if connection or queue is lost."""
    with connect(url) as connection:  # a throwaway: pika 1.5 would raise a refusal again later
        try:
            # Durable, as RabbitMQ 4.3 may deny transient shared queues; the broker chooses a type.
            connection.channel().queue_declare(queue=queue, durable=True)
        except ChannelClosedByBroker as error:
            log.warning(" [!] declaring %s %s; it is served as it is", queue, explain(error))
    with connect(url) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        callback = partial(on_request, function, Heartbeats(connection))
        channel.basic_consume(queue=queue, on_message_callback=callback)
        log.info(" [x] Awaiting RPC requests")
        while not stopping and channel.consumer_tags:  # as start_consuming(), but for `stopping`
            connection.process_data_events(time_limit=POLL_SECONDS)
        if not stopping:  # RabbitMQ has cancelled the consumer, or closed its channel
            reasons = "a request outlasted the consumer_timeout, or a reply was refused"
            raise AMQPError(f"{queue} was deleted or lost its node, {reasons}: see RabbitMQ's log")


def stop(signum, frame):
    """End the server after the request in hand; a second signal ends it at once."""
    global stopping
    stopping = True
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with contextlib.suppress(OSError):  # os.write(), as neither print() nor logging is reentrant
        os.write(1, b" [!] ending after any request in hand; a second signal ends it at once\n")


def explain(error):
    """Return what happened, in plain words; pika tells it only in its errors' texts."""
    if "ConnectionRefusedError" in repr(error):
        return "refuses connections: is RabbitMQ running?"
    if re.search("TimeoutError|StackTimeout|HeartbeatTimeout", repr(error)):
        return "does not answer: is RabbitMQ overloaded, or the network down?"
    if re.search("indicated EOF|EndOfFile|EOFError|ResetError|BrokenPipe|getpeername", repr(error)):
        suspects = "is RabbitMQ starting or stopping, was a heartbeat missed, or is it a TLS port?"
        return f"closed the connection: {suspects}"
    return f"failed: {str(error) or repr(error)}"


def node_urls():
    """Return the URLs in AMQP_URL; exit with 1 if one is malformed."""
    urls = re.split(r"(?i)\s*,\s*(?=amqp)", os.environ.get("AMQP_URL") or DEFAULT_URL)
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

    `function` takes a request's bytes and returns the reply's, or raises Refused. It has to be
    idempotent, and to end before RabbitMQ's consumer_timeout. Call serve() once, in the main thread
    of its own process: it sets up signals and logging. Raises ValueError if `queue` is empty.
    """
    if not queue:
        raise ValueError("queue is empty")  # RabbitMQ would name a new one at each declaration
    warnings.filterwarnings("ignore", "BlockingConnection is deprecated")  # pika 2 removes it
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # it logs each failure in thirty lines
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if hasattr(os, "register_at_fork"):  # so that SIGTERM ends a child that the function forks
        os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    urls = itertools.cycle(node_urls())
    while not stopping:
        url = next(urls)
        try:
            serve_node(url, queue, function)
        except (AMQPError, ConnectionError, RuntimeError) as error:  # RuntimeError: no new thread
            log.warning(" [!] %s %s", urlsplit(url).netloc.rpartition("@")[2], explain(error))
            if not stopping:
                time.sleep(random.uniform(MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS))


if __name__ == "__main__":
    serve("rpc_queue", compute)
