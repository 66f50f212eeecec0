#!/usr/bin/env python
"""RPC client over RabbitMQ: has the servers on rpc_queue compute Fibonacci numbers.

Run `python rpc_client.py 30`, or use FibonacciRpcClient in a program; AMQP_URL names the broker.
The design is that of https://www.rabbitmq.com/tutorials/tutorial-six-python, and each line beyond
it answers a failure that it names.
"""

import argparse
import contextlib
import copy
import math
import operator
import os
import re
import sys
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError, ConsumerCancelled

DEFAULT_URL = "amqp://guest:guest@localhost:5672/%2F"
QUEUE = "rpc_queue"
TIMEOUT_SECONDS = 10.0
RETRY_SECONDS = 0.25  # between two attempts to connect
GRACE_SECONDS = 0.4  # after the deadline, to ask the broker why; also what close() may take
BLOCKED_SECONDS = 30.0  # in an alarm, a connection ends after this, and the thread that asks why
MAX_EXPIRATION_MS = 2**32 - 1  # RabbitMQ closes the channel on more (rabbitmq.com/docs/ttl)

# pika's ways to say that it can't talk to the broker (the last two: an impossible name or option)
LOST = (AMQPError, AMQPConnectorException, OSError, ValueError, TypeError)
# An @ further on belongs to a password with an unescaped / ? or #, whose rest would be shown.
URL_FORM = "(?i)amqps?://[^/?#]*([/?#][^@]*)?"
URL_HINT = "is it amqp://user:password@host:port/vhost, percent-encoded?"


class RpcError(Exception):
    """The server refused the request or failed, in its words; or the answer is not a number."""


class NoServerError(RpcError):
    """There is no rpc_queue: no server has declared it, or someone deleted it."""


class FibonacciRpcClient:
    """Calls fib() on the servers behind rpc_queue; for one thread at a time.

    `url` is an AMQP URL, or those of a cluster's nodes separated by commas, tried in order;
    None stands for AMQP_URL. A client connects when it is made, in `timeout` seconds, 10 at most.
    Raises ValueError for a malformed URL or a `timeout` that is not above 0, ConnectionError if the
    broker is not there or refuses.
    """

    def __init__(self, url: str | None = None, timeout: float = TIMEOUT_SECONDS) -> None:
        urls = re.split(r"(?i),\s*(?=amqps?://)", url or os.environ.get("AMQP_URL") or DEFAULT_URL)
        try:
            if not all(re.fullmatch(URL_FORM, url) for url in urls):
                raise ValueError
            self.nodes = [pika.URLParameters(url) for url in urls]
        except Exception as error:  # whatever pika's parsing stumbles on, with the password in it
            kind = type(error).__name__
            raise ValueError(f"AMQP_URL is malformed ({kind}): {URL_HINT}") from None
        if not timeout > 0:
            raise ValueError("timeout must be above 0")
        self.connection: pika.BlockingConnection | None = None
        self.response: bytes | RpcError | None = None
        try:
            self.connect(min(timeout, TIMEOUT_SECONDS))
        except LOST as error:
            raise ConnectionError(self.explain(error)) from None

    def connect(self, seconds: float) -> None:
        """Connect to the first node that answers within its share of the time.

        pika's own limits are for each address of a node, and an unknown name ends its list.
        """
        share = seconds / len(self.nodes)
        for node in map(copy.copy, self.nodes):  # pika changes its own, also in a late thread
            node.socket_timeout = node.stack_timeout = share
            node.blocked_connection_timeout = node.blocked_connection_timeout or BLOCKED_SECONDS
            opened: list[pika.BlockingConnection] = []
            try:
                self.channel, self.callback_queue = within(share, opened, self.open, node, opened)
                self.connection = self.channel.connection
                return
            except LOST as error:
                problem = error
        raise problem

    def open(
        self, node: pika.URLParameters, opened: list[pika.BlockingConnection]
    ) -> tuple[BlockingChannel, str]:
        """Connect, declare the callback queue and consume from it."""
        connection = pika.BlockingConnection(node)
        opened.append(connection)
        channel = connection.channel()
        callback_queue = channel.queue_declare(queue="", exclusive=True).method.queue
        channel.basic_consume(callback_queue, self.on_response, auto_ack=True)
        channel.add_on_return_callback(self.on_return)
        return channel, callback_queue

    def on_response(self, ch: Any, method: Any, props: pika.BasicProperties, body: bytes) -> None:
        """Take the first answer to the present request; ignore late, repeated and foreign ones."""
        if self.response is None and props.correlation_id == self.corr_id:
            words = repr(body[:200])[2:-1] or "the server failed and gave no reason"
            self.response = RpcError(words) if props.type == "error" else body

    def on_return(self, ch: Any, method: Any, props: pika.BasicProperties, body: bytes) -> None:
        """Learn that there is no queue for the request."""
        if self.response is None and props.correlation_id == self.corr_id:
            self.response = NoServerError(f"there is no {QUEUE}: start a server")

    def call(self, n: int, timeout: float | None = TIMEOUT_SECONDS) -> int:
        """Return fib(n), computed by a server within `timeout` seconds (None: wait for ever).

        A lost connection is re-established and the request sent again: a second run does no harm.
        Raises RpcError, NoServerError, TimeoutError with the reason as far as the broker can tell,
        TypeError if `n` is not an integer, ValueError if Python writes no integer that long or
        `timeout` is not above 0.
        """
        if timeout is not None and not timeout > 0:
            raise ValueError("timeout must be above 0")
        request = b"%d" % operator.index(n)
        deadline = time.monotonic() + (math.inf if timeout is None else timeout)
        self.corr_id = str(uuid.uuid4())
        self.response, problem = None, ""
        while self.response is None:
            left = deadline - time.monotonic()
            if left <= 0:
                reason = self.diagnose() if self.connection else problem or "no time to connect"
                raise TimeoutError(f"no answer within {timeout:g} s: {reason}")
            try:
                if self.connection is None:
                    self.connect(min(left, TIMEOUT_SECONDS))
                self.ask(request, deadline)
                self.wait(deadline)
                if problem and isinstance(self.response, NoServerError):
                    self.response = None  # the queue went with the broker: its server may be back
                    raise ConsumerCancelled(f"no queue '{QUEUE}' any more")
            except LOST as error:
                self.close()
                if not problem or left > GRACE_SECONDS:  # a shorter try tells nothing new
                    problem = self.explain(error)
                time.sleep(RETRY_SECONDS)
        if isinstance(self.response, RpcError):
            raise self.response
        try:
            return int(self.response)
        except ValueError:
            raise RpcError(f"the answer is not a number: {self.response[:40]!r}") from None

    def ask(self, request: bytes, deadline: float) -> None:
        """Publish the request; it is returned if there is no queue, and expires at the deadline."""
        left_ms = max(deadline - time.monotonic(), 0) * 1000
        self.channel.basic_publish(
            exchange="",
            routing_key=QUEUE,
            properties=pika.BasicProperties(
                reply_to=self.callback_queue,
                correlation_id=self.corr_id,
                expiration=str(int(left_ms)) if left_ms <= MAX_EXPIRATION_MS else None,
            ),
            body=request,
            mandatory=True,
        )

    def wait(self, deadline: float) -> None:
        """Process I/O until the answer or the deadline: pika does none between our calls."""
        while self.response is None and (left := deadline - time.monotonic()) > 0:
            self.channel.connection.process_data_events(time_limit=left)
            if not (self.channel.is_open and self.channel.consumer_tags):
                raise ConsumerCancelled("it closed the channel or its queue, and its log says why")

    def diagnose(self) -> str:
        """Return why no answer came, as far as the broker tells."""
        connection, self.connection = self.channel.connection, None  # the thread's, until done
        try:
            declare = self.channel.queue_declare
            queue = within(GRACE_SECONDS, [connection], declare, QUEUE, True).method  # passive
        except LOST as error:
            return self.explain(error)
        self.connection = connection
        if queue.consumer_count == 0:
            return "no server is consuming"
        return f"servers consuming: {queue.consumer_count}, requests waiting: {queue.message_count}"

    def explain(self, error: BaseException) -> str:
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
        if connection and connection.is_open:
            with contextlib.suppress(*LOST, RuntimeError):  # at exit, Python starts no threads
                within(GRACE_SECONDS, [], connection.close)

    def __enter__(self) -> "FibonacciRpcClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def within(
    seconds: float, connections: list[pika.BlockingConnection], step: Callable[..., Any], *args: Any
) -> Any:
    """Return step(*args), for which pika has no time limit; or raise TimeoutError without it.

    If the step fails or comes too late, nobody wants its connections, and they are closed.
    """
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(step(*args))  # an InvalidStateError if it is cancelled: too late
        except Exception as error:
            with contextlib.suppress(InvalidStateError):
                future.set_exception(error)
            for connection in connections:
                with contextlib.suppress(*LOST):
                    connection.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if future.cancel():  # it is not done
        raise TimeoutError
    return future.result()


def main() -> None:
    """Ask for each number on the command line, and say in one line what failed."""
    parser = argparse.ArgumentParser(
        description="Have an RPC server compute Fibonacci numbers.",
        epilog=f"The environment variable AMQP_URL names the broker (default: {DEFAULT_URL}).",
    )
    parser.add_argument("n", nargs="*", type=int, default=[30], metavar="N", help="default: 30")
    parser.add_argument("--timeout", type=float, default=TIMEOUT_SECONDS, metavar="SECONDS")
    args = parser.parse_args()
    if not args.timeout > 0:
        parser.error("--timeout must be above 0")
    try:
        with FibonacciRpcClient(timeout=args.timeout) as fibonacci_rpc:
            for n in args.n:
                print(f" [x] Requesting fib({n})", flush=True)
                print(f" [.] Got {fibonacci_rpc.call(n, args.timeout)}", flush=True)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # nobody reads on, as with `| head -1`
        os._exit(1)
    except (RpcError, OSError, ValueError) as error:
        sys.exit(f" [!] {error}")


if __name__ == "__main__":
    main()
