"""Whatever rpc_queue is there already, the server takes it as it is and shares it."""

import pika
import pytest
from wire import receive, round_trip, send_request

KINDS = {
    "quorum": {"durable": True, "arguments": {"x-queue-type": "quorum"}},
    "transient": {"durable": False},
    "with priorities": {"durable": True, "arguments": {"x-max-priority": 5}},
    "stream": {"durable": True, "arguments": {"x-queue-type": "stream"}},
}


def test_server_declares_a_durable_queue_and_names_no_type(server, channel):
    channel.queue_declare("rpc_queue", durable=True)  # a 406 if it had other settings


@pytest.mark.parametrize("kind", KINDS)
def test_server_serves_an_existing_queue(channel, start_server, kind):
    try:
        channel.queue_declare("rpc_queue", **KINDS[kind])
    except pika.exceptions.ConnectionClosedByBroker:
        assert kind == "transient"
        pytest.skip("this broker refuses transient shared queues, as RabbitMQ 4.3 does")
    start_server()
    assert round_trip(channel, b"30")[1] == b"832040"


def test_two_servers_share_the_load(start_server, channel):
    slow = "fib = rpc_server.fib\nrpc_server.fib = lambda n: time.sleep(0.2) or fib(n)"
    servers = [start_server(slow) for _ in range(2)]
    callbacks = [send_request(channel, b"%d" % n)[0] for n in range(4)]
    for server in servers:
        server.expect_exact(" [.] fib(")
    assert [receive(channel, queue)[2] for queue in callbacks] == [b"0", b"1", b"1", b"2"]
