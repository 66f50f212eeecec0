"""What the client puts on the wire, and what it takes from it."""

import time

import pytest
from wire import PastTheYear9999, receive, reply

from rpc_client import FibonacciRpcClient, NoServerError, RpcError


def test_a_request_is_the_decimal_digits_with_reply_to_correlation_id_and_expiration(
    client, rpc_queue, channel, background
):
    call = background(client.call, 30, timeout=7)
    method, props, body = receive(channel, rpc_queue)
    assert body == b"30"
    assert (method.exchange, method.routing_key) == ("", "rpc_queue")
    assert props.reply_to == client.callback_queue
    assert 6000 < int(props.expiration) <= 7000
    reply(channel, props, b"832040")
    assert call.result(5) == 832040


def test_a_call_is_one_round_trip(relay, server):
    to_connect, reply = 6, 1
    with FibonacciRpcClient(relay(answers=to_connect + reply).url) as client:
        assert client.call(30, timeout=3) == 832040


def test_each_request_has_a_correlation_id_of_its_own(client, rpc_queue, channel, background):
    seen = set()
    for n in range(20):
        call = background(client.call, n)
        _, props, _ = receive(channel, rpc_queue)
        seen.add(props.correlation_id)
        reply(channel, props, b"1")
        call.result(5)
    assert len(seen) == 20


def test_a_client_has_one_callback_queue_for_its_life_and_leaves_none(
    own_broker, client, rpc_queue, channel, background
):
    def queues():
        listing = own_broker.ctl("list_queues", "name", "exclusive").splitlines()
        return {line.split("\t")[0] for line in listing if line.endswith("true")}

    others = queues() - {client.callback_queue}  # of an earlier test, still on their way out
    for n in range(3):
        call = background(client.call, n)
        _, props, _ = receive(channel, rpc_queue)
        assert props.reply_to == client.callback_queue
        reply(channel, props, b"1")
        call.result(5)
    assert queues() - others == {client.callback_queue}
    client.close()
    assert queues() <= others


def test_unknown_and_missing_ids_are_discarded_and_the_first_match_wins(
    client, rpc_queue, channel, background
):
    call = background(client.call, 30)
    _, props, _ = receive(channel, rpc_queue)
    reply(channel, props, b"1", correlation_id="somebody else's")
    reply(channel, props, b"2", correlation_id=None)
    reply(channel, props, b"3", correlation_id=None, type="error")
    reply(channel, props, b"832040")
    reply(channel, props, b"4")
    reply(channel, props, b"5", type="error")
    assert call.result(5) == 832040


def test_late_and_doubled_replies_of_an_earlier_call_are_discarded(
    client, rpc_queue, channel, background
):
    earlier = background(client.call, 1, timeout=1)
    _, late, _ = receive(channel, rpc_queue)
    with pytest.raises(TimeoutError):
        earlier.result(5)
    call = background(client.call, 30)
    _, props, _ = receive(channel, rpc_queue)
    reply(channel, late, b"1")
    reply(channel, late, b"1", type="error")
    reply(channel, props, b"832040")
    assert call.result(5) == 832040


def test_a_request_that_nobody_waits_for_is_dropped_from_the_queue(client, rpc_queue, channel):
    with pytest.raises(TimeoutError):
        client.call(1, timeout=0.2)
    assert channel.basic_get(rpc_queue)[0] is None


def test_without_a_limit_or_past_the_ceiling_a_request_does_not_expire(
    client, rpc_queue, channel, background
):
    for timeout in (None, 365 * 86400):
        call = background(client.call, 30, timeout)
        _, props, _ = receive(channel, rpc_queue)
        assert props.expiration is None
        reply(channel, props, b"832040")
        assert call.result(5) == 832040


def test_just_below_the_ceiling_the_expiration_is_taken(client, rpc_queue, channel, background):
    call = background(client.call, 30, timeout=(2**32 - 1) / 1000)
    _, props, _ = receive(channel, rpc_queue)
    assert 2**32 - 10_000 < int(props.expiration) < 2**32
    reply(channel, props, b"832040")
    assert call.result(5) == 832040


@pytest.mark.parametrize("n", [3.0, "30", None, b"30", [30]])
def test_what_is_not_an_integer_is_a_type_error_and_nothing_is_sent(client, rpc_queue, channel, n):
    with pytest.raises(TypeError):
        client.call(n)
    assert channel.basic_get(rpc_queue)[0] is None


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_that_is_not_above_0_is_a_value_error_and_nothing_is_sent(
    client, rpc_queue, channel, timeout
):
    with pytest.raises(ValueError, match="above 0"):
        client.call(30, timeout)
    with pytest.raises(ValueError, match="above 0"):
        FibonacciRpcClient(timeout=timeout)
    assert channel.basic_get(rpc_queue)[0] is None


def test_an_error_reply_without_words_is_an_rpc_error(client, rpc_queue, channel, background):
    call = background(client.call, 30)
    _, props, _ = receive(channel, rpc_queue)
    reply(channel, props, b"", type="error")
    with pytest.raises(RpcError, match="no reason"):
        call.result(5)


def test_an_error_reply_is_an_rpc_error_in_the_servers_words(
    client, rpc_queue, channel, background
):
    call = background(client.call, 30)
    _, props, _ = receive(channel, rpc_queue)
    reply(channel, props, b"out of \x1b[31m rabbits", type="error")
    with pytest.raises(RpcError, match=r"^out of \\x1b\[31m rabbits$"):
        call.result(5)


@pytest.mark.parametrize("answer", [b"", b"many", b"\xff", b"3.5", b"9" * 10_000])
def test_an_answer_that_is_not_a_number_is_an_rpc_error(
    client, rpc_queue, channel, background, answer
):
    call = background(client.call, 30)
    _, props, _ = receive(channel, rpc_queue)
    reply(channel, props, answer)
    with pytest.raises(RpcError, match="not a number"):
        call.result(5)


def test_a_reply_that_pika_can_not_parse_does_not_end_the_call(
    client, rpc_queue, channel, background
):
    call = background(client.call, 30)
    _, props, _ = receive(channel, rpc_queue)
    reply(channel, props, b"1", headers={"when": PastTheYear9999(2000, 1, 1)})
    _, props, _ = receive(channel, rpc_queue)
    reply(channel, props, b"832040")
    assert call.result(5) == 832040


def test_no_rpc_queue_is_a_no_server_error_at_once(client):
    start = time.monotonic()
    with pytest.raises(NoServerError, match="start a server"):
        client.call(30, timeout=30)
    assert time.monotonic() - start < 2
    assert issubclass(NoServerError, RpcError)
