"""A call ends within its timeout and one second, whatever the broker does, and says why."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import pytest
from brokers import client_threads, takes, wait_until
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker
from relay import CLIENT_HANDSHAKE
from wire import background, receive, send_reply, waiting

from rpc_client import FibonacciRpcClient, NoServerError, RpcError

pytestmark = pytest.mark.usefixtures("threads_before")


def reason(client, timeout, error=TimeoutError):
    """Return why a call, which is expected to fail in time, failed."""
    with takes(0, timeout + 1), pytest.raises(error, match=f"^no answer within {timeout} s: ") as e:
        client.call(30, timeout)
    return str(e.value).partition(": ")[2]


@pytest.mark.parametrize("timeout", [0.2, 1])
def test_call_waits_for_a_server_until_its_deadline(client, rpc_queue, channel, timeout):
    start = time.process_time()
    with takes(timeout):
        assert reason(client, timeout, NoServerError) == "no server is consuming"
    assert time.process_time() - start < 0.1  # waiting takes next to no CPU
    wait_until(5, lambda: not waiting(channel))  # the request expires


def test_timeout_error_says_how_many_servers_are_busy(client, busy_server):
    busy_server()
    words = "servers consuming: 1, requests waiting: 0; servers busy, slow or lost: see their logs"
    wait_until(3, lambda: reason(client, 0.2) == words)  # an expired one does not wait


def test_deleted_or_denied_queue_is_told(way, far_client, rpc_queue, channel, monkeypatch):
    reason(far_client, 0.2, NoServerError)
    assert not way.closed()  # as the broker has answered
    channel.queue_purge(rpc_queue)
    deletion = background(lambda: receive(channel, rpc_queue) and channel.queue_delete(rpc_queue))
    assert reason(far_client, 1, NoServerError) == "NOT_FOUND - no queue 'rpc_queue' in vhost '/'"
    deletion.result(5)
    wait_until(3, way.closed)
    far_client.connect()
    channel.queue_declare(rpc_queue, durable=True)
    refusal = mock.Mock(side_effect=ChannelClosedByBroker(403, "ACCESS_REFUSED - as since 4.3"))
    monkeypatch.setattr(BlockingChannel, "queue_declare", refusal)
    assert reason(far_client, 0.2) == "ACCESS_REFUSED - as since 4.3"


def test_timeout_error_says_that_the_broker_is_frozen(own_broker, client, server):
    client.call(1)
    idle = FibonacciRpcClient(own_broker.url())
    idle.connect()
    with own_broker.frozen():
        assert "does not answer" in reason(client, 0.5)
        assert "does not answer" in reason(client, 0.2)
        with takes(0), idle:
            pass  # the end of the block closes the connection
    assert client.call(30) == 832040


def test_call_is_one_round_trip_and_ends_in_time_if_the_network_goes_dead(way, far_client, server):
    way.answers = CLIENT_HANDSHAKE + 1
    assert far_client.call(30, timeout=3) == 832040
    assert "does not answer" in reason(far_client, 0.5)


def test_lost_client_connects_at_once(way, far_client, server, monkeypatch, caplog):
    monkeypatch.setattr("rpc_client.RETRY_SECONDS", 60)
    for _ in range(2):
        way.cut()
        assert far_client.call(30, timeout=5) == 832040
    way.refuse()
    assert "refuses connections" in reason(far_client, 0.6)
    assert "called on closed connection" not in caplog.text  # pika's error


@pytest.mark.parametrize(("step", "most"), [("queue_declare", 1), ("basic_publish", 5)])
def test_losses_are_told_and_make_no_storm(way, far_client, rpc_queue, monkeypatch, step, most):
    make = getattr(BlockingChannel, step)
    monkeypatch.setattr(BlockingChannel, step, lambda *a, **k: way.cut() or make(*a, **k))
    assert "closed the connection: " in reason(far_client, 1)
    assert way.connections <= most


def test_timeout_error_tells_an_alarm(own_broker, way, far_client, server, channel, threads_before):
    assert far_client.call(30) == 832040
    with own_broker.out_of_memory(), FibonacciRpcClient(way.url) as other:
        wait_until(5, lambda: "blocks publishers" in reason(far_client, 1))  # it takes its time
        assert "blocks publishers" in reason(other, 1)
        threads, connections = client_threads(), way.connections
        for _ in range(10):
            assert reason(far_client, 0.1) == "the broker blocks publishers: low on memory"
        assert (client_threads(), way.connections) == (threads, connections)
    far_client.close()  # It has not read yet that the alarm is over.
    wait_until(3, way.closed)
    assert far_client.call(30) == 832040
    wait_until(5, lambda: client_threads() <= threads_before)  # the other is closed by now
    assert server.ends(signal.SIGTERM) == 0
    assert waiting(channel) == 0


def test_client_publishes_nothing_in_an_alarm_and_once_after(way, own_broker, rpc_queue, channel):
    client = FibonacciRpcClient(f"{way.url}?blocked_connection_timeout=0.3")
    with ThreadPoolExecutor(1) as thread:  # all calls are of one thread, and so of one connection
        with own_broker.out_of_memory():
            # This request has the broker block the connection.
            thread.submit(reason, client, 1, RpcError).result()
            last = way.last
            thread.submit(reason, client, 0.5).result()
            assert way.last is last
            call = thread.submit(client.call, 29, timeout=30)
        body = b""
        while body != b"29":
            _, props, body = receive(channel, rpc_queue)
        send_reply(channel, props, b"514229")
        assert call.result(5) == 514229
        assert waiting(channel) == 0
        assert way.connections == 1


@pytest.mark.parametrize("nodes", [1, 3])
def test_call_is_answered_by_a_broker_that_comes_late(way, server, nodes):
    way.refuse()
    urls = ["amqp://localhost:1", "amqp://localhost:2", way.url]
    threading.Timer(0.62, way.take_again).start()
    with FibonacciRpcClient(",".join(urls[-nodes:])) as client:
        assert client.call(30, timeout=3) == 832040


def test_attempt_that_is_cut_short_does_not_replace_the_reason(monkeypatch):
    def fail(client, seconds):
        if seconds > 0.4:
            raise ConnectionError("the true reason")
        time.sleep(seconds)
        raise ConnectionError("does not answer")

    monkeypatch.setattr(FibonacciRpcClient, "connect", fail)
    client = FibonacciRpcClient("amqp://localhost")
    assert reason(client, 0.8) == "the true reason"
    assert reason(client, 0.1) == "does not answer"
