"""A call ends within its timeout and one second, whatever the broker does, and says why."""

import signal
import socket
import threading
import time
from unittest import mock

import pika
import pytest
from brokers import client_threads, takes, wait_until
from pika.adapters.blocking_connection import BlockingChannel
from relay import CLIENT_HANDSHAKE
from wire import background, receive, send_reply, waiting

import rpc_client
from rpc_client import FibonacciRpcClient

pytestmark = pytest.mark.usefixtures("threads_before")


def cuts(monkeypatch, way, step):
    """From now on, this step of a channel's loses its connection, as a client takes it."""
    make = getattr(BlockingChannel, step)
    monkeypatch.setattr(BlockingChannel, step, lambda *a, **k: way.cut() or make(*a, **k))


def reason(client, timeout):
    """Return why a call, which is expected to fail in time, failed."""
    with takes(timeout), pytest.raises(TimeoutError, match=f"^no answer within {timeout} s: ") as e:
        client.call(30, timeout)
    return str(e.value).partition(": ")[2]


@pytest.mark.parametrize("timeout", [0.2, 1])
def test_timeout_error_says_that_no_server_is_consuming(client, rpc_queue, channel, timeout):
    start = time.process_time()
    assert reason(client, timeout) == "no server is consuming"
    assert time.process_time() - start < 0.05  # waiting takes next to no CPU
    wait_until(1, lambda: not waiting(channel))  # the request expires


def test_timeout_error_says_how_many_servers_are_busy(client, busy_server):
    busy_server()
    words = "servers consuming: 1, requests waiting: 0; the request expired as all were busy, or "
    wait_until(3, lambda: reason(client, 0.2).startswith(words))  # an expired one does not wait


def test_timeout_error_says_that_the_queue_was_deleted(way, far_client, rpc_queue, channel):
    assert reason(far_client, 0.2) == "no server is consuming"
    assert not way.closed()  # as the broker has answered
    channel.queue_purge(rpc_queue)
    failed = background(reason, far_client, 1)
    receive(channel, rpc_queue)
    channel.queue_delete(rpc_queue)
    assert "no queue 'rpc_queue'" in failed.result()
    wait_until(1, way.closed)


def test_timeout_error_says_that_the_broker_is_frozen(own_broker, client, server):
    client.call(1)
    idle = FibonacciRpcClient(own_broker.url())
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


def test_error_tells_what_each_node_did_and_no_attempt_goes_on(unreachable):
    options = "?connection_attempts=9&retry_delay=60"
    silent = unreachable.rpartition("@")[2].partition("/")[0]
    with takes(0.2), pytest.raises(ConnectionError) as error:  # 0.2: half its share of the time
        FibonacciRpcClient(f"{unreachable}{options},amqp://localhost:1/{options}", timeout=0.8)
    assert str(error.value) == (
        f"{silent} does not answer: is RabbitMQ overloaded, or the network down?; "
        "localhost:1 refuses connections: is RabbitMQ running?"
    )


def test_lost_client_connects_at_once(way, far_client, server, monkeypatch, caplog):
    monkeypatch.setattr("rpc_client.RETRY_SECONDS", 60)
    for _ in range(2):
        way.cut()
        assert far_client.call(30, timeout=5) == 832040
    way.refuse()
    assert "refuses connections" in reason(far_client, 0.6)
    assert "called on closed connection" not in caplog.text  # pika's error


@pytest.mark.parametrize("nodes", [1, 3])
def test_refusal_on_a_slow_link_is_told_at_each_deadline(own_broker, restricted, way, nodes):
    url = restricted(".*", ".*", ".*", way.url, user=f"for {nodes} nodes")
    with FibonacciRpcClient(",".join([url] * nodes)) as client:
        own_broker.ctl("change_password", f"for {nodes} nodes", "changed")
        client.close()
        way.delay_seconds = 0.06
        for timeout in (1.5, 1.6, 1.7, 1.8, 1.9):
            assert reason(client, timeout).count("ACCESS_REFUSED") == nodes


@pytest.mark.parametrize(("step", "attempts"), [("queue_declare", [1]), ("basic_publish", [2, 3])])
def test_losses_are_told_and_make_no_storm(way, far_client, rpc_queue, monkeypatch, step, attempts):
    cuts(monkeypatch, way, step)
    assert "closed the connection: " in reason(far_client, 1)
    assert way.connections in attempts


def test_timeout_error_tells_an_alarm(own_broker, way, far_client, server, channel, threads_before):
    assert far_client.call(30) == 832040
    with own_broker.out_of_memory():
        wait_until(5, lambda: "blocks publishers" in reason(far_client, 1))  # it takes its time
        for _ in range(3):
            assert reason(far_client, 0.2) == "the broker blocks publishers: low on memory"
        with FibonacciRpcClient(own_broker.url()) as other:
            assert "blocks publishers" in reason(other, 1)
        wait_until(1, lambda: client_threads() <= threads_before)  # none waits for its end
    assert far_client.call(30) == 832040
    assert way.connections == 1
    assert server.ends(signal.SIGTERM) == 0
    assert waiting(channel) == 0


def test_client_publishes_nothing_in_an_alarm_and_once_after(way, own_broker, rpc_queue, channel):
    with FibonacciRpcClient(f"{way.url}?blocked_connection_timeout=0.3") as client:
        with own_broker.out_of_memory():
            reason(client, 1)  # the request that has the broker block the connection
            last = way.last
            reason(client, 0.5)
            assert way.last is last
            call = background(client.call, 29, timeout=30)
        body = b""
        while body != b"29":
            _, props, body = receive(channel, rpc_queue)
        send_reply(channel, props, b"514229")
        assert call.result(5) == 514229
        assert waiting(channel) == 0
        assert way.connections == 1


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), 1e-9, 0.2])
def test_no_time_is_a_timeout_error_and_nothing_is_sent(client, rpc_queue, channel, timeout):
    words = r"^no answer within .+ s: there was no time to send the request$"
    connect, client._connect = client._connect, lambda seconds: time.sleep(seconds) or connect(1)
    if timeout == 0.2:  # no time after connecting
        client.close()
    for _ in range(2):  # connected, and not
        with takes(max(0, timeout or 0)), pytest.raises(TimeoutError, match=words):
            client.call(30, timeout)
        client.close()
    assert waiting(channel) == 0


def test_client_is_made_in_time_or_not_if_the_name_service_hangs(broker, monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait())
    with takes(0.4), pytest.raises(ConnectionError, match="does not answer"):
        FibonacciRpcClient(broker.url(), timeout=0.4)
    over.set()


def test_second_address_is_reached_if_the_first_is_silent(unreachable, broker, monkeypatch):
    silent = pika.URLParameters(unreachable)
    addresses = [(silent.host, silent.port), broker.address]
    tcp = socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, ""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(*tcp, to) for to in addresses])
    with takes(0.5):
        FibonacciRpcClient(broker.url(), timeout=1).close()


@pytest.mark.parametrize("timeout", [1, 0, -1])
@pytest.mark.parametrize("answers", range(CLIENT_HANDSHAKE))  # wherever the broker freezes
def test_client_is_made_in_time_or_not_and_then_leaves_nothing(way, answers, timeout):
    way.answers = answers
    with takes(max(0, timeout)), pytest.raises(ConnectionError, match="does not answer"):
        FibonacciRpcClient(way.url, timeout)
    if answers > 2 and timeout > 0:  # the connection is open, but not its channel or its queue
        way.revived.set()
        wait_until(3, way.closed)


def test_nodes_of_a_cluster_share_the_time(unreachable, broker, server):
    url = f"{unreachable},{unreachable},{broker.url()}"
    with takes(0.6), FibonacciRpcClient(url, timeout=1.8) as client:
        assert client.call(30) == 832040


def test_close_works_when_python_ends_and_starts_no_thread_any_more(broker, monkeypatch):
    client = FibonacciRpcClient(broker.url())
    monkeypatch.setattr(threading.Thread, "start", mock.Mock(side_effect=RuntimeError))  # as 3.12
    client.close()


def test_late_step_is_closed_and_if_that_fails_nobody_is_told(monkeypatch, threads_before):
    rpc, told, late = rpc_client.RpcConnection("amqp://node", ""), mock.Mock(), threading.Event()
    rpc.close = mock.Mock(side_effect=OSError)
    monkeypatch.setattr(threading, "excepthook", told)
    with pytest.raises(ConnectionError, match=r"^node does not answer: "):
        rpc.within(0.1, late.wait)
    late.set()
    wait_until(3, lambda: rpc.close.called and client_threads() <= threads_before)
    told.assert_not_called()


def test_client_that_may_not_declare_a_queue_says_so_and_closes_its_connection(restricted, way):
    way.answers = 5  # the last one is the refusal: closing will hang
    url = restricted("^$", ".*", ".*", base_url=way.url)
    with takes(0), pytest.raises(ConnectionError, match="ACCESS_REFUSED"):
        FibonacciRpcClient(url)
    way.revived.set()
    wait_until(3, way.closed)


def test_publish_that_the_broker_does_not_read_ends_in_seconds(own_broker, client, server):
    with own_broker.frozen():
        error = background(client.ask, b"x" * 50_000_000, timeout=1).exception(1 + 5)
    assert "does not answer" in str(error)
    assert client.call(30) == 832040
