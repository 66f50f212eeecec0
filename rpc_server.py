"""RPC server; AMQP_URL names the broker. See rabbitmq.com/tutorials/tutorial-six-python."""

import contextlib
import itertools
import logging
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from queue import Empty, SimpleQueue

from pika import BasicProperties
from pika.exceptions import AMQPError, ChannelClosedByBroker

# Both scripts need these functions: keep the two files together.
from rpc_client import TIMEOUT_SECONDS, Closer, explain, in_time, node_address, node_urls, open_node

MAX_N = 20_000  # fib(20_000) has 4,180 digits; the client's int() reads 4,300 at most.
POLL_SECONDS = 1.0  # between two polls of pika; closing may take so long, too
MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.5, 1.5  # random: servers do not return in step
# On Linux, these end an idle connection to a dead machine in five seconds. No TCP_USER_TIMEOUT:
# in a memory alarm, RabbitMQ stops reading, and a large reply would be cut off.
TCP_OPTIONS = {"TCP_KEEPIDLE": 2, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 3}  # s, s, probes
log = logging.getLogger(__name__)
stopping = False  # True once SIGTERM or Ctrl-C has come
jobs, answers = SimpleQueue[tuple](), SimpleQueue[tuple]()  # to the function's thread, and back


class Refused(Exception):
    """Raise it for a bad request: its message is the reply, and is logged without a traceback."""


# The tutorial's steps, up to its main program, serve_node(). What it leaves out comes after.
def fib(n: int) -> int:
    """Return the Fibonacci number F(n), exact."""
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def compute(body: bytes) -> bytes:
    """Return fib(n) in decimal digits, for n in decimal digits."""
    if not body.isdigit() or len(body) > len(str(MAX_N)) or (n := int(body)) > MAX_N:
        raise Refused(f"send a whole number from 0 to {MAX_N} as decimal digits")
    log.info(" [.] fib(%d)", n)
    return b"%d" % fib(n)


def on_request(ch, method, props, body):
    """Compute, reply, then acknowledge. A redelivered request, which may have crashed its first
    server, is acknowledged first, so that it crashes two servers at most."""
    if stopping:  # RabbitMQ gives a request without an acknowledgement to another server.
        return
    label = f"{props.correlation_id!r} ({body[:40]!r})"
    if method.redelivered:
        log.warning(" [!] redelivered, since its first server was lost or stopped: %s", label)
        ch.basic_ack(delivery_tag=method.delivery_tag)
    jobs.put((body, label))
    response, reply_type = wait_for_answer(ch.connection)
    if ch.is_closed:  # serve_node() says why.
        return
    ch.basic_publish(
        exchange="",
        routing_key=props.reply_to or "",  # RabbitMQ drops a reply without an address.
        properties=BasicProperties(correlation_id=props.correlation_id, type=reply_type),
        body=response,
    )
    if not method.redelivered:
        ch.basic_ack(delivery_tag=method.delivery_tag)


def declare(connection, queue):
    """Declare the queue; if RabbitMQ refuses that, say so. Return an open channel."""
    channel = connection.channel()
    try:
        channel.queue_declare(queue=queue, durable=True)  # RabbitMQ 4.3 refuses transient queues.
    except ChannelClosedByBroker as error:  # The queue has other settings, or the user no right.
        log.warning(" [!] declaring %s %s; it is served as it is", queue, explain(error))
        with contextlib.suppress(ChannelClosedByBroker):  # pika 1.5 raises it again when polled.
            connection.process_data_events(time_limit=0)
        return connection.channel()
    return channel


def serve_node(url, queue):
    """Serve until `stopping`; raise an error if the node, the connection or the queue is lost."""
    connection = in_time(TIMEOUT_SECONDS, open_node, url, TIMEOUT_SECONDS, TCP_OPTIONS)
    try:
        channel = declare(connection, queue)
        channel.basic_qos(prefetch_count=1)  # Requests wait in the queue, for any idle server.
        channel.basic_consume(queue=queue, on_message_callback=on_request)
        connection.add_on_connection_blocked_callback(on_blocked)
        connection.add_on_connection_unblocked_callback(on_blocked)
        log.info(" [x] Awaiting RPC requests")
        while not stopping and channel.consumer_tags:  # like start_consuming()
            connection.process_data_events(time_limit=POLL_SECONDS)
        if not channel.consumer_tags:  # RabbitMQ has cancelled the consumer, or closed its channel.
            reasons = "a request outlasted the consumer_timeout, or a reply was refused"
            raise AMQPError(f"{queue} was deleted or lost its node, {reasons}: see RabbitMQ's log")
    finally:
        Closer(connection).close(POLL_SECONDS)


def wait_for_answer(connection):
    while True:
        with contextlib.suppress(Empty):
            return answers.get(timeout=POLL_SECONDS)
        try:  # Polling sends heartbeats. Inside a callback, pika begins no other.
            connection.process_data_events()
        except Exception:  # The connection is lost.
            answers.get()  # Wait for the function, or its answer would be the next request's reply.
            raise


def work(function):
    """Answer one request after another, in a thread: the main thread polls pika meanwhile."""
    while True:
        answers.put(answer(function, *jobs.get()))


def answer(function, body, label):
    """Return the reply and its AMQP type: None, "refused", or "error" if the function failed."""
    try:
        response = function(body)
        if not isinstance(response, bytes):
            raise TypeError(f"the function returned {type(response).__name__}, not bytes")
        return response, None
    except Refused as refusal:
        log.warning(" [!] refused %s: %s", label, refusal)
        text, reply_type = str(refusal), "refused"
    except BaseException as error:  # Not even sys.exit() ends the server.
        log.exception(" [!] failed on %s", label)
        text, reply_type = "".join(traceback.format_exception_only(error)).strip(), "error"
    return text[:200].encode(errors="backslashreplace"), reply_type


def on_blocked(connection, frame):
    reason = getattr(frame.method, "reason", "")  # Connection.Unblocked has none.
    state = f": {reason}; replies wait" if reason else " no more"
    log.warning(" [!] RabbitMQ blocks publishers%s", state)


def stop(signum, frame):
    """End the server after the request in hand; a second signal ends it at once."""
    global stopping
    stopping = True
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with contextlib.suppress(OSError):  # os.write(), as neither print() nor logging is reentrant
        os.write(1, b" [!] ending after any request in hand; a second signal ends it at once\n")


def serve(queue: str, function: Callable[[bytes], bytes]) -> None:
    """Serve until SIGTERM or Ctrl-C. If a node fails, say why, and try the next one of AMQP_URL.
    `function` takes a request's bytes and returns the reply's, or raises Refused. It runs in a
    second thread, which gets no signals. It has to be idempotent, and to end before RabbitMQ's
    consumer_timeout. Call serve() once, in the main thread: it sets up signals and logging."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # It logs each failure in thirty lines.
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if hasattr(os, "register_at_fork"):  # so that SIGTERM ends a child that the function forks
        os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    try:
        urls = itertools.cycle(node_urls())
    except ValueError as error:
        sys.exit(f" [!] {error}")
    threading.Thread(target=work, args=[function], daemon=True).start()
    while not stopping:
        url = next(urls)
        try:
            serve_node(url, queue)
        except Exception as error:  # A mistake in a script has a traceback. A lost node has none.
            mistake = not isinstance(error, (AMQPError, OSError))
            log.warning(" [!] %s %s", node_address(url), explain(error), exc_info=mistake)
            time.sleep(0 if stopping else random.uniform(MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS))


if __name__ == "__main__":
    serve("rpc_queue", compute)
