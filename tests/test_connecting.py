"""A client connects when it is first asked, or told to; in time, or it says why not."""

import gc
import socket
import threading
from unittest import mock

import pika
import pytest
from brokers import client_threads, takes, wait_until
from relay import CLIENT_HANDSHAKE
from wire import waiting

from rpc_client import FibonacciRpcClient

pytestmark = pytest.mark.usefixtures("threads_before")


@pytest.mark.parametrize("told", [False, True])
def test_client_connects_once_when_it_is_told_or_first_asked(way, server, told):
    with FibonacciRpcClient(way.url) as client:
        assert way.connections == 0
        if told:
            client.connect()
        assert way.connections == told
        assert client.call(30) == client.call(30) == 832040
    assert way.connections == 1


def test_error_tells_what_each_node_did_and_no_attempt_goes_on(unreachable):
    options = "?connection_attempts=9&retry_delay=60"
    silent = unreachable.rpartition("@")[2].partition("/")[0]
    client = FibonacciRpcClient(f"{unreachable}{options},amqp://localhost:1/{options}")
    with takes(0.2), pytest.raises(ConnectionError) as error:  # 0.2: half its share of the time
        client.connect(timeout=0.8)
    assert str(error.value) == (
        f"{silent} does not answer: is RabbitMQ overloaded, or the network down?; "
        "localhost:1 refuses connections: is RabbitMQ running?"
    )


@pytest.mark.parametrize(("timeout", "most"), [(0.4, 10), (60, 0.4)])
def test_client_connects_in_time_if_the_name_service_hangs(broker, monkeypatch, timeout, most):
    over = threading.Event()
    monkeypatch.setattr("rpc_client.TIMEOUT_SECONDS", most)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait())
    with takes(0.4), pytest.raises(ConnectionError, match="does not answer"):
        FibonacciRpcClient(broker.url()).connect(timeout)
    over.set()


def test_second_address_is_reached_if_the_first_is_silent(unreachable, broker, monkeypatch):
    silent = pika.URLParameters(unreachable)
    addresses = [(silent.host, silent.port), broker.address]
    tcp = socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, ""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(*tcp, to) for to in addresses])
    with takes(1), FibonacciRpcClient(broker.url()) as client:
        client.connect(timeout=2)


@pytest.mark.parametrize("timeout", [1, 0, -1])
@pytest.mark.parametrize("answers", range(CLIENT_HANDSHAKE))  # wherever the broker freezes
def test_client_connects_in_time_or_leaves_nothing(way, answers, timeout, threads_before):
    way.answers = answers
    with takes(max(0, timeout)), pytest.raises(ConnectionError, match="does not answer"):
        FibonacciRpcClient(way.url).connect(timeout)
    if answers > 2 and timeout > 0:  # the connection is open, but not its channel or its queue
        way.revived.set()
        wait_until(3, way.closed)
    wait_until(3, lambda: client_threads() <= threads_before)


def test_nodes_of_a_cluster_share_the_time(unreachable, broker, server):
    url = f"{unreachable},{unreachable},{broker.url()}"
    with takes(0.6), FibonacciRpcClient(url) as client:
        assert client.call(30, timeout=1.8) == 832040


def test_client_that_may_not_declare_a_queue_says_so_and_closes_its_connection(restricted, way):
    way.answers = 5  # the last one is the refusal: closing will hang
    url = restricted("^$", ".*", ".*", base_url=way.url)
    with takes(0), pytest.raises(ConnectionError, match="ACCESS_REFUSED"):
        FibonacciRpcClient(url).connect()
    way.revived.set()
    wait_until(3, way.closed)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), 1e-9])
def test_no_time_is_a_timeout_error_and_nothing_is_sent(client, rpc_queue, channel, timeout):
    words = r"^no answer within .+ s: no time to send the request$"
    for _ in range(2):  # connected, and not
        with takes(0), pytest.raises(TimeoutError, match=words):
            client.call(30, timeout)
        client.close()
    assert waiting(channel) == 0


@pytest.mark.parametrize("error", [RuntimeError, AssertionError])  # AssertionError: in gevent's hub
def test_connection_that_gets_no_thread_to_close_it_is_left_in_silence(way, error):
    client = FibonacciRpcClient(way.url)
    client.connect()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", mock.Mock(side_effect=error))
        client.close()
    assert not way.closed()


def test_connection_is_closed_once_though_closing_hangs(way, server, monkeypatch):
    close, closings = pika.BlockingConnection.close, []
    monkeypatch.setattr(
        pika.BlockingConnection, "close", lambda *args: closings.append(1) or close(*args)
    )
    client = FibonacciRpcClient(way.url)
    client.connect()
    way.answers = 0
    client.close()
    del client
    gc.collect()
    assert len(closings) == 1
    way.revived.set()
    wait_until(3, way.closed)
