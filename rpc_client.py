"""RPC client over RabbitMQ: has the servers on rpc_queue compute Fibonacci numbers.

AMQP_URL names the broker. See https://www.rabbitmq.com/tutorials/tutorial-six-python.
"""

import argparse
import concurrent.futures
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
from pika.exceptions import AMQPError

DEFAULT_URL = "amqp://guest:guest@localhost:5672/%2F"
URL_FORM = "write amqp://user:password@host:port/vhost, : / ? # [ ] @ % in a part percent-encoded"
QUEUE = "rpc_queue"  # Change: each function has a queue of its own.
TIMEOUT_SECONDS = 10.0
RETRY_SECONDS = 0.25  # between two attempts to connect
GRACE_SECONDS = 0.4  # for asking the broker why there is no reply, and for closing
MAX_EXPIRATION_MS = 2**32 - 1  # RabbitMQ closes the channel on more (rabbitmq.com/docs/ttl)
LOST = (AMQPError, AMQPConnectorException, OSError, ValueError)  # ValueError: reset in connecting


class RpcError(Exception):
    """The server refused the request or failed, in its words; or the reply is not a result."""


class NoServerError(RpcError):
    """There is no rpc_queue: no server has declared it yet, or someone deleted it."""


class FibonacciRpcClient(contextlib.AbstractContextManager["FibonacciRpcClient"]):  # Change: name
    """Calls fib() on the servers that consume rpc_queue; RuntimeError if two calls overlap.

    `url` names the broker, or a cluster's nodes, separated by commas; by default AMQP_URL does.
    Raises ValueError if it is malformed, ConnectionError if none answers in time (10 s at most).
    """

    def __init__(self, url: str | None = None, timeout: float = TIMEOUT_SECONDS) -> None:
        urls = re.split(r"(?i),\s*(?=amqps?://)", url or os.environ.get("AMQP_URL") or DEFAULT_URL)
        try:
            self.nodes = [pika.URLParameters(node) for node in urls]
        except Exception:  # its message may contain the password
            raise ValueError(f"AMQP_URL is malformed: {URL_FORM}; its files must exist") from None
        self.one_call = threading.Lock()
        try:
            self.connect(timeout)
        except LOST as error:
            raise ConnectionError(self.explain(error)) from None

    def connect(self, seconds):
        """Connect to the first node that answers within its share of the time."""
        share = max(0.001, min(TIMEOUT_SECONDS, seconds)) / len(self.nodes)  # pika refuses 0
        for node in self.nodes:
            node.socket_timeout = share / 2  # so that the second address of a name has its turn
            node.stack_timeout = share  # so that the thread of a failed attempt ends, too
            try:
                self.connection, self.channel, self.callback_queue = within(share, self.open, node)
                self.blocked = None
                return
            except LOST as error:
                last_error = error
        raise last_error

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
        """Take the first reply to the request; raise RpcError, like on_return(), for an error."""
        if self.response is None and self.corr_id == props.correlation_id:
            if props.type == "error":
                raise RpcError(printable(body) or "the server failed and gave no reason")
            self.response = body

    def call(self, n: int, timeout: float | None = TIMEOUT_SECONDS) -> int:  # Change: types
        """Return fib(n), computed by a server within `timeout` seconds; None waits for ever.

        Raises RpcError, NoServerError, TimeoutError with the reason, TypeError if n is no integer.
        """
        request = b"%d" % operator.index(n)  # Change: from arguments to bytes.
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        if not self.one_call.acquire(blocking=False):
            raise RuntimeError("another call is under way: make a client for each thread")
        try:
            reason = self.ask(request, deadline)
            if self.response is None:
                reason = self.diagnose() if self.connection else reason
                raise TimeoutError(f"no answer within {timeout:g} s: {reason}")
            return int(self.response)  # Change: from bytes to the result.
        except ValueError:  # Change: what the conversion above raises, and the words for it.
            raise RpcError(f"the answer is not a number: {printable(self.response)}") from None
        finally:
            self.one_call.release()

    def ask(self, request, deadline):
        """Connect, publish, wait, one step a turn; start over if one fails; return why one did."""
        self.response, self.corr_id = None, str(uuid.uuid4())
        published, reason = False, "there was no time to connect"
        while self.response is None and (left := deadline - time.monotonic()) > 0:
            try:
                if self.connection is None:
                    self.connect(left)
                elif not (published or self.blocked):
                    properties = pika.BasicProperties(
                        reply_to=self.callback_queue,
                        correlation_id=self.corr_id,
                        expiration=str(int(min(left * 1000, MAX_EXPIRATION_MS))),
                    )
                    self.channel.basic_publish("", QUEUE, request, properties, mandatory=True)
                    published = True
                else:
                    self.connection.process_data_events(time_limit=left)
                    if not self.channel.consumer_tags:  # no reply can come: start over
                        raise AMQPError("the channel or its queue was closed: see RabbitMQ's log")
            except LOST as error:
                reason, published = self.explain(error), False
                self.close()
                time.sleep(RETRY_SECONDS)
        return reason

    def diagnose(self):
        """Return why there is no reply, as the broker tells it."""
        if self.blocked:
            return f"the broker blocks publishers: {self.blocked}"
        try:
            queue = within(GRACE_SECONDS, self.channel.queue_declare, QUEUE, passive=True).method
        except LOST as error:
            if isinstance(error, TimeoutError):
                self.connection = None  # the thread is still in it: see within()
            self.close()
            return self.explain(error)
        if queue.consumer_count == 0:
            return "no server is consuming"
        return f"servers consuming: {queue.consumer_count}, requests waiting: {queue.message_count}"

    def explain(self, error):
        """Return what happened, in plain words; pika tells it only in the text of its errors."""
        where, text = ", ".join(f"{node.host}:{node.port}" for node in self.nodes), repr(error)
        if "ConnectionRefusedError" in text:
            return f"{where} refuses connections: is RabbitMQ running?"
        if any(sign in text for sign in ("TimeoutError", "StackTimeout", "HeartbeatTimeout")):
            return f"{where} does not answer: is RabbitMQ overloaded, or the network down?"
        if any(sign in text for sign in ("EOF", "ConnectionReset", "BrokenPipe", "getpeername")):
            return f"{where} closed the connection: is RabbitMQ still starting, or going down?"
        return f"{where} failed: {str(error) or text}"

    def close(self) -> None:
        """Close the connection, in GRACE_SECONDS at most; a later call would make a new one."""
        connection, self.connection = self.connection, None
        if connection:
            with contextlib.suppress(*LOST):
                within(GRACE_SECONDS, connection.close)

    def __exit__(self, *_: object) -> None:
        self.close()


def within(seconds, step, *args, **kwargs):
    """Return what the step returns, or raise TimeoutError: pika itself would wait without a limit.

    The step goes on in its thread then, so that its connection must not be used again.
    """
    future = concurrent.futures.Future()

    def run():
        try:
            future.set_result(step(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    if not concurrent.futures.wait([future], seconds).done:
        raise TimeoutError
    return future.result()


def printable(body):
    """Return the text in `body`, cut, with what could control a terminal escaped."""
    text = body.decode(errors="backslashreplace")[:200]
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def main() -> None:  # Change: what the command line takes and prints.
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
