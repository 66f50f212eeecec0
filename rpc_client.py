"""RPC client; AMQP_URL names the broker. See rabbitmq.com/tutorials/tutorial-six-python."""

import argparse
import concurrent.futures
import contextlib
import os
import re
import threading
import time
import uuid
from urllib.parse import urlsplit

import pika

DEFAULT_URL = "amqp://guest:guest@localhost:5672/%2F"
URL_FORM = "amqp://user:password@host:port/vhost, percent-encoded (@ as %40); TLS files must exist"
QUEUE = "rpc_queue"  # Change: each function has a queue of its own.
TIMEOUT_SECONDS = 10.0
RETRY_SECONDS = 0.25  # before each further attempt to connect
GRACE_SECONDS = 0.4  # for asking the broker why there is no reply, and for closing
MAX_EXPIRATION_MS = 2**32 - 1  # RabbitMQ closes the channel on more (rabbitmq.com/docs/ttl)


class RpcError(Exception):
    """The refusal or failure of the server, in its words; or a reply that is not a result."""


class NoServerError(RpcError):
    """There is no queue for the request: no server has declared it yet, or someone deleted it."""


class FibonacciRpcClient:  # Change: name
    """Calls the servers that consume QUEUE. Make a client in each thread, and after each fork.

    `url` names the broker, or a cluster's nodes, separated by commas; by default AMQP_URL does.
    Raises ValueError if it is malformed, ConnectionError if no node answers in time (10 s at most).
    """

    def __init__(self, url: str | None = None, timeout: float = TIMEOUT_SECONDS) -> None:
        self.urls = re.split(r"(?i),\s*(?=amqp)", url or os.environ.get("AMQP_URL") or DEFAULT_URL)
        try:
            for node in self.urls:
                pika.URLParameters(node)  # raises errors of many types
        except Exception:  # its message may contain the password
            raise ValueError(f"AMQP_URL is malformed: write {URL_FORM}") from None
        self.calling = False
        self.connect(timeout)

    def connect(self, seconds):
        """Connect to the first node that answers within its share of the time."""
        share = max(0.001, min(seconds, TIMEOUT_SECONDS)) / len(self.urls)  # pika refuses 0
        reasons = []
        for url in self.urls:
            self.address = urlsplit(url).netloc.rpartition("@")[2]
            self.lock = threading.Lock()  # in this connection, a step waits for the one before
            try:
                opened = within(share, self.lock, self.open, url, share)
                self.connection, self.channel, self.callback_queue = opened
                self.blocked = None
                return
            except ConnectionError as error:
                reasons.append(f"{self.address} {explain(error)}")
        raise ConnectionError("; ".join(reasons))

    def open(self, url, seconds):
        deadline = time.monotonic() + seconds
        node = pika.URLParameters(url)  # each time anew, as certificates are renewed
        node.socket_timeout = seconds / 2  # leaves time for the host's second address
        node.stack_timeout = seconds
        node.connection_attempts = 1  # ask() makes the next one
        node.blocked_connection_timeout = None  # exchange() waits until the call's deadline
        connection = pika.BlockingConnection(node)
        try:
            connection.add_on_connection_blocked_callback(self.on_blocked)
            connection.add_on_connection_unblocked_callback(self.on_blocked)
            channel = connection.channel()
            channel.add_on_return_callback(self.on_return)
            queue = channel.queue_declare(queue="", exclusive=True).method.queue
            channel.basic_consume(queue=queue, on_message_callback=self.on_response, auto_ack=True)
        except pika.exceptions.ChannelClosedByBroker:  # RabbitMQ refused a step
            connection.close()
            raise
        if time.monotonic() > deadline:  # connect() has given up: nobody will use it
            connection.close()
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
            self.response = NoServerError(f"there is no {QUEUE} on {self.address}: start a server")

    def call(self, n: int, timeout: float = TIMEOUT_SECONDS) -> int:  # Change: types
        """Return the result within `timeout` seconds; a request lost on the way is sent again.

        Raises RpcError, NoServerError, TimeoutError with the reason; RuntimeError if calls overlap.
        """
        request = str(n).encode()  # Change: to bytes. Keep it small: publishing has no time limit.
        if self.calling:
            raise RuntimeError("another call is under way: make a client for each thread")
        try:
            self.calling = True  # not a lock: Ctrl-C could leave it held
            response = self.ask(request, timeout)
        finally:
            self.calling = False
        try:
            return int(response)  # Change: from bytes to the result.
        except ValueError:  # Change: what the conversion above raises.
            raise RpcError(f"not a number: {response[:99]!r}") from None  # Change: words

    def ask(self, request, timeout):
        """Connect if need be, and exchange; after a loss, again. Return the reply."""
        deadline = time.monotonic() + timeout
        self.response, self.corr_id = None, str(uuid.uuid4())
        reason, pause = "there was no time to connect", 0.0
        while self.response is None and time.monotonic() < deadline:
            try:
                if self.connection is None:
                    self.connect(deadline - time.monotonic())
                self.exchange(request, deadline)
            except ConnectionError as error:  # connect() reached no node
                reason = str(error)
            except pika.exceptions.AMQPError as error:  # the connection is lost
                reason = f"{self.address} {explain(error)}"
                self.close()
            except BaseException:  # Ctrl-C or a task queue's time limit has interrupted pika
                self.close()
                raise
            if self.connection is None:
                time.sleep(pause)  # not the first time: an idle connection is often lost
                pause = RETRY_SECONDS
        if self.response is None:
            reason = self.diagnose() if self.connection else reason
            raise TimeoutError(f"no answer within {timeout:g} s: {reason}")
        if isinstance(self.response, Exception):
            raise self.response
        return self.response

    def exchange(self, request, deadline):
        """Publish, then wait for the reply, until the deadline."""
        while self.blocked and time.monotonic() < deadline:  # RabbitMQ reads nothing meanwhile
            self.wait(deadline)
        if (seconds := deadline - time.monotonic()) > 0:
            self.channel.basic_publish(
                exchange="",
                routing_key=QUEUE,
                properties=pika.BasicProperties(
                    reply_to=self.callback_queue,
                    correlation_id=self.corr_id,
                    expiration=str(int(min(seconds * 1000, MAX_EXPIRATION_MS))),
                ),
                body=request,
                mandatory=True,  # without a queue, RabbitMQ returns it to on_return()
            )
        while self.response is None and time.monotonic() < deadline:
            self.wait(deadline)

    def wait(self, deadline):
        self.connection.process_data_events(time_limit=max(0, deadline - time.monotonic()))
        if not self.channel.consumer_tags:  # no reply can come
            raise pika.exceptions.AMQPError("the channel or its queue is gone: see RabbitMQ's log")

    def diagnose(self):
        """Return why a connected client has no reply, as the broker tells it."""
        if self.blocked:
            return f"the broker blocks publishers: {self.blocked}"
        try:
            seen = within(GRACE_SECONDS, self.lock, self.channel.queue_declare, QUEUE, passive=True)
        except ConnectionError as error:
            self.close()
            return f"{self.address} {explain(error)}"
        except BaseException:  # a thread may still be in the connection
            self.close()
            raise
        servers, requests = seen.method.consumer_count, seen.method.message_count
        if servers == 0:
            return "no server is consuming"
        lost = "a server may be computing it, or have lost it: see its log"
        return f"servers consuming: {servers}, requests waiting: {requests}; {lost}"

    def close(self) -> None:
        """Close the connection, within GRACE_SECONDS; a later call makes a new one."""
        connection, self.connection = self.connection, None
        if connection:
            with contextlib.suppress(ConnectionError, RuntimeError):  # RuntimeError: in atexit
                within(GRACE_SECONDS, self.lock, connection.close)

    def __enter__(self) -> "FibonacciRpcClient":  # Change: name
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def within(seconds, lock, step, *args, **kwargs):
    """Run a step in a thread, as pika may hang; ConnectionError if it fails or takes longer."""
    future = concurrent.futures.Future()

    def run():
        try:
            with lock:  # an earlier step may still hang in the connection
                future.set_result(step(*args, **kwargs))
        except Exception as error:  # pika raises many types while it connects
            future.set_exception(ConnectionError(error))

    threading.Thread(target=run, daemon=True).start()
    if not concurrent.futures.wait([future], seconds).done:
        raise ConnectionError(TimeoutError())  # explain() puts it into words
    return future.result()


def explain(error):
    """Return what happened, in plain words; pika tells it only in the text of its errors."""
    if "ConnectionRefusedError" in repr(error):
        return "refuses connections: is RabbitMQ running?"
    if re.search("TimeoutError|StackTimeout|HeartbeatTimeout", repr(error)):
        return "does not answer: is RabbitMQ overloaded, or the network down?"
    if re.search("indicated EOF|EOFError|ConnectionReset|BrokenPipe|getpeername", repr(error)):
        return "closed the connection: is RabbitMQ still starting, or going down?"
    return f"failed: {str(error) or repr(error)}"


# Change: what the command line takes and prints.
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
