"""What the README says of the tutorial's pair is so, of its repository's and of an older copy."""

import concurrent.futures
import contextlib
import signal
import time

import pika
import pytest
from brokers import wait_until
from scripts import ROOT, WAIT_SECONDS
from tutorials import OlderClient, RepositoryClient
from wire import receive, waiting


@pytest.fixture(params=[RepositoryClient, OlderClient], ids=["repository", "older"])
def tutorial(request, channel):
    """A version of the tutorial: its client's class, with its queue declared."""
    channel.queue_declare(**request.param.queue)
    yield request.param
    with contextlib.suppress(pika.exceptions.AMQPError):  # the test broke its connection
        channel.queue_delete(request.param.queue["queue"])


@pytest.fixture
def start_tutorial(broker, tutorial, start):
    """Start the tutorial's server, with a function of the test's if it names one."""

    def start_tutorial(fib="tutorials.fib", queue=tutorial.queue):
        code = f"import os, time, tutorials; tutorials.serve({broker.url()!r}, {queue}, {fib})"
        return start("-c", code, cwd=ROOT / "tests")

    return start_tutorial


@pytest.fixture
def tutorial_client(broker, tutorial):
    client = tutorial(broker.url())
    yield client
    if client.connection.is_open:
        client.connection.close()


@pytest.fixture
def hangs(background):
    """Let a client's call hang for half a second, and return what share of a core that takes."""

    def hangs(client):
        start, cpu = time.monotonic(), time.process_time()
        call = background(client.call, 30)
        done, _ = concurrent.futures.wait([call], timeout=0.5)
        share = (time.process_time() - cpu) / (time.monotonic() - start)
        client.response = b"0"
        client.connection.add_callback_threadsafe(lambda: None)  # ends process_data_events()
        call.result(WAIT_SECONDS)
        assert not done
        return share

    return hangs


@pytest.mark.parametrize(
    ("body", "props", "fib"),
    [
        (b"no number", {"reply_to": "nobody"}, "tutorials.fib"),
        (b"1", {}, "tutorials.fib"),
        (b"1", {"reply_to": "nobody"}, "os._exit"),
    ],
)
def test_request_crashes_one_tutorial_server_after_another(
    tutorial, start_tutorial, channel, body, props, fib
):
    queue = tutorial.queue["queue"]
    channel.basic_publish("", queue, body, pika.BasicProperties(**props))
    for _ in range(3):
        assert start_tutorial(fib).ends() == 1
    assert receive(channel, queue)[0].redelivered


def test_sigterm_ends_a_tutorial_server_in_mid_request(tutorial, start_tutorial, channel):
    queue = tutorial.queue["queue"]
    channel.basic_publish("", queue, b"60", pika.BasicProperties(reply_to="nobody"))
    wait_until(WAIT_SECONDS, lambda: waiting(channel, queue))
    server = start_tutorial("time.sleep")
    wait_until(WAIT_SECONDS, lambda: not waiting(channel, queue))
    assert server.ends(signal.SIGTERM) == -signal.SIGTERM
    assert receive(channel, queue)[0].redelivered


def test_deleted_queue_ends_a_tutorial_server(tutorial, start_tutorial, tutorial_client, channel):
    server = start_tutorial()
    assert tutorial_client.call(10) == 55
    channel.queue_delete(tutorial.queue["queue"])
    assert server.ends() == 0


def test_closed_connection_ends_both_scripts_of_a_tutorial(
    own_broker, start_tutorial, tutorial_client
):
    server = start_tutorial()
    assert tutorial_client.call(10) == 55
    with own_broker.connections_closed(), pytest.raises(pika.exceptions.AMQPError):
        tutorial_client.call(10)
    assert server.ends() == 1


def test_tutorial_client_without_a_server_waits_for_ever_and_an_older_copy_takes_a_core(
    tutorial, tutorial_client, hangs
):
    if tutorial is OlderClient:
        # five tries, since other processes may take the cores
        assert any(hangs(tutorial_client) > 0.5 for _ in range(5))
    else:
        assert hangs(tutorial_client) < 0.2


def test_tutorial_client_of_a_frozen_broker_hangs(
    own_broker, start_tutorial, tutorial_client, hangs
):
    start_tutorial()
    assert tutorial_client.call(10) == 55
    with own_broker.frozen():
        hangs(tutorial_client)


def test_foreign_message_fails_a_call_of_the_repository_s_client(
    tutorial, start_tutorial, tutorial_client, channel
):
    channel.basic_publish("", tutorial_client.callback_queue, b"1", pika.BasicProperties())
    start_tutorial()
    if tutorial is OlderClient:
        assert tutorial_client.call(10) == 55
    else:
        with pytest.raises(TypeError):
            tutorial_client.call(10)


def test_broker_that_refuses_transient_queues_refuses_the_queue_of_an_older_copy(
    start_tutorial, channel
):
    transient = {"queue": "transient_queue"}
    try:
        channel.queue_declare(**transient)
    except pika.exceptions.ConnectionClosedByBroker:
        assert start_tutorial(queue=transient).ends() == 1
    else:
        channel.queue_delete("transient_queue")
        pytest.skip("this broker takes transient shared queues, as RabbitMQ did before 4.3")
