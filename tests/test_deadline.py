"""A call ends within its timeout and one second, whatever the broker does, and says why."""

import signal
import socket
import threading
import time
from unittest import mock

import pika
import pytest
from brokers import steps, takes, wait_until
from relay import CLIENT_HANDSHAKE, CONNECTION_CLOSE
from wire import background, receive, send_reply, send_request, waiting

import rpc_client
from rpc_client import FibonacciRpcClient


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
    assert client._rpc.connection.is_open  # as the broker has answered
    wait_until(1, lambda: not waiting(channel))  # the request expires


def test_timeout_error_says_how_many_servers_are_busy(client, start_server, channel):
    server = start_server("fib = lambda n: time.sleep(5) or n")
    send_request(channel, b"1")
    server.expect_exact(" [.] fib(1)")
    words = f"servers consuming: 1, requests waiting: 0; {rpc_client.EXPIRED}"
    wait_until(3, lambda: reason(client, 0.2) == words)  # a request that has expired does not wait


def test_timeout_error_says_that_the_queue_was_deleted(client, rpc_queue, channel):
    connection, failed = client._rpc.connection, background(reason, client, 1)
    receive(channel, rpc_queue)
    channel.queue_delete(rpc_queue)
    assert "no queue 'rpc_queue'" in failed.result()
    wait_until(1, lambda: connection.is_closed)


def test_timeout_error_says_that_the_broker_is_frozen(own_broker, client, server):
    client.call(1)
    idle = FibonacciRpcClient(own_broker.url())
    with own_broker.frozen():
        assert "does not answer" in reason(client, 0.5)
        assert client._rpc is None
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
    before = set(threading.enumerate())
    with takes(0.2), pytest.raises(ConnectionError) as error:  # 0.2: half its share of the time
        FibonacciRpcClient(f"{unreachable}{options},amqp://localhost:1/{options}", timeout=0.8)
    assert str(error.value) == (
        f"{silent} does not answer: is RabbitMQ overloaded, or the network down?; "
        "localhost:1 refuses connections: is RabbitMQ running?"
    )
    wait_until(1, lambda: set(threading.enumerate()) <= before)


def test_connection_lost_before_the_broker_tells_the_reason_is_told(way, far_client, rpc_queue):
    declare = far_client._rpc.channel.queue_declare
    far_client._rpc.channel.queue_declare = lambda **kwargs: way.cut() or declare(**kwargs)
    assert reason(far_client, 0.2).endswith(" or was a heartbeat missed?")


def test_client_whose_connection_is_lost_connects_at_once(way, far_client, server, monkeypatch):
    monkeypatch.setattr("rpc_client.RETRY_SECONDS", 60)
    for _ in range(2):
        way.cut()
        assert far_client.call(30, timeout=5) == 832040
    way.refuse()
    assert "refuses connections" in reason(far_client, 0.6)


@pytest.mark.parametrize("nodes", [1, 3])
def test_refusal_on_a_slow_link_is_told_whenever_the_deadline_comes(restricted, way, nodes):
    url = restricted(".*", ".*", ".*", base_url=way.url)
    with FibonacciRpcClient(",".join([url] * nodes)) as client:
        client._urls = [url.replace("secret", "changed")] * nodes
        client.close()
        way.delay_seconds = 0.06
        for timeout in (1.5, 1.6, 1.7, 1.8, 1.9):
            assert reason(client, timeout).count("ACCESS_REFUSED") == nodes


def test_losses_that_go_on_make_no_storm_and_leave_no_thread(restricted, way):
    before = steps()
    with FibonacciRpcClient(restricted(".*", "^$", ".*", base_url=way.url)) as client:
        reason(client, 1)
        assert way.connections in (2, 3)
        wait_until(9, lambda: "or its queue is gone: see RabbitMQ's log" in reason(client, 1))
    wait_until(3, lambda: steps() <= before)


def test_timeout_error_tells_the_alarm_of_the_broker(own_broker, client, server, channel):
    assert client.call(30) == 832040
    connection, threads = client._rpc, threading.active_count()
    with own_broker.out_of_memory():
        wait_until(5, lambda: "blocks publishers" in reason(client, 0.2))  # it may take its time
        for _ in range(3):
            assert reason(client, 0.2) == "the broker blocks publishers: low on memory"
        assert threading.active_count() == threads
        with takes(0):
            FibonacciRpcClient(own_broker.url()).close()
    assert client.call(30) == 832040
    assert client._rpc is connection
    assert server.ends(signal.SIGTERM) == 0
    assert waiting(channel) == 0


def test_client_publishes_nothing_in_an_alarm_and_once_after(way, own_broker, rpc_queue, channel):
    with FibonacciRpcClient(f"{way.url}?blocked_connection_timeout=0.3") as client:
        with own_broker.out_of_memory():
            reason(client, 0.2)  # the request that has the broker block the connection
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


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), 1e-9])
def test_no_time_is_a_timeout_error_and_nothing_is_sent(client, rpc_queue, channel, timeout):
    words = r"^no answer within .+ s: there was no time to send the request$"
    for _ in range(2):  # connected, and not
        with takes(0), pytest.raises(TimeoutError, match=words):
            client.call(30, timeout)
        client.close()
    assert waiting(channel) == 0


def test_no_time_left_after_connecting_is_told_and_nothing_is_sent(client, rpc_queue, channel):
    connect = client._connect
    client._connect = lambda seconds: time.sleep(seconds) or connect(1)
    client.close()
    assert reason(client, 0.2) == "there was no time to send the request"
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
    way.answers, before = answers, steps()
    with takes(max(0, timeout)), pytest.raises(ConnectionError, match="does not answer"):
        FibonacciRpcClient(way.url, timeout)
    if answers > 2 and timeout > 0:  # the connection is open, but not its channel or its queue
        way.revived.set()
        wait_until(3, lambda: way.last[7:11] == CONNECTION_CLOSE)
    wait_until(3, lambda: steps() <= before)


def test_nodes_of_a_cluster_share_the_time(unreachable, broker, server):
    url = f"{unreachable},{unreachable},{broker.url()}"
    with takes(0.6), FibonacciRpcClient(url, timeout=1.8) as client:
        assert client.call(30) == 832040


def test_close_works_when_python_ends_and_starts_no_thread_any_more(broker, monkeypatch):
    client = FibonacciRpcClient(broker.url())
    monkeypatch.setattr(threading.Thread, "start", mock.Mock(side_effect=RuntimeError))  # as 3.12
    client.close()
    assert client._rpc is None


def test_step_that_ends_late_is_closed_and_if_that_fails_nobody_is_told(monkeypatch):
    close, told, late = mock.Mock(side_effect=OSError), mock.Mock(), threading.Event()
    before = steps()
    monkeypatch.setattr(threading, "excepthook", told)
    with pytest.raises(ConnectionError):
        rpc_client.within(0.1, late.wait, abandon=close)
    late.set()
    wait_until(3, lambda: close.called and steps() <= before)
    told.assert_not_called()


def test_client_that_may_not_declare_a_queue_says_so_and_closes_its_connection(restricted, way):
    before, way.answers = steps(), 5  # the last one is the refusal: closing will hang
    url = restricted("^$", ".*", ".*", base_url=way.url)
    with takes(0), pytest.raises(ConnectionError, match="ACCESS_REFUSED"):
        FibonacciRpcClient(url)
    way.revived.set()
    wait_until(3, lambda: way.last[7:11] == CONNECTION_CLOSE and steps() <= before)


def test_publish_that_the_broker_does_not_read_ends_in_seconds(own_broker, client, server):
    with own_broker.frozen():
        error = background(client.ask, b"x" * 50_000_000, timeout=1).exception(1 + 5)
    assert "does not answer" in str(error)
    assert client.call(30) == 832040
