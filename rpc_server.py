"""RPC server over RabbitMQ: consumes rpc_queue, computes Fibonacci numbers, replies.

AMQP_URL names the broker. See https://www.rabbitmq.com/tutorials/tutorial-six-python.
"""

import contextlib
import functools
import itertools
import os
import random
import re
import signal
import sys
import threading
import time
import traceback

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException

DEFAULT_URL = "amqp://guest:guest@localhost:5672/%2F"
URL_FORM = "write amqp://user:password@host:port/vhost, : / ? # [ ] @ % in a part percent-encoded"
QUEUE = "rpc_queue"  # Change: each function has a queue of its own.
MAX_N = 20_000  # Change: fib(20_000) has 4,180 digits; Python reads no more than 4,300 by default.
HEARTBEAT_SECONDS = 600  # how long a function may take; KEEPALIVE finds dead networks sooner
KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_USER_TIMEOUT": 60_000}  # s, s, ms
CLOSE_SECONDS = 0.5  # how long closing may take: a frozen broker does not answer
MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.5, 4.0  # between two attempts to connect
LOST = (pika.exceptions.AMQPError, AMQPConnectorException, OSError, ValueError)  # ValueError: reset
REFUSED = ("(403)", "(530)", "CERTIFICATE_VERIFY_FAILED")  # what the operator has to mend
signals: list[int] = []  # received so far: SIGTERM, SIGINT
in_hand = threading.Lock()  # held while a request is in hand


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
        # Change: from bytes to arguments, and the reply to what is no request.
        if not (body.isdigit() and len(body) <= len(str(MAX_N)) and int(body) <= MAX_N):
            return b"send a whole number from 0 to %d as decimal digits" % MAX_N, "error"
        n = int(body)
        return b"%d" % fib(n), None  # Change: from the result to bytes.
    except BaseException as error:  # not even sys.exit() in the function may end the server
        for line in traceback.format_exc().splitlines():
            say(f"     {line}", sys.stderr)
        return f"{type(error).__name__}: {error}"[:200].encode(errors="backslashreplace"), "error"


def stop(signum, _=None):
    """End the server: at once if no request is in hand, else after it or at the second signal."""
    signals.append(signum)
    if not in_hand.locked():
        timer = threading.Timer(CLOSE_SECONDS, os._exit, [0])
        timer.daemon = True
        timer.start()
        sys.exit(0)  # which closes the connection on the way
    if len(signals) > 1:
        os._exit(0)
    with contextlib.suppress(OSError):  # print() is not safe in a signal handler
        os.write(2, b" [!] ending after this request; a second signal ends it at once\n")


def on_request(ch, method, props, body):
    """Acknowledge a request after the reply, and a redelivered one before it is computed."""
    with in_hand:
        if method.redelivered:  # it may have crashed its first server: there is no third attempt
            ch.basic_ack(delivery_tag=method.delivery_tag)
        request = f"fib({body[:40].decode(errors='backslashreplace')})"  # Change: how it is logged.
        if props.reply_to:
            say(f" [.] {request}")
            response, kind = answer(body)
            if kind == "error":
                say(f" [!] {request} failed: {response.decode(errors='backslashreplace')}")
            properties = pika.BasicProperties(correlation_id=props.correlation_id, type=kind)
            ch.basic_publish("", props.reply_to, response, properties)
        else:
            say(f" [!] {request} dropped: it has no reply_to")
        if not method.redelivered:
            ch.basic_ack(delivery_tag=method.delivery_tag)
    if signals:
        stop(signals.pop())


def handle_signals():
    """Have SIGTERM and Ctrl-C stop the server, but SIGTERM end a child that the function forks."""
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, stop)
    if hasattr(os, "register_at_fork"):  # or Python loses a SIGTERM that comes while a child forks
        block = functools.partial(signal.pthread_sigmask, signal.SIG_BLOCK, [signal.SIGTERM])
        unblock = functools.partial(signal.pthread_sigmask, signal.SIG_UNBLOCK, [signal.SIGTERM])
        default = functools.partial(signal.signal, signal.SIGTERM, signal.SIG_DFL)
        os.register_at_fork(before=block, after_in_parent=unblock, after_in_child=default)
        os.register_at_fork(after_in_child=unblock)  # once the default is set


def say(line, file=None):
    """Print a line, escaped, at once; a full disk, a closed pipe or an encoding ends no server."""
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    with contextlib.suppress(OSError, ValueError):
        print(line, file=file, flush=True)


def explain(error):
    """Return what happened, in plain words; pika tells it only in the text of its errors."""
    text = repr(error)
    if "ConnectionRefusedError" in text:
        return "refuses connections: is RabbitMQ running?"
    if any(sign in text for sign in ("TimeoutError", "StackTimeout", "HeartbeatTimeout")):
        return "does not answer: is RabbitMQ overloaded, or the network down?"
    if any(sign in text for sign in ("EOF", "ConnectionReset", "BrokenPipe", "getpeername")):
        return "closed the connection: is RabbitMQ still starting, or going down?"
    return f"failed: {str(error) or text}"


def brokers():
    """Return the connection parameters of each node in AMQP_URL; exit if it is malformed."""
    urls = re.split(r"(?i),\s*(?=amqps?://)", os.environ.get("AMQP_URL") or DEFAULT_URL)
    try:
        nodes = [pika.URLParameters(url) for url in urls]
    except Exception:  # its message may contain the password
        sys.exit(f" [!] AMQP_URL is malformed: {URL_FORM}; its files must exist")
    for node in nodes:
        node.heartbeat = HEARTBEAT_SECONDS if node.heartbeat is None else node.heartbeat
        node.tcp_options = node.tcp_options or KEEPALIVE
    return nodes


def main() -> None:
    """Connect, declare, serve; connect again if the broker is lost, until SIGTERM or Ctrl-C."""
    handle_signals()
    pause, served = MIN_PAUSE_SECONDS, False
    for node in itertools.cycle(brokers()):
        try:
            with pika.BlockingConnection(node) as connection:
                with contextlib.suppress(pika.exceptions.ChannelClosedByBroker):  # serve it as is
                    connection.channel().queue_declare(QUEUE, durable=True)  # RabbitMQ 4.3 needs it
                channel = connection.channel()  # if it refused, it closed that channel
                channel.basic_qos(prefetch_count=1)
                channel.basic_consume(queue=QUEUE, on_message_callback=on_request)
                pause, served = MIN_PAUSE_SECONDS, True
                say(" [x] Awaiting RPC requests")
                channel.start_consuming()  # until the broker cancels the consumer
            reason = f"failed: {QUEUE} was deleted or lost its node"
        except Exception as error:
            if signals:  # stop() interrupted pika, which may raise anything then
                sys.exit(0)
            if not isinstance(error, LOST):
                raise
            reason = explain(error)
            if not served and any(sign in reason for sign in REFUSED):
                sys.exit(f" [!] {node.host}:{node.port} {reason}; check AMQP_URL")
        wait = random.uniform(pause / 2, pause)  # so that servers do not return in step
        say(f" [!] {node.host}:{node.port} {reason}; next attempt in {wait:.2f} s", sys.stderr)
        time.sleep(wait)
        pause = min(pause * 2, MAX_PAUSE_SECONDS)


if __name__ == "__main__":
    main()
