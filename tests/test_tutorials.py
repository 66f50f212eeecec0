"""What the README says of the tutorial's pair is so, as its repository has it since March 2026."""

import contextlib
import functools
import signal
import uuid

import pika
import pytest
from brokers import wait_until
from scripts import ROOT, WAIT_SECONDS
from wire import background, receive, waiting

from rpc_server import fib

QUORUM = {"x-queue-type": "quorum"}
REPOSITORY_QUEUE = {"queue": "repository_queue", "durable": True, "arguments": QUORUM}


class RepositoryClient:
    """The client of https://github.com/rabbitmq/rabbitmq-tutorials."""

    def __init__(self, url):
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        self.callback_queue = self.channel.queue_declare("", exclusive=True).method.queue
        self.channel.basic_consume(self.callback_queue, self.on_response, auto_ack=True)

    def on_response(self, ch, method, props, body):
        if self.corr_id == props.correlation_id:
            self.response = body

    def call(self, n):
        self.response = None
        self.corr_id = str(uuid.uuid4())
        props = pika.BasicProperties(reply_to=self.callback_queue, correlation_id=self.corr_id)
        self.channel.basic_publish("", REPOSITORY_QUEUE["queue"], str(n), props)
        self.connection.process_data_events(time_limit=None)
        return int(self.response)


def serve(url, queue, fib=fib):
    """Its server."""

    def on_request(ch, method, props, body):
        answer = pika.BasicProperties(correlation_id=props.correlation_id)
        ch.basic_publish("", props.reply_to, str(fib(int(body))), answer)
        ch.basic_ack(method.delivery_tag)

    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.queue_declare(**queue)
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue["queue"], on_request)
    channel.start_consuming()


CRASHES = [(b"no number", "nobody", "fib"), (b"1", None, "fib"), (b"1", "nobody", "os._exit")]


@pytest.fixture(autouse=True)
def queue(channel):
    """The name of the tutorial's queue."""
    queue = channel.queue_declare(**REPOSITORY_QUEUE).method.queue
    yield queue
    with contextlib.suppress(pika.exceptions.AMQPError):  # the test broke its connection
        channel.queue_delete(queue)


@pytest.fixture
def start_tutorial(broker, start):
    """Start the tutorial's server, with a function of the test's if it names one."""

    def start_tutorial(fib="fib"):
        imports = "import os, time\nfrom test_tutorials import *"
        code = f"{imports}\nserve({broker.url()!r}, REPOSITORY_QUEUE, {fib})"
        return start("-c", code, cwd=ROOT / "tests")

    return start_tutorial


@pytest.mark.parametrize(("body", "reply_to", "fib"), CRASHES)
def test_request_crashes_each_server(queue, start_tutorial, channel, body, reply_to, fib):
    channel.basic_publish("", queue, body, pika.BasicProperties(reply_to=reply_to))
    for _ in range(3):
        assert start_tutorial(fib).ends() == 1
    assert receive(channel, queue)[0].redelivered


def test_sigterm_ends_a_tutorial_server_in_mid_request(queue, start_tutorial, channel):
    channel.basic_publish("", queue, b"60", pika.BasicProperties(reply_to="nobody"))
    wait_until(WAIT_SECONDS, lambda: waiting(channel, queue))
    server = start_tutorial("time.sleep")
    wait_until(WAIT_SECONDS, lambda: not waiting(channel, queue))
    assert server.ends(signal.SIGTERM) == -signal.SIGTERM
    assert receive(channel, queue)[0].redelivered


def test_deleted_queue_ends_a_tutorial_server(broker, queue, start_tutorial, channel):
    server = start_tutorial()
    assert RepositoryClient(broker.url()).call(10) == 55
    channel.queue_delete(queue)
    assert server.ends() == 0


def test_closed_connection_ends_both_tutorial_scripts(own_broker, start_tutorial):
    server, client = start_tutorial(), RepositoryClient(own_broker.url())
    assert client.call(10) == 55
    with own_broker.connections_closed(), pytest.raises(pika.exceptions.AMQPError):
        client.call(10)
    assert server.ends() == 1


@pytest.mark.slow
def test_frozen_broker_ends_a_tutorial_client_after_two_heartbeats(own_broker):
    client = RepositoryClient(own_broker.url(heartbeat=1))
    with own_broker.frozen(), pytest.raises(pika.exceptions.AMQPHeartbeatTimeout):
        background(client.call, 10).result(20)  # pika adds five seconds to each heartbeat


def test_tutorial_client_waits_for_ever(broker):
    client = RepositoryClient(broker.url())
    client.connection.call_later(0.5, functools.partial(setattr, client, "response", b"0"))
    assert client.call(30) == 0  # there is no server: it waited until the test gave up
