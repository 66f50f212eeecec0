"""RPC client; AMQP_URL names the broker. See rabbitmq.com/tutorials/tutorial-six-python."""

import argparse
import contextlib
import os
import re
import ssl
import sys
import threading
import time
import uuid
import warnings
from collections import defaultdict
from concurrent import futures
from typing import Any, Self
from urllib.parse import urlsplit

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

DEFAULT_URL = "amqp://guest:guest@localhost:5672/%2F"
URL_FORM = "amqp://user:password@host:port/vhost, percent-encoded (@ as %40); TLS files must exist"
TIMEOUT_SECONDS = 10.0
MAX_TIMEOUT_SECONDS = 4_294_967  # RabbitMQ closes the channel on a longer expiration.
MIN_ATTEMPT_SECONDS = 0.5  # With less left for a node, an attempt cannot tell why it fails.
RETRY_SECONDS = 0.5  # between two attempts
GRACE_SECONDS = 0.4  # for asking RabbitMQ why there is no response, and for closing
# On Linux, these end a connection to a dead machine, or over a stalled network, in five seconds.
TCP_OPTIONS = {"TCP_KEEPIDLE": 2, "TCP_KEEPINTVL": 1, "TCP_USER_TIMEOUT": 4_000}  # s, s, ms


class RpcError(Exception):
    """The function failed, or RabbitMQ refused the request: the message says why."""


class RefusedError(RpcError):
    """The function refused the request (`Refused` in rpc_server.py)."""


class NoServerError(RpcError):
    """A request found no queue when it was sent, or no server that consumes it at its deadline."""


# The tutorial's client, for one attempt. Programs use FibonacciRpcClient, below: its call() makes
# attempts until there is a response.
class RpcConnection:
    """One connection, for one call at a time."""

    def __init__(self, url, queue):
        self.url = url
        self.address = node_address(url)
        self.queue = queue
        self.connection: Any = None
        self.blocked = None  # RabbitMQ's reason, while it blocks publishers
        self.corr_id = ""
        self.response: bytes | RpcError | None = None

    def open(self, seconds):  # the tutorial's __init__()
        self.connection = pika.BlockingConnection(self.parameters(seconds))
        self.channel = self.connection.channel()
        result = self.channel.queue_declare(queue="", exclusive=True)
        self.callback_queue = result.method.queue

        self.channel.basic_consume(
            queue=self.callback_queue,
            on_message_callback=self.on_response,
            auto_ack=True,
        )
        self.channel.add_on_return_callback(self.on_return)
        self.connection.add_on_connection_blocked_callback(self.on_blocked)
        self.connection.add_on_connection_unblocked_callback(self.on_unblocked)

    def on_response(self, ch, method, props, body):
        if self.corr_id == props.correlation_id and self.response is None:  # else late: dropped
            self.response = body
            if error := {"error": RpcError, "refused": RefusedError}.get(props.type):
                self.response = error(body.decode(errors="backslashreplace")[:200])

    def call(self, body, corr_id, deadline):
        """Publish the request and wait; return the response, an RpcError, or None if time is up."""
        self.response = None
        self.corr_id = corr_id  # str(uuid.uuid4()), made once in ask() for all of its attempts
        self.channel.basic_publish(
            exchange="",
            routing_key=self.queue,
            properties=pika.BasicProperties(
                reply_to=self.callback_queue,
                correlation_id=self.corr_id,
                expiration=str(int(deadline.seconds_left() * 1000)),  # ms
            ),
            body=body,
            mandatory=True,  # If there is no queue, RabbitMQ returns the request: on_return().
        )
        while self.response is None and deadline.seconds_left():
            self.raise_if_channel_is_lost()
            self.connection.process_data_events(time_limit=deadline.seconds_left())
        return self.response  # FibonacciRpcClient.call() makes an int of it.

    # What the tutorial leaves out.
    def wait_while_blocked(self, deadline):
        while self.blocked and deadline.seconds_left():  # RabbitMQ reads no request meanwhile.
            self.connection.process_data_events(time_limit=deadline.seconds_left())

    def raise_if_channel_is_lost(self):
        if self.channel.is_closed:  # pika before 1.5 does not raise RabbitMQ's reason.
            reason = "over max_message_size, or not allowed: see its log"
            raise RpcError(f"{self.address} refused the request: {reason}")
        if not self.channel.consumer_tags:  # RabbitMQ has cancelled the consumer.
            raise AMQPError("the callback queue is gone: see RabbitMQ's log")

    def on_return(self, ch, method, props, body):
        if self.corr_id == props.correlation_id:
            reason = f"there is no {self.queue} on {self.address}: start a server"
            self.response = NoServerError(reason)

    def on_blocked(self, connection, frame):
        self.blocked = frame.method.reason

    def on_unblocked(self, connection, frame):
        self.blocked = None

    def parameters(self, seconds):
        node = node_parameters(self.url, TCP_OPTIONS)
        node.socket_timeout = seconds / 2  # so that there is time for a host's second address
        node.stack_timeout = seconds
        node.blocked_connection_timeout = None  # wait_while_blocked() waits until the deadline.
        return node

    def diagnose(self, deadline):
        """Ask RabbitMQ why there is no response, and return the error that says it."""
        if self.blocked:
            return TimeoutError(f"{deadline.missed}: the broker blocks publishers: {self.blocked}")
        seen = self.channel.queue_declare(queue=self.queue, passive=True).method
        if seen.consumer_count == 0:
            return NoServerError(f"{deadline.missed}: no server is consuming")
        counts = f"servers consuming: {seen.consumer_count}, requests waiting: {seen.message_count}"
        expired = "the request expired as all were busy, or a server computes it, or lost it"
        return TimeoutError(f"{deadline.missed}: {counts}; {expired}: see the servers' logs")

    def close(self):
        if self.connection and self.connection.is_open and not self.blocked:  # It would hang then.
            self.connection.close()

    def within(self, seconds, step, *args):
        """Return what step(*args) returns; ConnectionError if the step fails or takes longer.

        The step runs in a thread, as pika may hang. If the caller does not wait for the step's end,
        the future is cancelled, and the connection is left to that thread, which closes it.
        """
        future: futures.Future = futures.Future()
        thread = threading.Thread(target=self.work, args=[future, step, *args], daemon=True)
        try:
            try:
                thread.start()
            except RuntimeError as error:  # no thread to be had, as in a container that limits them
                raise ConnectionError(f"{self.address} {explain(error)}") from error
            futures.wait([future], seconds)  # result()'s TimeoutError may be a time limit's, too.
        finally:  # Ctrl-C, or a task queue's time limit, may have ended the wait.
            cancelled = future.cancel()  # False if the step has ended
        failure = TimeoutError() if cancelled else future.exception()
        if failure:
            raise ConnectionError(f"{self.address} {explain(failure)}") from failure
        return future.result()

    def work(self, future, step, *args):
        """In a thread, do the step; if that fails, or the caller has gone, close the connection."""
        try:
            future.set_result(step(*args))  # InvalidStateError if the caller has gone
        except Exception as error:  # pika raises many types while it connects.
            with contextlib.suppress(futures.InvalidStateError):  # The caller has gone.
                future.set_exception(error)
            with contextlib.suppress(Exception):  # Nobody waits to learn how closing ends.
                self.close()

    def close_within(self, seconds):
        """Close the connection, also one that is lost, or on which pika was interrupted."""
        with contextlib.suppress(ConnectionError):
            self.within(seconds, self.close)


class Deadline:
    """The moment at which a call ends, and the last one at which an attempt may begin."""

    def __init__(self, timeout, nodes=1):
        self.end = time.monotonic() + min(timeout, MAX_TIMEOUT_SECONDS)
        self.last_attempt = self.end - min(nodes * MIN_ATTEMPT_SECONDS, timeout / 2)
        self.missed = f"no answer within {timeout:g} s"

    def seconds_left(self):
        return max(0, self.end - time.monotonic())


class RpcClient:
    """Asks the servers that consume `queue`. Threads, and forked children, may share a client.

    `url` names the broker, or a cluster's nodes, separated by commas; by default AMQP_URL does.
    ValueError if a URL is malformed. The first ask() connects.
    """

    def __init__(self, queue: str, url: str | None = None) -> None:
        self.queue = queue
        self._urls = node_urls(url)
        # Connections that no call uses. A forked child must not use those of its parent.
        self._idle: dict[int, list[RpcConnection]] = defaultdict(list)  # by process id

    def connect(self, timeout: float = TIMEOUT_SECONDS) -> None:
        """Connect before the first ask(). ConnectionError if no node answers (10 s at most)."""
        self._idle[os.getpid()].append(self._open(timeout))

    def ask(self, body: bytes, timeout: float = TIMEOUT_SECONDS) -> bytes:
        """Return the reply. A request lost on the way is sent again, and may be computed again.

        Raises RpcError, or TimeoutError a second after `timeout` at most (large requests: later).
        The error's note has the correlation id. Servers log it if the request fails or comes again.
        """
        corr_id = str(uuid.uuid4())
        try:
            return self._retry(body, corr_id, Deadline(timeout, len(self._urls)))
        except (RpcError, TimeoutError) as error:
            error.add_note(f"correlation id: {corr_id}")
            raise

    def _retry(self, body, corr_id, deadline):
        """Try the idle connections, then new ones, until the deadline."""
        reason = "there was no time to send the request"
        while time.monotonic() < deadline.last_attempt:
            idle = self._take_idle()
            try:
                rpc = idle or self._open(deadline.seconds_left())
                return self._attempt(rpc, body, corr_id, deadline)
            except ConnectionError as error:
                reason = str(error)
            # Idle connections are often lost, as pika sends no heartbeats: no pause after those.
            if idle is None:
                time.sleep(min(RETRY_SECONDS, deadline.seconds_left()))
        raise TimeoutError(f"{deadline.missed}: {reason}")

    def _take_idle(self):
        """Return the connection that was used last and that no call uses, or None."""
        try:
            return self._idle[os.getpid()].pop()  # atomic: no other thread gets it
        except IndexError:
            return None

    def _open(self, seconds):
        """Return a connection to the first node that answers within its share of the time."""
        share = max(0.001, min(seconds, TIMEOUT_SECONDS)) / len(self._urls)  # pika rejects 0.
        reasons = []
        for url in self._urls:
            rpc = RpcConnection(url, self.queue)
            try:
                rpc.within(share, rpc.open, share)
                return rpc
            except ConnectionError as error:
                reasons.append(str(error))
        raise ConnectionError("; ".join(reasons))

    def _attempt(self, rpc, body, corr_id, deadline):
        """Return the response, or raise the error in its place; ConnectionError if rpc is lost."""
        try:
            rpc.wait_while_blocked(deadline)
            outcome = rpc.call(body, corr_id, deadline) if deadline.seconds_left() else None
        except BaseException as error:  # also Ctrl-C and a task queue's time limit
            rpc.close_within(GRACE_SECONDS)
            clear_openssl_errors()
            if isinstance(error, ChannelClosedByBroker):  # RabbitMQ would refuse it again.
                raise RpcError(f"{rpc.address} refused the request: {error.reply_text}") from error
            if isinstance(error, AMQPError):
                raise ConnectionError(f"{rpc.address} {explain(error)}") from error
            raise
        if outcome is None:
            outcome = rpc.within(GRACE_SECONDS, rpc.diagnose, deadline)
        rpc.response = None  # An idle connection keeps no response in memory.
        self._idle[os.getpid()].append(rpc)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def close(self) -> None:
        """Close the connections that no call uses, within GRACE_SECONDS. A later call connects."""
        deadline = Deadline(GRACE_SECONDS)
        while rpc := self._take_idle():
            rpc.close_within(deadline.seconds_left())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FibonacciRpcClient(RpcClient):
    """The tutorial's interface. Its steps are in RpcConnection, which ask() uses."""

    def __init__(self, url: str | None = None) -> None:
        super().__init__("rpc_queue", url)

    def call(self, n: int, timeout: float = TIMEOUT_SECONDS) -> int:
        """Return fib(n). Raises what ask() raises, and ValueError if the reply is no number."""
        return int(self.ask(str(n).encode(), timeout))


def clear_openssl_errors():
    """Clear OpenSSL's errors of this thread: one would end its next connection (cpython 148594)."""
    with contextlib.suppress(ssl.SSLError):  # "none" is no cipher: that failure clears them.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers("none")


# rpc_server.py imports node_urls(), node_address(), node_parameters() and explain().
def node_urls(url=None):
    """Return the URLs in `url`, by default in AMQP_URL; ValueError if one is malformed."""
    urls = re.split(r"(?i)\s*,\s*(?=amqp)", url or os.environ.get("AMQP_URL") or DEFAULT_URL)
    try:
        for node in urls:
            pika.URLParameters(node)  # raises errors of many types
            if urlsplit(node).scheme not in ("amqp", "amqps") or not urlsplit(node).hostname:
                raise ValueError  # pika takes http: for amqp:, and no host for localhost
    except Exception:  # its message may contain the password
        raise ValueError(f"{'url' if url else 'AMQP_URL'} is malformed: write {URL_FORM}") from None
    return urls


def node_address(url):
    """Return the host and the port of a node, without the password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def node_parameters(url, tcp_options):
    """Return pika's parameters of a node, with these options unless the URL has its own."""
    node = pika.URLParameters(url)  # Read at each attempt, as certificates are renewed.
    node.connection_attempts = 1  # The caller makes the next attempt.
    if sys.platform == "linux":  # Elsewhere, pika warns of the options that it does not know.
        node.tcp_options = node.tcp_options or tcp_options
    return node


def explain(error):
    """Return what happened, in plain words, by the error's text: pika's types do not tell."""
    if "ConnectionRefusedError" in repr(error):
        return "refuses connections: is RabbitMQ running?"
    if re.search("TimeoutError|StackTimeout|HeartbeatTimeout", repr(error)):
        return "does not answer: is RabbitMQ overloaded, or the network down?"
    if re.search("indicated EOF|EndOfFile|EOFError|ResetError|BrokenPipe|getpeername", repr(error)):
        suspects = "is RabbitMQ starting or stopping, was a heartbeat missed, or is it a TLS port?"
        return f"closed the connection: {suspects}"
    return f"failed: {str(error) or repr(error)}"


def main() -> None:
    warnings.filterwarnings("ignore", "BlockingConnection is deprecated")  # pika 2 removes it.
    parser = argparse.ArgumentParser(description="Ask for Fibonacci numbers at AMQP_URL's broker.")
    parser.add_argument("n", nargs="*", type=int, default=[30], help="0 to 20000 (default: 30)")
    parser.add_argument("--timeout", type=float, default=TIMEOUT_SECONDS, help="default: 10 s")
    args = parser.parse_args()
    if not args.timeout > 0:  # also nan
        parser.error("--timeout: must be more than 0 seconds")
    try:
        with FibonacciRpcClient() as fibonacci_rpc:
            fibonacci_rpc.connect(args.timeout)
            for n in args.n:
                print(f" [x] Requesting fib({n})", flush=True)
                print(f" [.] Got {fibonacci_rpc.call(n, args.timeout)}", flush=True)
    except KeyboardInterrupt:
        parser.exit(130)
    except (RpcError, OSError, ValueError) as error:
        parser.exit(1, f" [!] {error}\n")


if __name__ == "__main__":
    main()
