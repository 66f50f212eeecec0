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
import weakref
from urllib.parse import urlsplit

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

DEFAULT_URL = "amqp://guest:guest@localhost:5672/%2F"
URL_FORM = "amqp://user:password@host:port/vhost, percent-encoded (@ as %40); TLS files must exist"
URL_PATTERN = "(?i)amqps?://([^/?#]*@|(?!.*@))[^@/?#:]"  # pika takes user:12/3@host for a port.
TIMEOUT_SECONDS = 10.0  # for a call by default, and for an attempt to connect at most
MAX_TIMEOUT_SECONDS = 4_294_967  # RabbitMQ closes the channel on a longer expiration.
RETRY_SECONDS = 0.25  # between two attempts
GRACE_SECONDS = 0.4  # for asking RabbitMQ why there is no response, and for closing
# These end a connection to a dead machine in five seconds, on Linux: elsewhere, pika warns of them.
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


class RpcClient(threading.local):
    """Asks the servers that consume `queue`. Threads and forked children may share a client: Python
    runs __init__() again in each thread that uses the client, so each has its own connection.
    `url` is the broker's, or a cluster's URLs, comma-separated; by default, AMQP_URL's. ValueError
    if one is malformed."""

    def __init__(self, queue: str, url: str | None = None) -> None:  # called in each thread
        self.queue, self.urls = queue, node_urls(url)
        self.closer: Closer | None = None  # connect() sets it.
        self.response: bytes | RpcError | None = None

    @staticmethod  # in_time() runs it in a thread, in which `self` would have other attributes.
    def open(url, seconds, on_response, on_blocked):  # the tutorial's __init__()
        connection = open_node(url, seconds, TCP_OPTIONS)
        closer = Closer(connection)  # If a later step fails, the connection is closed.
        connection.add_on_connection_blocked_callback(on_blocked)
        connection.add_on_connection_unblocked_callback(on_blocked)
        channel = connection.channel()
        channel.add_on_return_callback(on_response)  # no queue: the request comes back
        result = channel.queue_declare(queue="", exclusive=True)
        callback_queue = result.method.queue
        channel.basic_consume(queue=callback_queue, on_message_callback=on_response, auto_ack=True)
        return connection, channel, callback_queue, closer

    def connect(self, timeout: float = TIMEOUT_SECONDS) -> None:
        """Connect this thread. ConnectionError if no node answers in time (10 s at most)."""
        share = max(0.001, min(timeout, TIMEOUT_SECONDS)) / len(self.urls)  # pika rejects 0.
        # pika runs callbacks in process_data_events() alone: in this thread, with its attributes.
        me = weakref.proxy(self)  # See Closer. A bound method would hold the client.
        callbacks = lambda *args: me.on_response(*args), lambda *args: me.on_blocked(*args)
        self.blocked, reasons = "", []
        for url in self.urls:
            self.address = node_address(url)
            try:
                opened = in_time(share, self.open, url, share, *callbacks)
                self.connection, self.channel, self.callback_queue, self.closer = opened
                return
            except AMQPError as error:
                reasons.append(f"{self.address} {explain(error)}")
        raise ConnectionError("; ".join(reasons))

    def on_response(self, ch, method, props, body):
        if self.corr_id == props.correlation_id and self.response is None:  # else late: dropped
            self.response = body
            if isinstance(method, pika.spec.Basic.Return):  # of our request, as it is mandatory
                self.response = NoServerError(f"{self.address} has no {self.queue}: start a server")
            elif error := {"error": RpcError, "refused": RefusedError}.get(props.type):
                self.response = error(body.decode(errors="backslashreplace")[:200])

    def on_blocked(self, connection, frame):  # RabbitMQ blocks publishers, or does so no more.
        self.blocked = getattr(frame.method, "reason", "")  # Connection.Unblocked has none.

    def publish_and_wait(self, body):  # the tutorial's call()
        while self.blocked and self.seconds_left():  # RabbitMQ would read the request late.
            self.connection.process_data_events(time_limit=self.seconds_left())
        if not self.blocked:
            self.channel.basic_publish(
                exchange="",
                routing_key=self.queue,
                properties=pika.BasicProperties(
                    reply_to=self.callback_queue,
                    correlation_id=self.corr_id,
                    expiration=str(int(self.seconds_left() * 1000)),  # ms
                ),
                body=body,
                mandatory=True,  # If there is no queue, RabbitMQ returns the request.
            )
        while self.response is None and self.channel.consumer_tags and self.seconds_left():
            self.connection.process_data_events(time_limit=self.seconds_left())

    def attempt(self, body, missed):  # ConnectionError, unless there is a response or an RpcError
        usable = False
        try:
            self.publish_and_wait(body)
            if self.response is None:
                self.response = self.diagnose(missed)
            usable = self.channel.is_open
            return self.response
        except ChannelClosedByBroker as error:  # RabbitMQ would refuse the request again.
            return RpcError(f"{self.address} refused the request: {error.reply_text}")
        except AMQPError as error:
            raise ConnectionError(f"{self.address} {explain(error)}") from error
        finally:
            self.response = None  # An idle client keeps no response in memory.
            if not usable:  # also after Ctrl-C or a time limit, which may stop pika halfway
                self.closer = None  # Nothing holds the closer now: it closes the connection.
                clear_openssl_errors()

    def diagnose(self, missed):  # why there is no response
        if self.channel.is_closed:  # pika before 1.5 does not raise RabbitMQ's reason.
            return RpcError(f"{self.address} refused the request: it is too large, or not allowed")
        if not self.channel.consumer_tags:  # RabbitMQ has cancelled the consumer.
            raise AMQPError("the callback queue is gone: see RabbitMQ's log")
        if self.blocked:
            return RpcTimeoutError(f"{missed}: the broker blocks publishers: {self.blocked}")
        return in_time(GRACE_SECONDS, inspect, missed, self.channel, self.queue, self.closer)

    def ask(self, body: bytes, timeout: float = TIMEOUT_SECONDS) -> bytes:
        """Return the reply, or raise an RpcError, a second after `timeout` at most (later if `body`
        has megabytes). A request that is lost is sent again, and may be computed again."""
        self.deadline = time.monotonic() + min(timeout, MAX_TIMEOUT_SECONDS)
        self.corr_id = str(uuid.uuid4())
        missed = f"no answer within {timeout:g} s"
        response, reason = None, ""
        while response is None and self.seconds_left():
            ready = self.closer and self.closer.pid == os.getpid()
            try:
                if not ready:
                    self.connect(self.seconds_left())
                response = self.attempt(body, missed)
            except ConnectionError as error:
                if not reason or self.seconds_left():  # An attempt cut short has no reason.
                    reason = str(error)
                if not ready:  # An idle connection is often lost: try again at once.
                    time.sleep(min(RETRY_SECONDS, self.seconds_left()))
        if response is None:
            response = RpcTimeoutError(f"{missed}: {reason or 'no time to send the request'}")
        if isinstance(response, RpcError):
            response.correlation_id = self.corr_id
            raise response
        return response

    def seconds_left(self):
        return max(0, self.deadline - time.monotonic())

    def close(self) -> None:
        """Close this thread's connection, within GRACE_SECONDS. A later ask() connects."""
        if self.closer:
            self.closer.close(GRACE_SECONDS)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class FibonacciRpcClient(RpcClient):  # Write such a class for a function of your own.
    def __init__(self, url: str | None = None) -> None:
        super().__init__("rpc_queue", url)

    def call(self, n: int, timeout: float = TIMEOUT_SECONDS) -> int:
        """Return fib(n). Raises what ask() raises, and ValueError if the reply is no number."""
        return int(self.ask(str(n).encode(), timeout))


def inspect(missed, channel, queue, closer):  # It holds the closer, as it uses the connection.
    try:
        seen = channel.queue_declare(queue=queue, passive=True).method
    except ChannelClosedByBroker as error:  # pika keeps it. See Closer for the traceback.
        kind = NoServerError if error.with_traceback(None).reply_code == 404 else RpcTimeoutError
        return kind(f"{missed}: {error.reply_text}")
    if seen.consumer_count == 0:
        return NoServerError(f"{missed}: no server is consuming")
    counts = f"servers consuming: {seen.consumer_count}, requests waiting: {seen.message_count}"
    return RpcTimeoutError(f"{missed}: {counts}; servers busy, slow or lost: see their logs")


def clear_openssl_errors():
    """A lost TLS connection leaves an error that ends the thread's next (cpython issue 148594)."""
    with contextlib.suppress(ssl.SSLError):  # "none" is no cipher: that failure clears them.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers("none")


class Closer:  # From here to explain(): what rpc_server.py imports, too.
    """Closes its connection once nothing holds the closer: when a thread ends, a client is dropped,
    or an attempt fails. Python's garbage collector would free pika's cycles late. So callbacks hold
    a client weakly, steps hold the closer they work with, and errors lose their tracebacks."""

    def __init__(self, connection):
        self.connection, self.pid = connection, os.getpid()  # A forked child must not close it.

    def close(self, seconds=0.0):  # It waits so long at most, as pika may hang.
        pid, self.pid = self.pid, 0  # It closes once: another thread may still be closing.
        if pid == os.getpid() and self.connection.is_open and not sys.is_finalizing():
            with contextlib.suppress(AMQPError, RuntimeError, AssertionError):  # no thread, gevent
                in_time(seconds, self.connection.close)

    __del__ = close


def in_time(seconds, step, *args):
    """Return step(*args), done in a thread, as pika may hang. AMQPError if it fails, or is late."""

    def run():
        try:
            done["result"] = step(*args)
        except Exception as error:  # See Closer for the traceback.
            done["error"] = error.with_traceback(None)

    done: dict = {}
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    if seconds:  # join() in a __del__() at a thread's end would register that thread again.
        thread.join(seconds)
    if "result" in done:
        return done["result"]
    raise AMQPError(done.get("error", TimeoutError()))


def open_node(url, seconds, tcp_options):
    """Return a connection to the node. Use in_time(), as the name service may hang."""
    node = pika.URLParameters(url)  # Read at each attempt, as certificates are renewed.
    node.connection_attempts = 1  # The caller makes the next attempt.
    node.stack_timeout, node.socket_timeout = seconds, seconds / 2  # A host may have two addresses.
    node.blocked_connection_timeout = None  # RabbitMQ's alarms are no reason to connect again.
    node.tcp_options = node.tcp_options or (tcp_options if sys.platform == "linux" else None)
    return pika.BlockingConnection(node)


def node_urls(url=None):
    """Return the URLs in `url`, by default in AMQP_URL; ValueError if one is malformed."""
    urls = re.split(r"(?i)\s*,\s*(?=amqp)", url or os.environ.get("AMQP_URL") or DEFAULT_URL)
    with contextlib.suppress(Exception):  # of many types; its message may contain the password
        if all(re.match(URL_PATTERN, node) and pika.URLParameters(node) for node in urls):
            return urls
    raise ValueError(f"{'url' if url else 'AMQP_URL'} is malformed: write {URL_FORM}")


def node_address(url):
    return urlsplit(url).netloc.rpartition("@")[2]  # the host and the port, not the password


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
    except (RpcError, ConnectionError, ValueError) as error:
        sent = f" (correlation id: {error.correlation_id})" if isinstance(error, RpcError) else ""
        parser.exit(1, f" [!] {error}{sent}\n")


if __name__ == "__main__":
    main()
