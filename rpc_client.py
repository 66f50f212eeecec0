"""RPC client over RabbitMQ: has the servers on rpc_queue compute Fibonacci numbers.

AMQP_URL names the broker. See https://www.rabbitmq.com/tutorials/tutorial-six-python.
"""

import argparse
import contextlib
import operator
import os
import re
import sys
import threading
import time
import uuid

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError, ConsumerCancelled

DEFAULT_URL = "amqp://guest:guest@localhost:5672/%2F"
QUEUE = "rpc_queue"  # Change: each function has a queue of its own.
TIMEOUT_SECONDS = 10.0
RETRY_SECONDS = 0.25  # between two attempts to connect
GRACE_SECONDS = 0.4  # for asking the broker why there is no reply, and for closing
MAX_EXPIRATION_MS = 2**32 - 1  # RabbitMQ closes the channel on more (rabbitmq.com/docs/ttl)
LOST = (AMQPError, AMQPConnectorException, OSError)


class RpcError(Exception):
    """The server refused the request or failed, in its words; or the reply is not a number."""


class NoServerError(RpcError):
    """There is no rpc_queue: no server has declared it yet, or someone deleted it."""


class FibonacciRpcClient:
    """Calls fib() on the servers that consume rpc_queue; for one thread at a time.

    `url` names the broker, or a cluster's nodes, separated by commas; by default AMQP_URL does.
    Raises ValueError if it is malformed, ConnectionError if none answers in time (10 s at most).
    """

    def __init__(self, url: str | None = None, timeout: float = TIMEOUT_SECONDS) -> None:
        urls = re.split(r"(?i),\s*(?=amqps?://)", url or os.environ.get("AMQP_URL") or DEFAULT_URL)
        try:
            self.nodes = [pika.URLParameters(node) for node in urls]
        except Exception:  # its message may contain the password
            message = "AMQP_URL is malformed: is its password percent-encoded (: / ? # [ ] @ %)?"
            raise ValueError(message) from None
        try:
            self.connect(timeout)
        except LOST as error:
            raise ConnectionError(self.explain(error)) from None

    def connect(self, seconds):
        """Connect to the first node that answers within its share of the time."""
        share = max(0.001, min(TIMEOUT_SECONDS, seconds)) / len(self.nodes)
        for node in self.nodes:
            node.stack_timeout = share  # so that the thread of a failed attempt ends, too
            try:
                self.connection, self.channel, self.callback_queue = within(share, self.open, node)
                self.blocked = None
                return
            except LOST as error:
                problem = error
        raise problem

    def open(self, node):
        """Connect, declare the callback queue and consume from it."""
        connection = pika.BlockingConnection(node)
        connection.add_on_connection_blocked_callback(self.on_blocked)
        connection.add_on_connection_unblocked_callback(self.on_blocked)
        channel = connection.channel()
        channel.add_on_return_callback(self.on_return)
        callback_queue = channel.queue_declare(queue="", exclusive=True).method.queue
        channel.basic_consume(callback_queue, self.on_response, auto_ack=True)
        return connection, channel, callback_queue

    def on_blocked(self, connection, frame):
        """Note why the broker blocks this connection, or that it no longer does."""
        self.blocked = getattr(frame.method, "reason", None)

    def on_return(self, ch, method, props, body):
        """Raise NoServerError, out of process_data_events: there is no queue for the request."""
        if self.corr_id == props.correlation_id:
            raise NoServerError(f"there is no {QUEUE}: start a server")

    def on_response(self, ch, method, props, body):
        """Take the first reply to the request; ignore late, repeated and foreign ones."""
        if self.response is None and self.corr_id == props.correlation_id:
            if props.type == "error":
                raise RpcError(printable(body) or "the server failed and gave no reason")
            self.response = body

    def call(self, n: int, timeout: float | None = TIMEOUT_SECONDS) -> int:
        """Return fib(n), computed by a server within `timeout` seconds; None waits for ever.

        Raises RpcError, NoServerError, TimeoutError with the reason, TypeError if n is no integer.
        """
        request = b"%d" % operator.index(n)  # Change: from arguments to bytes.
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        self.response, self.corr_id = None, str(uuid.uuid4())
        problem = "there was no time to connect"
        while self.response is None and time.monotonic() < deadline:
            try:
                if self.connection is None:
                    self.connect(deadline - time.monotonic())
                self.exchange(request, deadline)
            except LOST as error:  # connect and publish again, until the deadline
                problem = self.explain(error)
                self.close()
                time.sleep(RETRY_SECONDS)
        if self.response is None:
            raise TimeoutError(f"no answer within {timeout:g} s: {self.diagnose(problem)}")
        try:
            return int(self.response)  # Change: from bytes to the result.
        except ValueError:
            raise RpcError(f"the answer is not a number: {printable(self.response)}") from None

    def exchange(self, request, deadline):
        """Publish the request, unless the broker blocks, and process I/O until the reply."""
        published = False
        while self.response is None and (left := deadline - time.monotonic()) > 0:
            if not (published or self.blocked):
                properties = pika.BasicProperties(
                    reply_to=self.callback_queue,
                    correlation_id=self.corr_id,
                    expiration=str(int(min(left * 1000, MAX_EXPIRATION_MS))),
                )
                self.channel.basic_publish("", QUEUE, request, properties, mandatory=True)
                published = True
            self.connection.process_data_events(time_limit=left)
            if not self.channel.consumer_tags:
                raise ConsumerCancelled("the channel or its queue was closed: see RabbitMQ's log")

    def diagnose(self, problem):
        """Return why there is no reply: the problem, if not connected, or what the broker tells."""
        if self.connection is None:
            return problem
        if self.blocked:
            return f"the broker blocks publishers: {self.blocked}"
        try:
            queue = within(GRACE_SECONDS, self.channel.queue_declare, QUEUE, True).method  # passive
        except LOST as error:
            self.connection = None  # the thread may still be in it, and pika is not thread-safe
            return self.explain(error)
        if queue.consumer_count == 0:
            return "no server is consuming"
        return f"servers consuming: {queue.consumer_count}, requests waiting: {queue.message_count}"

    def explain(self, error):
        """Return what is wrong with the broker, in words for people."""
        where = ", ".join(f"{node.host}:{node.port}" for node in self.nodes)
        cause = getattr(error.args[0], "exception", error) if error.args else error  # pika wraps it
        if isinstance(cause, ConnectionRefusedError):
            return f"{where} refuses connections: is RabbitMQ running?"
        if isinstance(cause, (AMQPConnectorException, TimeoutError)):
            return f"{where} does not answer: is RabbitMQ overloaded, or the network down?"
        return f"{where} failed: {cause}"

    def close(self) -> None:
        """Close the connection, in GRACE_SECONDS at most; a later call would make a new one."""
        connection, self.connection = self.connection, None
        if connection:
            with contextlib.suppress(*LOST):
                within(GRACE_SECONDS, connection.close)

    def __enter__(self) -> "FibonacciRpcClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def within(seconds, step, *args):
    """Return step(*args), or raise TimeoutError: pika itself would wait without a limit."""
    results = []

    def run():
        try:
            results.append(step(*args))
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not results:
        raise TimeoutError
    if isinstance(results[0], Exception):
        raise results[0]
    return results[0]


def printable(body):
    """Return the text in `body`, cut, with what could control a terminal escaped."""
    text = str(body, errors="backslashreplace")[:200]
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def main() -> None:
    """Ask for each number on the command line, and say in one line what failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n", nargs="*", type=int, default=[30], metavar="N", help="default: 30")
    parser.add_argument("--timeout", type=float, default=TIMEOUT_SECONDS, metavar="SECONDS")
    args = parser.parse_args()
    try:
        with FibonacciRpcClient(timeout=args.timeout) as fibonacci_rpc:
            for n in args.n:
                print(f" [x] Requesting fib({n})", flush=True)
                print(f" [.] Got {fibonacci_rpc.call(n, args.timeout)}", flush=True)
    except KeyboardInterrupt:
        sys.exit(130)
    except (RpcError, OSError, ValueError) as error:
        sys.exit(f" [!] {error}")


if __name__ == "__main__":
    main()
