"""What the README says of the plain tutorial's pair is so, too."""

import concurrent.futures
import os
import time

import pika
import pytest
from benchmark import PlainClient, plain_fib, plain_server, spawn
from wire import receive


@pytest.fixture
def start_plain_server(broker):
    with broker.channel() as channel:
        channel.queue_declare(PlainClient.queue, durable=True)
    processes = []

    def start(fib=plain_fib):
        args = (broker.url(), PlainClient.queue, fib)
        processes.append(spawn.Process(target=plain_server, args=args))
        processes[-1].start()
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.join()
    with broker.channel() as channel:
        channel.queue_delete(PlainClient.queue)


def request(channel, body):
    channel.basic_publish("", PlainClient.queue, body, pika.BasicProperties(reply_to="nobody"))


def comes_back(channel):
    """The request is in the queue again, marked as one that a server held before."""
    return receive(channel, PlainClient.queue)[0].redelivered


@pytest.mark.parametrize(("fib", "body"), [(plain_fib, b"no number"), (os._exit, b"1")])
def test_a_request_takes_one_server_after_another(start_plain_server, channel, fib, body):
    request(channel, body)
    for _ in range(3):
        server = start_plain_server(fib)
        server.join(10)
        assert server.exitcode == 1
    assert comes_back(channel)


def test_a_server_that_gets_sigterm_leaves_its_request_to_another(start_plain_server, channel):
    def waiting():
        return channel.queue_declare(PlainClient.queue, passive=True).method.message_count

    request(channel, b"60")
    while not waiting():
        pass
    server = start_plain_server(fib=time.sleep)
    while waiting():
        pass
    server.terminate()
    server.join(10)
    assert comes_back(channel)


@pytest.fixture
def hangs(background):
    """Let a client's call hang for half a second, and return what share of a core that takes."""

    def hangs(client):
        start, cpu = time.monotonic(), time.process_time()
        call = background(client.call, 30)
        done, _ = concurrent.futures.wait([call], timeout=0.5)
        share = (time.process_time() - cpu) / (time.monotonic() - start)
        client.response = b"0"  # or it would spin for ever
        call.result(10)
        assert not done
        return share

    return hangs


def test_a_client_without_a_server_waits_at_a_whole_core(broker, hangs):
    client = PlainClient(broker.url())
    assert any(hangs(client) > 0.5 for _ in range(5))  # in one of them nobody else took the cores
    client.close()


def test_a_client_of_a_frozen_broker_hangs(own_broker, start_plain_server, hangs):
    start_plain_server()
    client = PlainClient(own_broker.url())
    assert client.call(10) == 55
    with own_broker.frozen():
        hangs(client)
    client.close()


def test_a_closed_connection_ends_both(own_broker, start_plain_server):
    server = start_plain_server()
    client = PlainClient(own_broker.url())
    assert client.call(10) == 55
    own_broker.close_connections()
    server.join(10)
    assert server.exitcode == 1
    with pytest.raises(pika.exceptions.AMQPError):
        client.call(10)
