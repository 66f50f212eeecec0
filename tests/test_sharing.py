"""One client for a whole program: its threads share it, and so do the children that it forks."""

from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from brokers import takes, wait_until
from scripts import ROOT
from wire import background, receive, send_reply, waiting

from rpc_client import FibonacciRpcClient
from rpc_server import fib

pytestmark = pytest.mark.usefixtures("threads_before")
FORKS = ROOT / "tests/functions/shared_client.py"


@pytest.fixture
def answer(channel, rpc_queue):
    """Make calls at the same time, answer them in turn, and return their callback queues."""

    def answer(client, calls):
        calls = [background(client.call, n) for n in range(calls)]
        requests = [receive(channel, rpc_queue) for _ in calls]
        assert not any(call.done() for call in calls)
        for _, props, body in requests:
            send_reply(channel, props, body * 2)
            assert calls[int(body)].result(5) == 11 * int(body)
        return [props.reply_to for _, props, _ in requests]

    return answer


def test_calls_are_under_way_at_once_and_the_connection_used_last_is_next(client, answer):
    queues = answer(client, 4)
    assert len({*queues}) == 4
    for _ in range(3):
        assert answer(client, 1) == queues[3:]


def test_threads_get_their_own_answers_under_load_and_leave_nothing(own_broker, way, start_server):
    def load(thread):
        for n in range(thread, thread + 100):
            answers.append(client.call(n, timeout=30) == fib(n))

    start_server(), start_server()
    answers, before = [], len(own_broker.list_connections())
    with FibonacciRpcClient(way.url) as client, ThreadPoolExecutor(8) as pool:
        done = pool.map(load, range(8))
        for answered in 100, 300, 500:
            wait_until(30, lambda answered=answered: len(answers) > answered)
            way.cut()
        list(done)  # raises what a call has raised
        assert answers == [True] * 800
    wait_until(5, lambda: len(own_broker.list_connections()) == before)


def connections_over(way):
    """Return this process's connections to `way`, also those that the other end has closed."""
    port = way.listener.getsockname()[1]
    here = psutil.Process().net_connections("tcp")
    return [connection for connection in here if connection.raddr and connection.raddr[1] == port]


def test_call_passes_over_lost_connections(way, far_client, answer, start_server, monkeypatch):
    monkeypatch.setattr("rpc_client.RETRY_SECONDS", 60)
    answer(far_client, 4)
    way.cut()
    start_server()
    assert far_client.call(30, timeout=5) == 832040
    assert way.connections == 4 + 1
    wait_until(3, lambda: len(connections_over(way)) == 1)


def test_peak_of_calls_leaves_the_connection_that_is_in_use(way, far_client, answer, monkeypatch):
    monkeypatch.setattr("rpc_client.MAX_IDLE_SECONDS", 2)
    queues = answer(far_client, 4)
    wait_until(9, lambda: answer(far_client, 1) == queues[3:] and len(connections_over(way)) == 1)
    monkeypatch.setattr("rpc_client.MAX_IDLE_SECONDS", 0)
    assert answer(far_client, 1) != queues[3:]  # idle for too long, it is not used again
    way.last = b""
    far_client.close()
    assert way.closed()  # close() waits also for one that is idle for long


def test_close_by_another_thread_ends_no_call(way, far_client, rpc_queue, channel):
    call = background(far_client.call, 30)
    _, props, _ = receive(channel, rpc_queue)
    far_client.close()
    send_reply(channel, props, b"832040")
    assert call.result(5) == 832040
    assert (waiting(channel), way.connections) == (0, 1)
    far_client.close()
    wait_until(3, way.closed)


def test_close_takes_no_longer_for_many_connections(own_broker, client, answer):
    answer(client, 8)
    with own_broker.frozen(), takes(0):
        client.close()


def test_forked_children_and_their_parent_get_their_own_answers(way, start_server, start):
    start_server()
    assert start(FORKS, url=way.url).read() == "all answers are right\n"
    assert way.connections == 5  # one a process: the children did not close their parent's
