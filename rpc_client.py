"""RPC client; AMQP_URL names the broker. See rabbitmq.com/tutorials/tutorial-six-python."""

import argparse
import contextlib
import os
import re
import ssl
import threading
import time
import uuid
from concurrent import futures
from typing import Self
from urllib.parse import urlsplit

import pika
from pika.exceptions import AMQPError

DEFAULT_URL = "amqp://guest:guest@localhost:5672/%2F"
URL_FORM = "amqp://user:password@host:port/vhost, percent-encoded (@ as %40); TLS files must exist"
TIMEOUT_SECONDS = 10.0
RETRY_SECONDS = 0.5  # between two attempts, and the least time that is left for one
GRACE_SECONDS = 0.4  # for asking the broker why there is no reply, and for closing
MAX_EXPIRATION_MS = 2**32 - 1  # RabbitMQ closes the channel on more (rabbitmq.com/docs/ttl)


class RpcError(Exception):
    """The server refused the request or failed: its own words."""


class NoServerError(RpcError):
    """There is no queue for the request: no server has declared it yet, or someone deleted it."""


class RpcClient:
    """Asks the servers that consume `queue`. Make a client in each thread, and after each fork.

    `url` names the broker, or a cluster's nodes, separated by commas; by default AMQP_URL does.
    Raises ValueError if it is malformed, ConnectionError if no node answers in time (10 s at most).
    A call makes attempts until its deadline: each connects if need be, publishes, and waits.
    """

    def __init__(self, queue: str, url: str | None = None, timeout: float = TIMEOUT_SECONDS):
        self.queue = queue
        self.urls = re.split(r"(?i),\s*(?=amqp)", url or os.environ.get("AMQP_URL") or DEFAULT_URL)
        try:
            for node in self.urls:
                pika.URLParameters(node)  # raises errors of many types
                if urlsplit(node).scheme not in ("amqp", "amqps") or not urlsplit(node).hostname:
                    raise ValueError  # pika takes http: for amqp:, and no host for localhost
        except Exception:  # its message may contain the password
            name = "url" if url else "AMQP_URL"
            raise ValueError(f"{name} is malformed: write {URL_FORM}") from None
        self.corr_id: str | None = None  # there is no call yet
        self.deadline = time.monotonic() + timeout
        self._connect()

    def _connect(self):
        """Connect to the first node that answers within its share of the time."""
        share = max(0.001, min(self._time_left(), TIMEOUT_SECONDS)) / len(self.urls)  # 0 is invalid
        reasons = []
        for url in self.urls:
            self.address, self.blocked = urlsplit(url).netloc.rpartition("@")[2], None
            if url.lower().startswith("amqps"):
                # A lost connection leaves an error in this thread's OpenSSL queue, which ends the
                # next one, too (python/cpython issue 148594). Loading certificates clears it.
                ssl.create_default_context()
            try:
                opened = within(share, self._open, url, share)
                self.connection, self.channel, self.callback_queue = opened
                return
            except ConnectionError as error:
                reasons.append(f"{self.address} {explain(error)}")
        raise ConnectionError("; ".join(reasons))

    def _open(self, closing, url, seconds):
        """Return a connection, a channel and a callback queue. See within() for `closing`."""
        node = pika.URLParameters(url)  # each time anew, as certificates are renewed
        node.socket_timeout = seconds / 2  # leaves time for the host's second address
        node.stack_timeout = seconds
        node.connection_attempts = 1  # ask() makes the next one
        node.blocked_connection_timeout = None  # _attempt() waits until the deadline
        connection = closing.enter_context(pika.BlockingConnection(node))
        connection.add_on_connection_blocked_callback(self.on_blocked)
        connection.add_on_connection_unblocked_callback(self.on_blocked)
        channel = connection.channel()
        channel.add_on_return_callback(self.on_return)
        queue = channel.queue_declare(queue="", exclusive=True).method.queue
        channel.basic_consume(queue=queue, on_message_callback=self.on_response, auto_ack=True)
        return connection, channel, queue

    def on_blocked(self, connection, frame):
        self.blocked = getattr(frame.method, "reason", None)  # Connection.Unblocked has none

    def on_response(self, ch, method, props, body):
        if self.response is None and self.corr_id == props.correlation_id:  # the first reply to it
            self.response = body
            if props.type == "error":
                self.response = RpcError(body.decode(errors="backslashreplace")[:200])

    def on_return(self, ch, method, props, body):
        if self.response is None and self.corr_id == props.correlation_id:
            reason = f"there is no {self.queue} on {self.address}: start a server"
            self.response = NoServerError(reason)

    def ask(self, request: bytes, timeout: float = TIMEOUT_SECONDS) -> bytes:
        """Return the reply. A request lost on the way is sent again, so it may be computed twice.

        Keep it small: publishing has no time limit. Raises RpcError, NoServerError; TimeoutError
        with the reason, at most GRACE_SECONDS after `timeout`; RuntimeError if calls overlap.
        """
        corr_id = str(uuid.uuid4())
        if self.corr_id is not None:
            raise RuntimeError("another call is under way: make a client for each thread")
        try:
            self.corr_id, self.response = corr_id, None
            self.reason = "there was no time to connect"
            self.deadline = time.monotonic() + timeout
            last_start = self.deadline - min(RETRY_SECONDS, timeout / 2)
            response = self._retry(request, last_start)
            if response is None:
                time.sleep(self._time_left())  # or a caller in a loop would hammer the broker
                raise TimeoutError(f"no answer within {timeout:g} s: {self.reason}")
            if isinstance(response, RpcError):
                raise response
            return response
        finally:
            self.corr_id = None

    def _retry(self, request, last_start):
        """Make attempts until one is not lost; to connect after `last_start` would time out."""
        while self.connection or time.monotonic() < last_start:
            pause = 0 if self.connection else RETRY_SECONDS  # an idle connection is often lost
            try:
                return self._attempt(request)
            except ConnectionError as error:  # no node was reached
                self.reason = str(error)
            except AMQPError as error:  # the connection is lost
                self.reason = f"{self.address} {explain(error)}"
                self.close()
            except BaseException:  # Ctrl-C or a task queue's time limit has interrupted pika
                self.close()
                raise
            time.sleep(min(pause, self._time_left()))
        return None

    def _attempt(self, request):
        """Connect if need be, publish, and wait; return the response, or None at the deadline."""
        if self.connection is None:
            self._connect()
        while self.blocked and self._time_left():  # RabbitMQ reads nothing meanwhile
            self.connection.process_data_events(time_limit=self._time_left())
        if self._time_left():
            self.channel.basic_publish(
                exchange="",
                routing_key=self.queue,
                properties=pika.BasicProperties(
                    reply_to=self.callback_queue,
                    correlation_id=self.corr_id,
                    expiration=str(int(min(self._time_left() * 1000, MAX_EXPIRATION_MS))),
                ),
                body=request,
                mandatory=True,  # without a queue, RabbitMQ returns it to on_return()
            )
        while self.response is None and self._time_left():
            if not self.channel.consumer_tags:  # no reply can come
                raise AMQPError("the channel or its queue is gone: see RabbitMQ's log")
            self.connection.process_data_events(time_limit=self._time_left())
        if self.response is None:
            self.reason = self._diagnose()
        return self.response

    def _time_left(self):
        return max(0, self.deadline - time.monotonic())

    def _diagnose(self):
        """Return why there is no response, as the broker tells it."""
        if self.blocked:
            return f"the broker blocks publishers: {self.blocked}"
        connection, self.connection = self.connection, None  # lent to a thread
        try:
            seen = within(GRACE_SECONDS, self._count, self.channel)
        except ConnectionError as error:
            return f"{self.address} {explain(error)}"
        self.connection = connection  # given back, as RabbitMQ has answered
        if seen.consumer_count == 0:
            return "no server is consuming"
        counts = f"servers consuming: {seen.consumer_count}, requests waiting: {seen.message_count}"
        return f"{counts}; it expired as all were busy, or one computes it, or lost it: see its log"

    def _count(self, closing, channel):
        closing.enter_context(channel.connection)
        return channel.queue_declare(queue=self.queue, passive=True).method

    def close(self) -> None:
        """Close the connection, within GRACE_SECONDS; a later call makes a new one."""
        connection, self.connection = self.connection, None
        if connection:
            with contextlib.suppress(ConnectionError, RuntimeError):  # no thread starts at exit
                within(GRACE_SECONDS, lambda _: connection.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FibonacciRpcClient(RpcClient):
    """Calls the servers that compute fib(n): the tutorial's client."""

    def __init__(self, url: str | None = None, timeout: float = TIMEOUT_SECONDS) -> None:
        super().__init__("rpc_queue", url, timeout)

    def call(self, n: int, timeout: float = TIMEOUT_SECONDS) -> int:
        """Return fib(n). Raises what ask() raises, and ValueError if the reply is no number."""
        return int(self.ask(str(n).encode(), timeout))


def within(seconds, step, *args):
    """Return what step(closing, *args) returns; ConnectionError if it fails or takes longer.

    The step runs in a thread, as pika may hang. It enters its connection into `closing`. In time,
    the caller takes the connection out; if the step fails or is late, or the wait is interrupted,
    the thread closes it. So no two threads ever work on one connection.
    """
    future, closing, caller_is_done = futures.Future(), contextlib.ExitStack(), threading.Event()

    def run():
        try:
            with closing:
                future.set_result(step(closing, *args))
                caller_is_done.wait()
        except Exception as error:  # pika raises many types while it connects
            if not future.done():  # else the caller has its result, and closing has failed
                future.set_exception(ConnectionError(error))

    try:
        threading.Thread(target=run, daemon=True).start()
        if not futures.wait([future], seconds).done:
            raise ConnectionError(TimeoutError())  # explain() puts it into words
        result = future.result()
        closing.pop_all()  # takes it out
        return result
    finally:  # also if Ctrl-C or a task queue's time limit ends the wait
        caller_is_done.set()


def explain(error):
    """Return what happened, in plain words; pika tells it only in the text of its errors."""
    if "ConnectionRefusedError" in repr(error):
        return "refuses connections: is RabbitMQ running?"
    if re.search("TimeoutError|StackTimeout|HeartbeatTimeout", repr(error)):
        return "does not answer: is RabbitMQ overloaded, or the network down?"
    if re.search("indicated EOF|EOFError|ConnectionReset|BrokenPipe|getpeername", repr(error)):
        if re.search("Incompatible|Probable|Connector|getpeername", repr(error)):  # not open yet
            return "closed the connection: is RabbitMQ starting or stopping, or is this a TLS port?"
        return "closed the connection: is RabbitMQ starting or stopping, or was a heartbeat missed?"
    return f"failed: {str(error) or repr(error)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n", nargs="*", type=int, default=[30], help="0 to 20000 (default: 30)")
    parser.add_argument("--timeout", type=float, default=TIMEOUT_SECONDS, help="default: 10 s")
    args = parser.parse_args()
    if not args.timeout > 0:
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
