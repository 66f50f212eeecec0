"""What the README says of the tutorial's two pairs is so, too."""

import concurrent.futures
import contextlib
import os
import signal
import time

import pika
import pytest
import tutorials
from brokers import wait_until
from tutorials import PageClient, RepositoryClient
from wire import receive, waiting

WAIT_SECONDS = 10


@pytest.fixture(params=[PageClient, RepositoryClient], ids=["page", "repository"])
def pair(request, channel):
    """One of the pairs: its client's class, with its queue declared."""
    channel.queue_declare(**request.param.queue)
    yield request.param
    with contextlib.suppress(pika.exceptions.AMQPError):  # the test broke its connection
        channel.queue_delete(request.param.queue["queue"])


@pytest.fixture
def start_server(broker, pair):
    """Start the pair's server, with a function of the test's if it names one."""
    processes = []

    def start_server(fib=pair.fib, queue=pair.queue):
        processes.append(tutorials.start_server(broker.url(), queue, fib))
        return processes[-1]

    yield start_server
    for process in processes:
        process.kill()
        process.join()


@pytest.fixture
def client(broker, pair):
    client = pair(broker.url())
    yield client
    if client.connection.is_open:
        client.close()


@pytest.fixture
def hangs(background):
    """Let a client's call hang for half a second, and return what share of a core that takes."""

    def hangs(client):
        start, cpu = time.monotonic(), time.process_time()
        call = background(client.call, 30)
        done, _ = concurrent.futures.wait([call], timeout=0.5)
        share = (time.process_time() - cpu) / (time.monotonic() - start)
        client.response = b"0"
        client.connection.add_callback_threadsafe(lambda: None)  # has the repository's look at it
        call.result(WAIT_SECONDS)
        assert not done
        return share

    return hangs


def send_request(channel, pair, body, **props):
    channel.basic_publish("", pair.queue["queue"], body, pika.BasicProperties(**props))


def exit_code(server):
    server.join(WAIT_SECONDS)
    return server.exitcode


@pytest.mark.parametrize(
    ("body", "props", "fib"),
    [
        (b"no number", {"reply_to": "nobody"}, None),
        (b"1", {}, None),
        (b"1", {"reply_to": "nobody"}, os._exit),
    ],
    ids=["that is no number", "without reply_to", "that crashes its server"],
)
def test_request_crashes_one_tutorial_server_after_another(
    pair, start_server, channel, body, props, fib
):
    send_request(channel, pair, body, **props)
    for _ in range(3):
        assert exit_code(start_server(fib or pair.fib)) == 1
    assert receive(channel, pair.queue["queue"])[0].redelivered


def test_sigterm_ends_a_tutorial_server_in_mid_request(pair, start_server, channel):
    queue = pair.queue["queue"]
    send_request(channel, pair, b"60", reply_to="nobody")
    wait_until(WAIT_SECONDS, lambda: waiting(channel, queue))
    server = start_server(fib=time.sleep)
    wait_until(WAIT_SECONDS, lambda: not waiting(channel, queue))
    server.terminate()
    assert exit_code(server) == -signal.SIGTERM
    assert receive(channel, queue)[0].redelivered


def test_deleted_queue_ends_a_tutorial_server(pair, start_server, client, channel):
    server = start_server()
    assert client.call(10) == 55
    channel.queue_delete(pair.queue["queue"])
    assert exit_code(server) == 0


def test_closed_connection_ends_both_scripts_of_a_tutorial(own_broker, start_server, client):
    server = start_server()
    assert client.call(10) == 55
    with own_broker.connections_closed(), pytest.raises(pika.exceptions.AMQPError):
        client.call(10)
    assert exit_code(server) == 1


def test_tutorial_client_without_a_server_waits_for_ever_and_the_page_s_takes_a_core(
    pair, client, hangs
):
    if pair is PageClient:
        assert any(hangs(client) > 0.5 for _ in range(5))  # in one nobody else took the cores
    else:
        assert hangs(client) < 0.2


def test_tutorial_client_of_a_frozen_broker_hangs(own_broker, start_server, client, hangs):
    start_server()
    assert client.call(10) == 55
    with own_broker.frozen():
        hangs(client)


def test_foreign_message_fails_a_call_of_the_repository_s_client(
    pair, start_server, client, channel
):
    channel.basic_publish("", client.callback_queue, b"1", pika.BasicProperties())
    start_server()
    if pair is PageClient:
        assert client.call(10) == 55
    else:
        with pytest.raises(TypeError):
            client.call(10)


def test_broker_that_refuses_transient_queues_refuses_the_page_s_server(
    pair, start_server, channel, client
):
    transient = {"queue": "transient_queue"}
    try:
        channel.queue_declare(**transient)
    except pika.exceptions.ConnectionClosedByBroker:
        assert exit_code(start_server(queue=transient)) == 1
        start_server()
        assert client.call(10) == 55
    else:
        channel.queue_delete("transient_queue")
        pytest.skip("this broker takes transient shared queues, as RabbitMQ did before 4.3")
