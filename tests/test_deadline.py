"""A call ends within its timeout and one second, whatever the broker does, and says why."""

import contextlib
import socket
import threading
import time

import pika
import pytest
from brokers import wait_until
from relay import CLIENT_HANDSHAKE, NEVER_DEAD
from wire import receive, send_reply, send_request, waiting

from rpc_client import FibonacciRpcClient


@contextlib.contextmanager
def takes(seconds):
    """The block takes this long, and less than a second more."""
    start = time.monotonic()
    yield
    assert seconds <= time.monotonic() - start < seconds + 1


def reason(client, timeout):
    """Return why a call, which is expected to fail in time, failed."""
    with takes(timeout), pytest.raises(TimeoutError, match=f"^no answer within {timeout} s: ") as e:
        client.call(30, timeout)
    return str(e.value).partition(": ")[2]


@pytest.mark.parametrize("timeout", [0.2, 1])
def test_timeout_error_says_that_no_server_is_consuming(client, rpc_queue, timeout):
    assert reason(client, timeout) == "no server is consuming"


def test_timeout_error_says_how_many_servers_are_busy(client, start_server, channel):
    server = start_server("rpc_server.fib = lambda n: time.sleep(5) or n")
    for n in (1, 2):
        send_request(channel, b"%d" % n)
    server.expect_exact(" [.] fib(1)")
    assert reason(client, 0.2).startswith("servers consuming: 1, requests waiting: ")


def test_timeout_error_says_that_the_queue_was_deleted(client, rpc_queue, channel, background):
    connection, failed = client.connection, background(reason, client, 1)
    receive(channel, rpc_queue)
    channel.queue_delete(rpc_queue)
    assert "no queue 'rpc_queue'" in failed.result()
    assert connection.is_closed


def test_timeout_error_says_that_the_broker_is_down(relay, rpc_queue):
    way = relay(NEVER_DEAD)
    with FibonacciRpcClient(way.url) as client:
        way.refuse()
        way.listener.close()
        assert "refuses connections" in reason(client, 0.6)
    with takes(0), pytest.raises(ConnectionError, match="refuses connections"):
        FibonacciRpcClient(way.url)


def test_timeout_error_says_that_the_broker_is_frozen(own_broker, client, server):
    client.call(1)
    client.connection.close = None  # nobody may call it: another thread is in the connection
    with own_broker.frozen():
        assert "does not answer" in reason(client, 0.5)
        assert client.connection is None
        assert "does not answer" in reason(client, 0.2)
    assert client.call(30) == 832040


def test_call_ends_in_time_if_the_network_goes_dead_meanwhile(relay, rpc_queue):
    way = relay(CLIENT_HANDSHAKE)
    with FibonacciRpcClient(way.url) as client:
        assert "does not answer" in reason(client, 0.5)


@pytest.mark.parametrize("timeout", [0.4, 1])
def test_call_ends_in_time_if_it_cannot_reconnect(relay, rpc_queue, timeout):
    way = relay(NEVER_DEAD)
    with FibonacciRpcClient(way.url) as client:
        way.answers = 0
        way.cut()
        reason(client, timeout)


def test_client_pauses_between_two_attempts_to_connect(relay, rpc_queue):
    way, attempts = relay(NEVER_DEAD), []
    with FibonacciRpcClient(way.url) as client:
        way.refuse()
        way.listener.close()
        connect = client.open
        client.open = lambda node: attempts.append(node) or connect(node)
        reason(client, 1)
    assert 2 <= len(attempts) <= 5


def test_timeout_error_tells_the_alarm_of_the_broker_and_the_connection_is_kept(
    own_broker, server, channel
):
    with FibonacciRpcClient(own_broker.url()) as client:
        assert client.call(30) == 832040
        connection, threads = client.connection, threading.active_count()
        with own_broker.out_of_memory():
            for _ in range(3):
                assert reason(client, 0.2) == "the broker blocks publishers: low on memory"
            assert threading.active_count() == threads
            with takes(0):
                FibonacciRpcClient(own_broker.url()).close()
        assert client.call(30) == 832040
        assert client.connection is connection
    assert server.ends(2) == 0
    assert waiting(channel) == 0


def test_client_publishes_nothing_while_the_broker_blocks_and_once_when_it_does_no_longer(
    relay, own_broker, rpc_queue, channel, background
):
    way = relay(NEVER_DEAD)
    with FibonacciRpcClient(way.url) as client:
        with own_broker.out_of_memory():
            reason(client, 0.2)  # the request that has the broker block the connection
            last = way.last
            reason(client, 0.2)
            assert way.last is last
            call = background(client.call, 29, timeout=30)
        body = b""
        while body != b"29":
            _, props, body = receive(channel, rpc_queue)
        send_reply(channel, props, b"514229")
        assert call.result(5) == 514229
    assert waiting(channel) == 0


def test_client_publishes_again_after_a_blocked_connection_was_lost(relay, own_broker, server):
    way = relay(NEVER_DEAD)
    with FibonacciRpcClient(way.url) as client:
        with own_broker.out_of_memory():
            reason(client, 0.2)
            way.cut()
        assert client.call(30) == 832040


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), 1e-9])
def test_no_time_is_a_timeout_error_and_nothing_is_sent(client, rpc_queue, channel, timeout):
    for _ in range(2):
        with pytest.raises(TimeoutError):
            client.call(30, timeout)
        client.close()  # the second time, there is no time to connect either
    assert waiting(channel) == 0


@pytest.mark.parametrize("timeout", [0, -1])
def test_client_is_not_made_if_there_is_no_time(broker, timeout):
    with takes(0), pytest.raises(ConnectionError, match="does not answer"):
        FibonacciRpcClient(broker.url(), timeout)


def test_client_is_made_in_time_or_not_if_the_broker_is_unreachable(unreachable):
    before = set(threading.enumerate())
    with takes(0.2), pytest.raises(ConnectionError, match="does not answer"):
        FibonacciRpcClient(unreachable, timeout=0.4)  # the other half is for a second address
    wait_until(3, lambda: set(threading.enumerate()) <= before)


def test_client_is_made_in_time_or_not_if_the_name_service_hangs(broker, monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait())
    with takes(0.4), pytest.raises(ConnectionError, match="does not answer"):
        FibonacciRpcClient(broker.url(), timeout=0.4)
    over.set()


def test_second_address_of_a_name_is_reached_if_the_first_does_not_answer(
    unreachable, broker, monkeypatch
):
    silent = pika.URLParameters(unreachable)
    addresses = [(silent.host, silent.port), broker.address]
    tcp = socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, ""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(*tcp, to) for to in addresses])
    with takes(0.5):
        FibonacciRpcClient(broker.url(), timeout=1).close()


@pytest.mark.parametrize("answers", range(CLIENT_HANDSHAKE))
def test_client_is_made_in_time_or_not_wherever_the_broker_freezes(relay, answers):
    with takes(0.2), pytest.raises(ConnectionError, match="does not answer"):
        FibonacciRpcClient(relay(answers).url, timeout=0.2)


def test_connection_timeout_of_pika_itself_is_a_connection_error(relay, monkeypatch):
    monkeypatch.setattr("rpc_client.within", lambda seconds, step, *args: step(*args))
    with takes(0.3), pytest.raises(ConnectionError, match="does not answer"):
        FibonacciRpcClient(relay(2).url, timeout=0.3)


def test_nodes_of_a_cluster_share_the_time(unreachable, broker, server):
    url = f"{unreachable},{unreachable},{broker.url()}"
    with takes(0.6), FibonacciRpcClient(url, timeout=1.8) as client:
        assert client.call(30) == 832040


def test_with_block_ends_in_time_if_the_broker_is_frozen(own_broker):
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(FibonacciRpcClient(own_broker.url()))
        stack.enter_context(own_broker.frozen())
        with takes(0):
            client.__exit__()


def test_waiting_for_a_reply_takes_next_to_no_cpu(client, rpc_queue):
    start = time.process_time()
    with pytest.raises(TimeoutError):
        client.call(30, timeout=1)
    assert time.process_time() - start < 0.05
