"""A call ends within its timeout and one second, whatever the broker does, and says why."""

import contextlib
import re
import socket
import threading
import time

import pytest
from wire import receive, request

import rpc_client
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
def test_where_no_server_is_consuming(client, rpc_queue, timeout):
    assert reason(client, timeout) == "no server is consuming"


def test_where_the_servers_are_busy(client, start_server, channel):
    server = start_server("rpc_server.fib = lambda n: time.sleep(5) or n")
    for n in (1, 2):
        request(channel, b"%d" % n)
    server.expect_exact(" [.] fib(1)")
    assert reason(client, 0.2).startswith("servers consuming: 1, requests waiting: ")


def test_where_the_queue_has_gone(client, rpc_queue, channel, background):
    failed = background(reason, client, 2)
    receive(channel, rpc_queue)
    channel.queue_delete(rpc_queue)
    assert "no queue 'rpc_queue'" in failed.result()


def test_where_the_broker_is_down(own_broker, client, rpc_queue):
    with own_broker.stopped():
        with takes(0), pytest.raises(ConnectionError):
            FibonacciRpcClient(own_broker.url())
        assert str(own_broker.address[1]) in reason(client, 0.5)
        why = reason(client, 0.2)
        assert str(own_broker.address[1]) in why
        assert "Channel is closed" not in why


def test_where_the_broker_is_frozen(own_broker, client, server):
    client.call(1)
    with own_broker.frozen():
        assert "does not answer" in reason(client, 0.5)
        assert client.connection is None  # it is left to the thread that waits for its answer
        assert "does not answer" in reason(client, 0.2)
    assert client.call(30) == 832040


def test_where_the_broker_freezes_in_mid_call(own_broker, client, rpc_queue, channel, background):
    failed = background(reason, client, 3)
    receive(channel, rpc_queue)
    with own_broker.frozen():
        assert "does not answer" in failed.result()


@pytest.mark.parametrize(("timeout", "words"), [(0.6, "lost|EOF"), (2, "does not answer")])
def test_where_the_network_goes_dead_and_the_time_for_another_try_is_short(
    relay, rpc_queue, timeout, words
):
    way = relay(answers=6)
    with FibonacciRpcClient(way.url) as client:
        way.answers = 0
        way.cut()
        assert re.search(words, reason(client, timeout))


def test_where_the_broker_is_out_of_memory(own_broker, client, server):
    with own_broker.out_of_memory():
        assert "does not answer" in reason(client, 0.5)
        assert "does not answer" in reason(client, 0.2)
    assert client.call(30) == 832040


def test_a_call_given_up_leaves_no_thread_while_the_broker_is_out_of_memory(
    own_broker, rpc_queue, monkeypatch
):
    monkeypatch.setattr(rpc_client, "BLOCKED_SECONDS", 1)
    before = set(threading.enumerate())
    with FibonacciRpcClient(own_broker.url()) as client, own_broker.out_of_memory():
        assert "does not answer" in reason(client, 0.2)
        assert not set(threading.enumerate()) <= before
        own_broker.wait_until(10, lambda: set(threading.enumerate()) <= before)


def test_leaving_the_with_block_waits_for_no_frozen_broker(own_broker):
    with contextlib.ExitStack() as stack:
        leaving = stack.enter_context(FibonacciRpcClient(own_broker.url()))
        stack.enter_context(own_broker.frozen())
        with takes(0):
            leaving.__exit__()


def test_where_there_is_no_time_for_anything(client, server):
    with pytest.raises(TimeoutError):
        client.call(30, timeout=1e-9)
    client.close()
    with pytest.raises(TimeoutError, match="no time to connect"):
        client.call(30, timeout=1e-9)
    assert client.call(30) == 832040


@pytest.fixture
def unreachable():
    """An address where a connection is neither accepted nor refused: its backlog is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as s:
        for _ in range(4):
            filler = s.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"amqp://guest:guest@127.0.0.1:{listener.getsockname()[1]}/%2F"


def test_making_a_client_ends_in_time_where_the_broker_is_unreachable(unreachable):
    with takes(1), pytest.raises(ConnectionError, match="does not answer"):
        FibonacciRpcClient(unreachable, timeout=1)


def test_a_list_of_nodes_that_do_not_answer_shares_the_time(unreachable, broker, server):
    url = f"{unreachable},{unreachable},{broker.url()}"
    with takes(1.2), FibonacciRpcClient(url, timeout=1.8) as client:
        assert client.call(30) == 832040


@pytest.mark.parametrize("answers", range(6))
def test_making_a_client_ends_in_time_wherever_the_broker_freezes(relay, answers):
    with takes(0.4), pytest.raises(ConnectionError, match="does not answer"):
        FibonacciRpcClient(relay(answers).url, timeout=0.4)


def test_an_attempt_that_was_given_up_ends_soon(own_broker, unreachable):
    before = set(threading.enumerate())
    with pytest.raises(ConnectionError):
        FibonacciRpcClient(unreachable, timeout=0.2)
    own_broker.wait_until(3, lambda: set(threading.enumerate()) <= before)


def test_a_connection_that_comes_too_late_is_closed(own_broker, relay):
    before = own_broker.connections()
    way = relay(answers=4)
    with pytest.raises(ConnectionError):
        FibonacciRpcClient(way.url, timeout=0.4)
    assert own_broker.connections() > before
    way.revived.set()
    own_broker.wait_until(10, lambda: own_broker.connections() <= before)


def test_a_connection_that_did_not_say_why_in_time_is_closed(own_broker, client, rpc_queue):
    queue = client.callback_queue
    with own_broker.frozen():
        reason(client, 0.2)
    own_broker.wait_until(10, lambda: queue not in own_broker.ctl("list_queues", "name"))


def test_waiting_costs_next_to_no_cpu(client, rpc_queue):
    start = time.process_time()
    with pytest.raises(TimeoutError):
        client.call(30, timeout=1)
    assert time.process_time() - start < 0.05
