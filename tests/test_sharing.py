"""One client for a whole program: its threads share it, and so do the children that it forks."""

import gc
from concurrent.futures import ThreadPoolExecutor

import pytest
from brokers import wait_until
from scripts import ROOT
from wire import background, receive, send_reply, waiting

from rpc_client import FibonacciRpcClient
from rpc_server import fib

pytestmark = pytest.mark.usefixtures("threads_before")
FORKS = ROOT / "tests/functions/shared_client.py"


@pytest.fixture
def answer(channel, rpc_queue):
    """Make calls at the same time, answer them in turn, and return their callback queues."""

    def answer(client, calls, submit=background):
        calls = [submit(client.call, n) for n in range(calls)]
        requests = [receive(channel, rpc_queue) for _ in calls]
        assert not any(call.done() for call in calls)
        for _, props, body in requests:
            send_reply(channel, props, body * 2)
            assert calls[int(body)].result(5) == 11 * int(body)
        return [props.reply_to for _, props, _ in requests]

    return answer


def test_calls_of_threads_are_under_way_at_once_and_a_thread_has_one_queue(client, answer):
    assert len({*answer(client, 4)}) == 4
    with ThreadPoolExecutor(1) as thread:
        queues = [answer(client, 1, thread.submit) for _ in range(3)]
    assert queues == [queues[0]] * 3


def test_threads_get_their_own_answers_under_load_and_leave_nothing(own_broker, way, start_server):
    def load(thread):
        for n in range(thread, thread + 100):
            answers.append(client.call(n, timeout=30) == fib(n))

    start_server(), start_server()
    answers, before = [], own_broker.connections()
    with FibonacciRpcClient(way.url) as client, ThreadPoolExecutor(8) as pool:
        done = pool.map(load, range(8))
        for answered in 100, 300, 500:
            wait_until(30, lambda answered=answered: len(answers) > answered)
            way.cut()
        list(done)  # raises what a call has raised
        assert answers == [True] * 800
    wait_until(5, lambda: own_broker.connections() <= before)


def test_close_is_of_the_thread_that_calls_it(way, far_client, rpc_queue, channel):
    call = background(far_client.call, 30)
    _, props, _ = receive(channel, rpc_queue)
    far_client.close()
    wait_until(3, way.closed)
    send_reply(channel, props, b"832040")
    assert call.result(5) == 832040
    assert (waiting(channel), way.connections) == (0, 2)


@pytest.mark.parametrize("close", ["close", ""])
def test_thread_that_ends_leaves_no_connection(own_broker, way, start_server, start, close):
    start_server()
    before = own_broker.connections()
    program = start("tests/functions/many_threads.py", close, url=way.url)
    assert (program.read(), program.ends()) == ("a handful\n", 0)
    assert way.connections == 31
    wait_until(5, lambda: own_broker.connections() <= before)


def test_dropped_client_leaves_no_connection(way, server):
    assert FibonacciRpcClient(way.url).call(30) == 832040
    wait_until(3, lambda: gc.collect() is not None and way.closed())


def test_forked_children_and_their_parent_get_their_own_answers(way, start_server, start):
    start_server()
    assert start(FORKS, url=way.url).read() == "all answers are right\n"
    assert way.connections == 5  # one a process: the children did not close their parent's
