"""RPC server over RabbitMQ: consumes rpc_queue, computes Fibonacci numbers, replies.

AMQP_URL names the broker. See https://www.rabbitmq.com/tutorials/tutorial-six-python.
"""

import contextlib
import itertools
import os
import random
import re
import signal
import ssl
import sys
import threading
import time

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError, ProbableAccessDeniedError, ProbableAuthenticationError

DEFAULT_URL = "amqp://guest:guest@localhost:5672/%2F"
QUEUE = "rpc_queue"  # Change: each function has a queue of its own.
MAX_N = 20_000  # fib(20_000) has 4,180 digits; Python reads no more than 4,300 by default
HEARTBEAT_SECONDS = 600  # pika sends none while a function runs; KEEPALIVE finds dead networks
KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_USER_TIMEOUT": 60_000}  # s, s, ms
CLOSE_SECONDS = 0.5  # how long closing may take: a frozen broker does not answer
MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.5, 4.0  # between two attempts to connect
LOST = (AMQPError, AMQPConnectorException, OSError, AssertionError)  # pika asserts when interrupted
REFUSED = (ProbableAuthenticationError, ProbableAccessDeniedError, ssl.SSLCertVerificationError)


# Change: the function. A request may be computed more than once, so it has to be idempotent.
def fib(n: int) -> int:
    """Return F(n), exact, by fast doubling: F(2k) and F(2k+1) come from F(k) and F(k+1)."""
    a, b = 0, 1
    for bit in f"{n:b}":
        a, b = a * (2 * b - a), a * a + b * b
        if bit == "1":
            a, b = b, a + b
    return a


def answer(body: bytes) -> tuple[bytes, str | None]:
    """Return the reply to a request and its AMQP type: "error" if it was refused or failed."""
    try:
        # Change: what a request may be, and the reply to any other.
        if not (body.isdigit() and len(body) <= len(str(MAX_N)) and int(body) <= MAX_N):
            return b"send a whole number from 0 to %d as decimal digits" % MAX_N, "error"
        # Change: from bytes to arguments, and from the result to bytes.
        return b"%d" % fib(int(body)), None
    except BaseException as error:  # not even sys.exit() in the function may end the server
        return f"{type(error).__name__}: {error}"[:200].encode(errors="backslashreplace"), "error"


def on_request(ch, method, props, body):
    """Reply, then acknowledge; but acknowledge a redelivered request first."""
    with stop:
        if method.redelivered:  # it may have crashed its first server: there is no third attempt
            ch.basic_ack(delivery_tag=method.delivery_tag)
        request = f"fib({str(body[:40], errors='backslashreplace')})"  # Change: how it is logged.
        if props.reply_to:
            say(f" [.] {request}")
            response, kind = answer(body)
            if kind == "error":
                say(f" [!] {request} failed: {str(response, errors='backslashreplace')}")
            properties = pika.BasicProperties(correlation_id=props.correlation_id, type=kind)
            ch.basic_publish("", props.reply_to, response, properties)
        else:
            say(f" [!] {request} dropped: it has no reply_to")
        if not method.redelivered:
            ch.basic_ack(delivery_tag=method.delivery_tag)


class Stop:
    """Ends the server on a signal, after a running `with stop:` block; a second does not wait."""

    in_block, signals = False, 0

    def __call__(self, *_):
        self.signals += 1
        if not self.in_block:
            timer = threading.Timer(CLOSE_SECONDS, os._exit, [0])
            timer.daemon = True
            timer.start()
            sys.exit(0)  # which closes the connection on the way
        if self.signals > 1:
            os._exit(0)

    def __enter__(self):
        self.in_block = True

    def __exit__(self, *_):
        self.in_block = False
        if self.signals:
            self()


stop = Stop()


def say(line, file=None):
    """Print a line, escaped, at once; a full disk, a closed pipe or an encoding ends no server."""
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    with contextlib.suppress(OSError, UnicodeError):
        print(line, file=file, flush=True)


def explain(error):
    """Return what is wrong with the broker, in words for people."""
    cause = getattr(error.args[0], "exception", error) if error.args else error  # pika wraps it
    if isinstance(cause, ConnectionRefusedError):
        return "refuses connections: is RabbitMQ running?"
    if isinstance(cause, (AMQPConnectorException, TimeoutError)):
        return "does not answer: is RabbitMQ overloaded, or the network down?"
    return f"failed: {cause}"


def brokers():
    """Return the connection parameters of each node in AMQP_URL; exit if it is malformed."""
    urls = re.split(r"(?i),\s*(?=amqps?://)", os.environ.get("AMQP_URL") or DEFAULT_URL)
    try:
        return [pika.URLParameters(url) for url in urls]
    except Exception:  # its message may contain the password
        sys.exit(" [!] AMQP_URL is malformed: is its password percent-encoded (: / ? # [ ] @ %)?")


def main() -> None:
    """Connect, declare, serve; connect again if the broker is lost, until SIGTERM or Ctrl-C."""
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    pause, connected = MIN_PAUSE_SECONDS, False
    for node in itertools.cycle(brokers()):
        node.heartbeat = HEARTBEAT_SECONDS if node.heartbeat is None else node.heartbeat
        node.tcp_options = node.tcp_options or KEEPALIVE
        try:
            with pika.BlockingConnection(node) as connection:
                connected = True
                channel = connection.channel()
                try:
                    channel.queue_declare(queue=QUEUE, durable=True)  # RabbitMQ 4.3 requires it
                except pika.exceptions.ChannelClosedByBroker:  # it is there: serve it as it is
                    channel = connection.channel()
                channel.basic_qos(prefetch_count=1)
                channel.basic_consume(queue=QUEUE, on_message_callback=on_request)
                pause = MIN_PAUSE_SECONDS
                say(" [x] Awaiting RPC requests")
                channel.start_consuming()
                raise pika.exceptions.ConsumerCancelled(f"{QUEUE} was deleted or lost its node")
        except LOST as error:
            problem = f" [!] {node.host}:{node.port} {explain(error)}"
            if isinstance(error, REFUSED) and not connected:
                sys.exit(f"{problem}; check AMQP_URL")
            wait = random.uniform(pause / 2, pause)  # so that servers do not return in step
            say(f"{problem}; next attempt in {wait:.2f} s", file=sys.stderr)
            time.sleep(wait)
            pause = min(pause * 2, MAX_PAUSE_SECONDS)


if __name__ == "__main__":
    main()
