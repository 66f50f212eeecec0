"""What the client puts on the wire, and what it takes from it."""

import gc
import re

import pika
import pytest
from brokers import takes, wait_until
from pika.adapters.blocking_connection import BlockingChannel
from wire import background, receive, send_reply, waiting

from rpc_client import NoServerError, RefusedError, RpcClient, RpcError

ERRORS = [(b"", "^$"), (b"\xff\xfe", r"^\\xff\\xfe$"), (b"x" * 100_000, "^x{200}$")]
ERRORS += [("Größe: 'ß', \"é\" \\".encode(), r"^Größe: 'ß', \"é\" \\$")]


@pytest.fixture
def begin(client, rpc_queue, channel):
    """Begin a call, and return it with its request: method, properties, body."""

    def begin(*args, **kwargs):
        call = background(client.call, *args, **kwargs)
        return call, *receive(channel, rpc_queue)

    return begin


@pytest.mark.parametrize("timeout", [7, 365 * 86400, float("inf")])
def test_request_is_the_decimal_digits_and_expires(client, begin, channel, timeout):
    call, method, props, body = begin(30, timeout)
    assert body == b"30"
    assert (method.exchange, method.routing_key) == ("", "rpc_queue")
    expiration = min(timeout * 1000, 2**32 - 1)
    assert expiration - 1000 < int(props.expiration) <= expiration
    send_reply(channel, props, b"832040")
    assert call.result(5) == 832040


def test_client_leaves_no_reply_in_its_callback_queue_and_no_queue(own_broker, client, server):
    assert client.call(30) == 832040
    assert own_broker.queues()[client.callback_queue] == "0"
    client.close()
    assert client.callback_queue not in own_broker.queues()


def test_client_calls_on_after_failures_and_keeps_neither_request_nor_reply(client, start_server):
    class Request(bytes):
        """bytes that Python's garbage collector can tell of."""

    start_server("fib = lambda n: n == 29 and time.sleep(0.5) or real_fib(n)")
    for body, timeout in (b"-1", 10), (b"", 10), (b"29", 0.2):
        with pytest.raises(RpcError):
            client.ask(Request(body), timeout)
        gc.collect()
        kept = [thing for thing in gc.get_objects() if isinstance(thing, (RpcError, Request))]
        assert not kept
        assert client.call(30) == 832040
    client.close()
    assert client.call(30) == 832040


def test_client_ignores_foreign_replies_takes_the_first_match_and_asks_once(begin, channel):
    call, _, props, _ = begin(30)
    channel.tx_select()  # they arrive together
    send_reply(channel, props, b"1", correlation_id="somebody else's")
    send_reply(channel, props, b"2", correlation_id=None)
    send_reply(channel, props, b"3", correlation_id=None, type="error")
    send_reply(channel, props, b"832040")
    send_reply(channel, props, b"4")
    send_reply(channel, props, b"5", type="error")
    channel.tx_commit()
    assert call.result(5) == 832040
    assert waiting(channel) == 0


def test_client_ignores_late_replies_to_an_earlier_call(client, begin, channel):
    earlier, _, late, _ = begin(1, timeout=0.5)
    with pytest.raises(NoServerError):  # the test has taken the request, and consumes no more
        earlier.result(5)
    call, _, props, _ = begin(30)
    assert props.correlation_id != late.correlation_id
    late.reply_to = props.reply_to  # a thread's calls have one callback queue
    send_reply(channel, late, b"1")
    send_reply(channel, late, b"1", type="error")
    send_reply(channel, props, b"832040")
    assert call.result(5) == 832040


def test_client_ignores_the_return_of_an_earlier_request(client, server, monkeypatch):
    def publish_an_earlier_one_too(channel, **kwargs):
        publish(channel, "", "no such queue", b"1", earlier, mandatory=True)
        publish(channel, **kwargs)

    publish, earlier = BlockingChannel.basic_publish, pika.BasicProperties(correlation_id="earlier")
    monkeypatch.setattr(BlockingChannel, "basic_publish", publish_an_earlier_one_too)
    assert client.call(30) == 832040


@pytest.mark.parametrize(("kind", "error"), [("error", RpcError), ("refused", RefusedError)])
@pytest.mark.parametrize(("body", "words"), ERRORS)
def test_error_reply_is_an_rpc_error_of_its_type(begin, channel, body, words, kind, error):
    call, _, props, _ = begin(30)
    send_reply(channel, props, body, type=kind)
    with pytest.raises(error) as raised:
        call.result(5)
    assert raised.type is error
    assert re.search(words, str(raised.value))
    assert raised.value.correlation_id == props.correlation_id


@pytest.mark.parametrize("size", [17 * 2**20, 2])
def test_request_that_rabbitmq_refuses_is_told_at_once(size, restricted, way, rpc_queue):
    words = r"PRECONDITION_FAILED|ACCESS_REFUSED|it is too large, or not allowed"
    url = way.url if size > 2 else restricted(".*", "^$", ".*", base_url=way.url)
    with RpcClient(rpc_queue, url) as client, takes(0, 5):
        with pytest.raises(RpcError, match=f"^127.+ refused the request: ({words})") as raised:
            client.ask(b"1" * size, timeout=30)
        assert raised.type is RpcError
        wait_until(3, way.closed)
    assert way.connections == 1  # it was not sent again


@pytest.mark.parametrize("body", [b"", b"many", b"\xff", b"3.5", b"9" * 10_000])
def test_reply_that_is_no_number_is_a_value_error(begin, channel, body):
    call, _, props, _ = begin(30)
    send_reply(channel, props, body)
    with pytest.raises(ValueError):  # noqa: PT011
        call.result(5)
