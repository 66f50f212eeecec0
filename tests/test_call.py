"""What the client puts on the wire, and what it takes from it."""

import gc
import threading

import pika
import pytest
from wire import background, receive, send_reply, waiting

import rpc_client
from rpc_client import RpcError

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
    assert props.reply_to == client._rpc.callback_queue
    expiration = min(timeout * 1000, 2**32 - 1)
    assert expiration - 1000 < int(props.expiration) <= expiration
    send_reply(channel, props, b"832040")
    assert call.result(5) == 832040


def test_client_leaves_no_reply_in_its_callback_queue_and_no_queue(own_broker, client, server):
    assert client.call(30) == 832040
    callback_queue = client._rpc.callback_queue
    assert own_broker.queues()[callback_queue] == "0"
    client.close()
    assert callback_queue not in own_broker.queues()


def test_request_and_reply_do_not_outlive_the_call(client, server):
    assert client.call(30) == 832040
    with pytest.raises(RpcError):
        client.call(-1)
    gc.collect()
    assert not [thing for thing in gc.get_objects() if isinstance(thing, rpc_client.Request)]


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
    with pytest.raises(TimeoutError):
        earlier.result(5)
    call, _, props, _ = begin(30)
    assert props.correlation_id != late.correlation_id
    assert props.reply_to == late.reply_to == client._rpc.callback_queue
    send_reply(channel, late, b"1")
    send_reply(channel, late, b"1", type="error")
    send_reply(channel, props, b"832040")
    assert call.result(5) == 832040


def test_client_ignores_the_return_of_an_earlier_request(client, server):
    earlier = pika.BasicProperties(correlation_id="an earlier call's")
    client._rpc.channel.basic_publish("", "no such queue", b"1", earlier, mandatory=True)
    assert client.call(30) == 832040


@pytest.mark.parametrize(("body", "words"), ERRORS)
def test_error_reply_is_an_rpc_error(begin, channel, body, words):
    call, _, props, _ = begin(30)
    send_reply(channel, props, body, type="error")
    with pytest.raises(RpcError, match=words):
        call.result(5)


@pytest.mark.parametrize("body", [b"", b"many", b"\xff", b"3.5", b"9" * 10_000])
def test_reply_that_is_no_number_is_a_value_error(begin, channel, body):
    call, _, props, _ = begin(30)
    send_reply(channel, props, body)
    with pytest.raises(ValueError):  # noqa: PT011
        call.result(5)


def test_second_of_two_calls_that_overlap_is_a_runtime_error(client, begin, channel):
    call, _, props, _ = begin(30)
    with pytest.raises(RuntimeError, match="make a client for each thread"):
        client.call(31)
    send_reply(channel, props, b"832040")
    assert call.result(5) == 832040
    assert waiting(channel) == 0


def test_client_calls_on_after_failures(client, server):
    for n in (-1, 1.5, None):  # the server says what it takes
        with pytest.raises(RpcError, match="send a whole number"):
            client.call(n)
        assert client.call(30) == 832040
    client.close()
    assert client.call(30) == 832040


def test_error_and_a_lost_queue_cost_no_next_call(own_broker, client, begin, channel, start_server):
    connection, together = client._rpc.connection, threading.Event()
    process = connection.process_data_events
    connection.process_data_events = lambda time_limit: together.wait(10) and process(time_limit)
    call, _, props, _ = begin(30)
    send_reply(channel, props, b"too many rabbits", type="error")
    own_broker.ctl("delete_queue", client._rpc.callback_queue)
    together.set()  # the client reads both at once
    with pytest.raises(RpcError, match="too many rabbits"):
        call.result(5)
    start_server()
    assert client.call(30, timeout=5) == 832040
