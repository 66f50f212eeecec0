"""What the README says of the plain tutorial's pair is so, too."""

import concurrent.futures
import time

import pika
import pytest
from benchmark import PlainClient, plain_fib, plain_server, spawn


@pytest.fixture
def start_plain_server(broker):
    with broker.channel() as channel:
        channel.queue_declare(PlainClient.queue, durable=True)
    processes = []

    def start():
        args = (broker.url(), PlainClient.queue, plain_fib)
        processes.append(spawn.Process(target=plain_server, args=args))
        processes[-1].start()
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.join()
    with broker.channel() as channel:
        channel.queue_delete(PlainClient.queue)


def test_a_request_that_is_no_number_takes_one_server_after_another(start_plain_server, channel):
    props = pika.BasicProperties(reply_to="nobody")
    channel.basic_publish("", PlainClient.queue, b"no number", props)
    for _ in range(3):
        server = start_plain_server()
        server.join(10)
        assert server.exitcode == 1


def test_a_client_without_a_server_waits_at_a_whole_core(broker, background):
    client = PlainClient(broker.url())
    start, cpu = time.monotonic(), time.process_time()
    call = background(client.call, 30)
    done, _ = concurrent.futures.wait([call], timeout=1)
    share = (time.process_time() - cpu) / (time.monotonic() - start)
    client.response = b"0"  # or it would spin for ever
    assert not done
    assert share > 0.5


def test_a_closed_connection_ends_both(own_broker, start_plain_server):
    server = start_plain_server()
    client = PlainClient(own_broker.url())
    assert client.call(10) == 55
    own_broker.close_connections()
    server.join(10)
    assert server.exitcode == 1
    with pytest.raises(pika.exceptions.AMQPError):
        client.call(10)
