"""RPC client; AMQP_URL names the broker. See rabbitmq.com/tutorials/tutorial-six-python."""

import argparse
import contextlib
import contextvars
import os
import re
import ssl
import sys
import threading
import time
import uuid
import warnings
from concurrent import futures
from typing import Any, Self
from urllib.parse import urlsplit

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

DEFAULT_URL = "amqp://guest:guest@localhost:5672/%2F"
URL_FORM = "amqp://user:password@host:port/vhost, percent-encoded (@ as %40); TLS files must exist"
TIMEOUT_SECONDS = 10.0
MAX_TIMEOUT_SECONDS = 4_294_967  # RabbitMQ closes the channel on a longer expiration.
MIN_ATTEMPT_SECONDS = 0.5  # With less for each node, an attempt cannot tell why it fails.
RETRY_SECONDS = 0.25  # between two attempts
GRACE_SECONDS = 0.4  # for asking RabbitMQ why there is no response, and for closing
MAX_IDLE_SECONDS = 30.0  # Later, RabbitMQ or a firewall may have given the connection up.
LARGE_BYTES = 65_536  # A smaller request fits into the socket's buffer: sending it takes no time.
# On Linux, these end a connection to a dead machine, or over a stalled network, in five seconds.
TCP_OPTIONS = {"TCP_KEEPIDLE": 2, "TCP_KEEPINTVL": 1, "TCP_USER_TIMEOUT": 4_000}  # s, s, ms


class RpcError(Exception):
    """What ask() raises. A plain RpcError: the function failed, or RabbitMQ refused the request."""

    correlation_id = ""  # Servers log it if a request is refused, fails or is redelivered.


class RefusedError(RpcError):
    """The function refused the request (`Refused` in rpc_server.py)."""


class NoServerError(RpcError):
    """There is no queue (told at once), or no server consumes it (told at the deadline)."""


class RpcTimeoutError(RpcError, TimeoutError):
    """No reply came in time: the message says why, such as busy servers or an absent broker."""


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
        self.outcome: bytes | RpcError | None = None  # the tutorial's response, or an error
        self.step: futures.Future | None = None  # what within() has a thread do

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
        if self.corr_id == props.correlation_id and self.outcome is None:  # else late: dropped
            self.outcome = body
            if error := {"error": RpcError, "refused": RefusedError}.get(props.type):
                self.outcome = error(body.decode(errors="backslashreplace")[:200])

    def call(self, body, corr_id, deadline):
        """Publish the request and wait; return the response, an RpcError, or None if none came."""
        self.outcome = None
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
        # consumer_tags is empty once RabbitMQ has closed the channel, or cancelled the consumer.
        while self.outcome is None and self.channel.consumer_tags and deadline.seconds_left():
            self.connection.process_data_events(time_limit=deadline.seconds_left())
        return self.outcome  # FibonacciRpcClient.call() makes an int of it.

    # What the tutorial leaves out.
    def call_in_time(self, body, corr_id, deadline):
        """Wait while RabbitMQ blocks publishers, then call(). None if the time is up before."""
        while self.blocked and deadline.seconds_left():  # RabbitMQ reads no request meanwhile.
            self.connection.process_data_events(time_limit=deadline.seconds_left())
        if not (seconds := deadline.seconds_left()):
            return None
        if len(body) < LARGE_BYTES:
            return self.call(body, corr_id, deadline)
        # Sending a large request may take longer than there is time.
        return self.within(seconds + GRACE_SECONDS, self.call, body, corr_id, deadline)

    def on_return(self, ch, method, props, body):
        if self.corr_id == props.correlation_id:
            self.outcome = NoServerError(f"{self.address} has no {self.queue}: start a server")

    def on_blocked(self, connection, frame):
        self.blocked = frame.method.reason

    def on_unblocked(self, connection, frame):
        self.blocked = None

    def parameters(self, seconds):
        node = node_parameters(self.url, TCP_OPTIONS)
        node.socket_timeout = seconds / 2  # so that there is time for a host's second address
        node.stack_timeout = seconds
        node.blocked_connection_timeout = None  # call_in_time() waits until the deadline.
        return node

    def diagnose(self, missed):
        """Return the error that says why there is no response; ask RabbitMQ, if need be."""
        if self.channel.is_closed:  # pika before 1.5 does not raise RabbitMQ's reason.
            return RpcError(f"{self.address} refused the request: it is too large, or not allowed")
        if not self.channel.consumer_tags:  # RabbitMQ has cancelled the consumer.
            raise AMQPError("the callback queue is gone: see RabbitMQ's log")
        if self.blocked:
            return RpcTimeoutError(f"{missed}: the broker blocks publishers: {self.blocked}")
        try:
            seen = self.channel.queue_declare(queue=self.queue, passive=True).method
        except ChannelClosedByBroker as error:  # 404: no queue. Or the user has no right on it.
            kind = NoServerError if error.reply_code == 404 else RpcTimeoutError
            return kind(f"{missed}: {error.reply_text}")
        if seen.consumer_count == 0:
            return NoServerError(f"{missed}: no server is consuming")
        counts = f"servers consuming: {seen.consumer_count}, requests waiting: {seen.message_count}"
        return RpcTimeoutError(f"{missed}: {counts}; servers busy, slow or lost: see their logs")

    def within(self, seconds, step, *args):
        """Return what step(*args) returns; AMQPError if the step fails or takes longer.

        The step runs in a thread, as pika may hang. After any exception, call discard().
        """
        self.step = futures.Future()  # known to discard() before the thread starts
        in_thread(self.step, step, *args)
        futures.wait([self.step], seconds)  # result()'s TimeoutError might be a time limit's, too.
        failure = self.step.exception() if self.step.done() else TimeoutError()
        if failure:  # pika raises many types while it connects.
            raise failure if isinstance(failure, AMQPError) else AMQPError(failure)
        return self.step.result()

    def discard(self, seconds):
        """Close the connection in a thread, as pika may hang. Wait for that `seconds` at most."""
        if self.step and not self.step.done():  # Close after it: two threads must not meet there.
            self.step.add_done_callback(lambda _: in_thread(futures.Future(), self.close))
        else:
            futures.wait([in_thread(futures.Future(), self.close)], seconds)

    def close(self):
        if self.connection and self.connection.is_open:  # else pika logs an error
            self.connection.close()


class Deadline:
    """The moment at which a call ends."""

    def __init__(self, timeout):
        self.end = time.monotonic() + min(timeout, MAX_TIMEOUT_SECONDS)
        self.missed = f"no answer within {timeout:g} s"

    def seconds_left(self):
        return max(0, self.end - time.monotonic())


class RpcClient:
    """Asks the servers that consume `queue`. Threads, and forked children, may share a client.

    `url` names the broker, or a cluster's nodes, separated by commas; by default AMQP_URL does.
    ValueError if a URL is malformed. The first ask() connects.
    """

    def __init__(self, queue: str, url: str | None = None) -> None:
        check_queue(queue)
        self.queue = queue
        self._urls = node_urls(url)
        # Idle connections by process id, in the order of use: a child must not use its parent's.
        self._idle: dict[int, list] = {}

    def connect(self, timeout: float = TIMEOUT_SECONDS) -> None:
        """Connect before the first ask(). ConnectionError if no node answers (10 s at most)."""
        self._keep(self._open(timeout))

    def ask(self, body: bytes, timeout: float = TIMEOUT_SECONDS) -> bytes:
        """Return the reply. A request lost on the way is sent again, and may be computed again.

        Raises an RpcError if there is none, a second after `timeout` at most.
        """
        corr_id = str(uuid.uuid4())
        try:
            return self._retry(body, corr_id, Deadline(timeout))
        except RpcError as error:
            error.correlation_id = corr_id
            error.add_note(f"correlation id: {corr_id}")  # for tracebacks
            raise

    def _retry(self, body, corr_id, deadline):
        """Try the idle connections, then new ones, until the deadline."""
        reason = ""
        while seconds := deadline.seconds_left():
            # An attempt that is cut short cannot tell why it fails: an earlier reason is kept.
            is_cut_short = seconds < MIN_ATTEMPT_SECONDS * len(self._urls)
            idle = self._take_idle(MAX_IDLE_SECONDS)
            try:
                return self._attempt(idle or self._open(seconds), body, corr_id, deadline)
            except ConnectionError as error:
                if not reason or not is_cut_short:
                    reason = str(error)
            # Idle connections are often lost, as pika sends no heartbeats: no pause after those.
            if idle is None:
                time.sleep(min(RETRY_SECONDS, deadline.seconds_left()))
        raise RpcTimeoutError(f"{deadline.missed}: {reason or 'no time to send the request'}")

    def _keep(self, rpc):
        rpc.used = time.monotonic()
        rpc.outcome = rpc.step = None  # An idle connection keeps no response in memory.
        self._idle.setdefault(os.getpid(), []).append(rpc)

    def _take_idle(self, max_idle_seconds):
        """Return the connection that was used last, or None. Close those that are idle longer."""
        idle = self._idle.get(os.getpid(), [])
        try:
            while idle[0].used < time.monotonic() - max_idle_seconds:
                idle.pop(0).discard(0)
            return idle.pop()  # atomic: no other thread gets it
        except IndexError:  # None is left.
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
            except BaseException as error:  # also Ctrl-C and a task queue's time limit
                rpc.discard(GRACE_SECONDS)
                if not isinstance(error, AMQPError):
                    raise
                reasons.append(f"{rpc.address} {explain(error)}")
        raise ConnectionError("; ".join(reasons))

    def _attempt(self, rpc, body, corr_id, deadline):
        """Return the response, or raise the error in its place; ConnectionError if rpc is lost."""
        usable = False
        try:
            outcome = rpc.call_in_time(body, corr_id, deadline)
            if outcome is None:
                outcome = rpc.within(GRACE_SECONDS, rpc.diagnose, deadline.missed)
            usable = rpc.channel.is_open
        except ChannelClosedByBroker as error:  # RabbitMQ would refuse it again.
            raise RpcError(f"{rpc.address} refused the request: {error.reply_text}") from error
        except AMQPError as error:
            raise ConnectionError(f"{rpc.address} {explain(error)}") from error
        finally:  # also after Ctrl-C and a task queue's time limit
            if usable:
                self._keep(rpc)
            else:
                rpc.discard(GRACE_SECONDS)
                clear_openssl_errors()
        if isinstance(outcome, RpcError):
            raise outcome
        return outcome

    def close(self) -> None:
        """Close the connections that no call uses, within GRACE_SECONDS. A later call connects."""
        deadline = Deadline(GRACE_SECONDS)
        while rpc := self._take_idle(float("inf")):
            rpc.discard(deadline.seconds_left())

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
    """Clear OpenSSL's errors of this thread. A lost TLS connection leaves one, which would end the
    thread's next connection: "EOF occurred in violation of protocol" (cpython issue 148594).
    """
    with contextlib.suppress(ssl.SSLError):  # "none" is no cipher: that failure clears them.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers("none")


# rpc_server.py, too, uses the functions from in_thread() to explain().
def in_thread(future, step, *args):
    """Do the step in a daemon thread. Return the future, which gets its result or its error."""

    def run():
        try:
            future.set_result(step(*args))
        except Exception as error:
            future.set_exception(error)

    try:  # A copy of the context, as OpenTelemetry keeps the caller's span there.
        threading.Thread(target=contextvars.copy_context().run, args=[run], daemon=True).start()
    except RuntimeError as error:  # no thread to be had, as in a container that limits them
        future.set_exception(error)
    return future


def check_queue(queue):
    """Raise ValueError if AMQP does not allow this name for a queue."""
    if not 1 <= len(queue.encode()) <= 255:  # For "", RabbitMQ would make up a name.
        raise ValueError("the name of the queue must have 1 to 255 bytes")


def node_urls(url=None):
    """Return the URLs in `url`, by default in AMQP_URL; ValueError if one is malformed."""
    urls = re.split(r"(?i)\s*,\s*(?=amqp)", url or os.environ.get("AMQP_URL") or DEFAULT_URL)
    try:
        for node in urls:
            pika.URLParameters(node)  # raises errors of many types
            parts = urlsplit(node)
            cut = "@" in node and "@" not in parts.netloc  # at the / of user:12/3@host
            if parts.scheme not in ("amqp", "amqps") or not parts.hostname or cut:
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
    """Return what happened, in plain words. pika wraps errors in its own: repr() shows them all."""
    if "ConnectionRefusedError" in repr(error):
        return "refuses connections: is RabbitMQ running?"
    if re.search("TimeoutError|StackTimeout|HeartbeatTimeout", repr(error)):
        return "does not answer: is RabbitMQ overloaded, or the network down?"
    if re.search("indicated EOF|EndOfFile|EOFError|ResetError|BrokenPipe|getpeername", repr(error)):
        return "closed the connection: a restart, a missed heartbeat, or a port for TLS?"
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
    except RpcError as error:
        parser.exit(1, f" [!] {error} (correlation id: {error.correlation_id})\n")
    except (ConnectionError, ValueError) as error:
        parser.exit(1, f" [!] {error}\n")


if __name__ == "__main__":
    main()
