"""RPC client; AMQP_URL names the broker. See rabbitmq.com/tutorials/tutorial-six-python."""

import argparse
import contextlib
import os
import re
import socket
import ssl
import threading
import time
import uuid
import warnings
from typing import Any, Self
from urllib.parse import urlsplit

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

DEFAULT_URL = "amqp://guest:guest@localhost:5672/%2F"
URL_FORM = "amqp://user:password@host:port/vhost, percent-encoded (@ as %40); TLS files must exist"
TIMEOUT_SECONDS = 10.0
MAX_TIMEOUT_SECONDS = 4_294_967  # RabbitMQ closes the channel on a longer expiration
LAST_ATTEMPT_SECONDS = 0.5  # before the deadline: a later one has no time to tell its reason
RETRY_SECONDS = 0.5  # between two attempts
GRACE_SECONDS = 0.4  # for asking the broker why there is no response, and for closing
# On Linux, ends a connection to a dead machine, or over a stalled network, within five seconds.
KEEPALIVE = {"TCP_KEEPIDLE": 2, "TCP_KEEPINTVL": 1, "TCP_USER_TIMEOUT": 4_000}  # s, s, ms


class RpcError(Exception):
    """The function failed, or RabbitMQ refused the request: the message says why."""


class RefusedError(RpcError):
    """The function refused the request (`Refused` in rpc_server.py)."""


class NoServerError(RpcError):
    """There is no queue for the request: no server has declared it yet, or someone deleted it."""


class RpcConnection:
    """The tutorial's client, for one request at a time. Whoever works on it has it alone."""

    def __init__(self, url, queue):
        self.url = url
        self.address = urlsplit(url).netloc.rpartition("@")[2]  # without the password
        self.queue = queue
        self.pid = os.getpid()  # a forked child must not use it
        self.connection: Any = None
        self.channel: Any = None
        self.callback_queue = ""
        self.blocked = None  # the broker's reason, while it blocks publishers
        self.request: Any = None  # set by call(): pika runs callbacks only inside of it

    def open(self, seconds):
        """The tutorial's __init__(): connect, declare the callback queue, and consume it."""
        node = pika.URLParameters(self.url)  # each time anew, as certificates are renewed
        node.socket_timeout = seconds / 2  # leaves time for the host's second address
        node.stack_timeout = seconds
        node.connection_attempts = 1  # RpcClient makes the next one
        node.blocked_connection_timeout = None  # call() waits until the deadline
        if hasattr(socket, "TCP_KEEPIDLE"):  # not on macOS, where pika would warn of the others
            known = {name: value for name, value in KEEPALIVE.items() if hasattr(socket, name)}
            node.tcp_options = node.tcp_options or known
        self.connection = pika.BlockingConnection(node)
        self.connection.add_on_connection_blocked_callback(self.on_blocked)
        self.connection.add_on_connection_unblocked_callback(self.on_unblocked)
        self.channel = self.connection.channel()
        self.channel.add_on_return_callback(self.on_return)
        result = self.channel.queue_declare(queue="", exclusive=True)
        queue = self.callback_queue = result.method.queue
        self.channel.basic_consume(queue=queue, on_message_callback=self.on_response, auto_ack=True)

    def on_blocked(self, connection, frame):
        self.blocked = frame.method.reason

    def on_unblocked(self, connection, frame):
        self.blocked = None

    def on_response(self, ch, method, props, body):
        if self.request.corr_id == props.correlation_id and self.request.response is None:
            error = {"error": RpcError, "refused": RefusedError}.get(props.type)
            text = body[:800].decode(errors="backslashreplace")[:200]  # up to four bytes each
            self.request.response = error(text) if error else body

    def on_return(self, ch, method, props, body):
        if self.request.corr_id == props.correlation_id and self.request.response is None:
            reason = f"there is no {self.queue} on {self.address}: start a server"
            self.request.response = NoServerError(reason)

    def call(self, request):
        """The tutorial's call(): publish the request, wait for the response until the deadline."""
        self.request = request
        while self.blocked and request.time_left():  # RabbitMQ reads nothing meanwhile
            self.connection.process_data_events(time_limit=request.time_left())
        if not self.blocked:
            self.channel.basic_publish(
                exchange="",
                routing_key=self.queue,
                properties=pika.BasicProperties(
                    reply_to=self.callback_queue,
                    correlation_id=request.corr_id,
                    expiration=str(int(request.time_left() * 1000)),
                ),
                body=request.body,
                mandatory=True,  # without a queue, RabbitMQ returns it to on_return()
            )
        while request.response is None and request.time_left():
            if self.channel.is_closed:  # pika 1.4 does not raise it, and hides the reason
                raise ChannelClosedByBroker(0, "over max_message_size, or not allowed: see its log")
            if not self.channel.consumer_tags:  # no reply can come
                raise AMQPError("the callback queue is gone: see RabbitMQ's log")
            self.connection.process_data_events(time_limit=request.time_left())
        self.request = None  # else it would be in memory until the next call, with its response

    def diagnose(self):
        """Return why there is no response, as the broker tells it."""
        if self.blocked:
            return f"the broker blocks publishers: {self.blocked}"
        seen = self.channel.queue_declare(queue=self.queue, passive=True).method
        if seen.consumer_count == 0:
            return "no server is consuming"
        counts = f"servers consuming: {seen.consumer_count}, requests waiting: {seen.message_count}"
        expired = "the request expired as all were busy, or a server computes it, or lost it"
        return f"{counts}; {expired}: see its log"

    def close(self):
        if self.connection and self.connection.is_open and not self.blocked:  # else pika may hang
            self.connection.close()

    def within(self, seconds, step, *args):
        """Return what step(*args) returns; ConnectionError if it fails or takes longer.

        It runs in a thread, as pika may hang. If it fails or is late, or the wait for it is
        interrupted, that thread closes the connection: no two threads ever work on it.
        """
        result, failure, taken = None, None, False
        step_is_done, caller_is_done = threading.Event(), threading.Event()

        def run():
            nonlocal result, failure
            try:
                result = step(*args)
            except Exception as error:  # pika raises many types while it connects
                failure = error
            step_is_done.set()
            caller_is_done.wait()
            if not taken:
                with contextlib.suppress(Exception):  # nobody waits to be told
                    self.close()

        try:
            threading.Thread(target=run, daemon=True).start()
            if not step_is_done.wait(seconds) or failure:
                reason = explain(failure or TimeoutError())
                raise ConnectionError(f"{self.address} {reason}") from failure
            taken = True
            return result
        finally:  # also if Ctrl-C or a task queue's time limit ends the wait
            caller_is_done.set()

    def close_within(self, seconds):
        """Close the connection, also one that is lost, or on which pika was interrupted."""
        with contextlib.suppress(ConnectionError, RuntimeError):  # no thread starts at exit
            self.within(seconds, self.close)
        if self.url.lower().startswith("amqps"):  # or OpenSSL's errors end this thread's next call
            ssl.create_default_context()  # clears them (python/cpython issue 148594)


class Request:
    """A request, its deadline, and what came of it: a response, or the reason why there is none."""

    def __init__(self, body, timeout):
        self.body = body
        self.corr_id = str(uuid.uuid4())
        self.deadline = time.monotonic() + min(timeout, MAX_TIMEOUT_SECONDS)
        self.last_attempt = self.deadline - min(LAST_ATTEMPT_SECONDS, timeout / 2)
        self.response: bytes | RpcError | None = None
        self.reason = "there was no time to send the request"

    def time_left(self):
        return max(0, self.deadline - time.monotonic())


class RpcClient:
    """Asks the servers that consume `queue`. Threads, and forked children, may share a client.

    `url` names the broker, or a cluster's nodes, separated by commas; by default AMQP_URL does.
    Raises ValueError if it is malformed, ConnectionError if no node answers in time (10 s at most).
    """

    def __init__(self, queue: str, url: str | None = None, timeout: float = TIMEOUT_SECONDS):
        self.queue = queue
        self._urls = node_urls(url)
        self._idle = [self._connect(timeout)]  # connections that no call uses, the last used last

    def ask(self, body: bytes, timeout: float = TIMEOUT_SECONDS) -> bytes:
        """Return the reply. A request lost on the way is sent again, and may be computed again.

        Raises RpcError, or TimeoutError a second after `timeout` at most (large requests: later).
        """
        request = Request(body, timeout)
        pause = 0.0  # at first, as an idle connection is often lost: pika sends no heartbeats on it
        while time.monotonic() < request.last_attempt:
            try:
                idle = None if pause else self._take_idle()  # after a loss, trust no other
                rpc = idle or self._connect(request.time_left())
                if request.time_left():
                    self._attempt(request, rpc)
                self._idle.append(rpc)
                break
            except ConnectionError as error:
                request.reason = str(error)
            time.sleep(min(pause, request.time_left()))
            pause = RETRY_SECONDS
        if request.response is None:
            time.sleep(request.time_left())  # so that the time that the error names has gone by
            raise TimeoutError(f"no answer within {timeout:g} s: {request.reason}")
        if isinstance(request.response, RpcError):
            raise request.response
        return request.response

    def _take_idle(self):
        """Return the connection that was used last and that no call uses, or None."""
        while True:
            try:
                rpc = self._idle.pop()  # atomic: no other thread gets the same one
            except IndexError:
                return None
            if rpc.pid == os.getpid():  # else it is the parent's, and stays open there
                return rpc

    def _connect(self, seconds):
        """Return a connection to the first node that answers within its share of the time."""
        share = max(0.001, min(seconds, TIMEOUT_SECONDS)) / len(self._urls)  # 0 is invalid
        reasons = []
        for url in self._urls:
            rpc = RpcConnection(url, self.queue)
            try:
                rpc.within(share, rpc.open, share)
                return rpc
            except ConnectionError as error:
                reasons.append(str(error))
        raise ConnectionError("; ".join(reasons))

    def _attempt(self, request, rpc):
        """Ask, and if there is no response, why. What fails or is interrupted closes `rpc`."""
        try:
            rpc.call(request)
        except BaseException as error:  # also Ctrl-C and a task queue's time limit
            rpc.close_within(GRACE_SECONDS)
            if isinstance(error, ChannelClosedByBroker):  # it would be refused again
                raise RpcError(f"{rpc.address} refused the request: {error.reply_text}") from error
            if isinstance(error, AMQPError):
                raise ConnectionError(f"{rpc.address} {explain(error)}") from error
            raise
        if request.response is None:
            request.reason = rpc.within(GRACE_SECONDS, rpc.diagnose)

    def close(self) -> None:
        """Close the connections that no call uses, within GRACE_SECONDS. A later call connects."""
        end = time.monotonic() + GRACE_SECONDS
        while rpc := self._take_idle():
            rpc.close_within(end - time.monotonic())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FibonacciRpcClient(RpcClient):
    """Calls the servers that compute fib(n)."""

    def __init__(self, url: str | None = None, timeout: float = TIMEOUT_SECONDS) -> None:
        super().__init__("rpc_queue", url, timeout)

    def call(self, n: int, timeout: float = TIMEOUT_SECONDS) -> int:
        """Return fib(n). Raises what ask() raises, and ValueError if the reply is no number."""
        return int(self.ask(str(n).encode(), timeout))


def node_urls(url):
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


def main() -> None:
    warnings.filterwarnings("ignore", "BlockingConnection is deprecated")  # pika 2 removes it
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n", nargs="*", type=int, default=[30], help="0 to 20000 (default: 30)")
    parser.add_argument("--timeout", type=float, default=TIMEOUT_SECONDS, help="default: 10 s")
    args = parser.parse_args()
    if not args.timeout > 0:  # nan is not, either
        parser.error("--timeout: must be more than 0 seconds")
    try:
        with FibonacciRpcClient(timeout=args.timeout) as fibonacci_rpc:
            for n in args.n:
                print(f" [x] Requesting fib({n})", flush=True)
                print(f" [.] Got {fibonacci_rpc.call(n, args.timeout)}", flush=True)
    except KeyboardInterrupt:
        parser.exit(130)
    except (RpcError, OSError, ValueError) as error:
        parser.exit(1, f" [!] {error}\n")


if __name__ == "__main__":
    main()
