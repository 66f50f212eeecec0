"""What the client puts on the wire, and what it takes from it."""

import pika
import pytest
from relay import CLIENT_HANDSHAKE
from wire import receive, send_reply, waiting

from rpc_client import FibonacciRpcClient, RpcError

AMQP_CEILING_MS = 2**32 - 1


def test_request_is_the_decimal_digits_with_reply_to_correlation_id_and_expiration(
    client, rpc_queue, channel, background
):
    call = background(client.call, 30, timeout=7)
    method, props, body = receive(channel, rpc_queue)
    assert body == b"30"
    assert (method.exchange, method.routing_key) == ("", "rpc_queue")
    assert props.reply_to == client.callback_queue
    assert 6000 < int(props.expiration) <= 7000
    send_reply(channel, props, b"832040")
    assert call.result(5) == 832040


def test_call_is_one_round_trip(relay, server):
    with FibonacciRpcClient(relay(CLIENT_HANDSHAKE + 1).url) as client:
        assert client.call(30, timeout=3) == 832040


def test_each_request_has_a_correlation_id_of_its_own_and_the_one_callback_queue(
    client, rpc_queue, channel, background
):
    requests = []
    for n in range(20):
        call = background(client.call, n)
        _, props, _ = receive(channel, rpc_queue)
        requests.append(props)
        send_reply(channel, props, b"1")
        call.result(5)
    assert len({props.correlation_id for props in requests}) == 20
    assert {props.reply_to for props in requests} == {client.callback_queue}


def test_client_leaves_no_callback_queue(own_broker, client):
    name = client.callback_queue
    assert name in own_broker.queues()
    client.close()
    assert name not in own_broker.queues()


def test_client_leaves_no_reply_in_its_callback_queue(own_broker, client, server):
    assert client.call(30) == 832040
    listing = own_broker.ctl("list_queues", "name", "messages").splitlines()
    assert f"{client.callback_queue}\t0" in listing


def test_client_ignores_foreign_replies_takes_the_first_match_and_asks_once(
    client, rpc_queue, channel, background
):
    call = background(client.call, 30)
    _, props, _ = receive(channel, rpc_queue)
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


def test_client_ignores_late_replies_to_an_earlier_call(client, rpc_queue, channel, background):
    earlier = background(client.call, 1, timeout=0.5)
    _, late, _ = receive(channel, rpc_queue)
    with pytest.raises(TimeoutError):
        earlier.result(5)
    call = background(client.call, 30)
    _, props, _ = receive(channel, rpc_queue)
    send_reply(channel, late, b"1")
    send_reply(channel, late, b"1", type="error")
    send_reply(channel, props, b"832040")
    assert call.result(5) == 832040


def test_client_ignores_the_return_of_an_earlier_request(client, server):
    earlier = pika.BasicProperties(correlation_id="an earlier call's")
    client.channel.basic_publish("", "no such queue", b"1", earlier, mandatory=True)
    assert client.call(30) == 832040


def test_request_that_nobody_waits_for_expires(client, rpc_queue, channel):
    with pytest.raises(TimeoutError):
        client.call(1, timeout=0.2)
    assert waiting(channel) == 0


@pytest.mark.parametrize("timeout", [None, float("inf"), 365 * 86400])
def test_expiration_past_the_ceiling_of_amqp_is_the_ceiling(
    client, rpc_queue, channel, background, timeout
):
    call = background(client.call, 30, timeout)
    _, props, _ = receive(channel, rpc_queue)
    assert int(props.expiration) == AMQP_CEILING_MS
    send_reply(channel, props, b"832040")
    assert call.result(5) == 832040


@pytest.mark.parametrize("n", [3.0, "30", None, b"30", [30]])
def test_what_is_no_integer_is_a_type_error_and_nothing_is_sent(client, rpc_queue, channel, n):
    with pytest.raises(TypeError):
        client.call(n)
    assert waiting(channel) == 0


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "^the server failed and gave no reason$"),
        (b"out of \x1b[31m rabbits", r"^out of \\x1b\[31m rabbits$"),
        ("Größe: 'ß', \"é\" \\".encode(), r"^Größe: 'ß', \"é\" \\$"),
        (b"\xff\xfe", r"^\\xff\\xfe$"),
        (b"x" * 100_000, "^x{200}$"),
    ],
)
def test_error_reply_is_an_rpc_error_in_the_words_of_the_server(
    client, rpc_queue, channel, background, body, words
):
    call = background(client.call, 30)
    _, props, _ = receive(channel, rpc_queue)
    send_reply(channel, props, body, type="error")
    with pytest.raises(RpcError, match=words):
        call.result(5)


@pytest.mark.parametrize("answer", [b"", b"many", b"\xff", b"3.5", b"9" * 10_000])
def test_reply_that_is_no_number_is_an_rpc_error(client, rpc_queue, channel, background, answer):
    call = background(client.call, 30)
    _, props, _ = receive(channel, rpc_queue)
    send_reply(channel, props, answer)
    with pytest.raises(RpcError, match="not a number") as error:
        call.result(5)
    assert len(str(error.value)) < 300


def test_second_of_two_calls_that_overlap_is_a_runtime_error_and_the_first_is_answered(
    client, rpc_queue, channel, background
):
    call = background(client.call, 30)
    _, props, _ = receive(channel, rpc_queue)
    with pytest.raises(RuntimeError, match="make a client for each thread"):
        client.call(31)
    send_reply(channel, props, b"832040")
    assert call.result(5) == 832040
    assert waiting(channel) == 0


def test_client_calls_on_after_failures(client, server):
    for _ in range(3):
        with pytest.raises(RpcError, match="send a whole number"):
            client.call(-1)
        assert client.call(30) == 832040
    client.close()
    assert client.call(30) == 832040
