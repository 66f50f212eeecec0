"""What the README says of the tutorial's pair is so (see functions/tutorial.py)."""

import contextlib
import functools
import signal

import pika
import pytest
from brokers import wait_until
from scripts import WAIT_SECONDS
from wire import receive, waiting

from tests.functions.tutorial import REPOSITORY_QUEUE, RepositoryClient

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
        imports = "import os, time\nfrom tests.functions.tutorial import *"
        code = f"{imports}\nserve({broker.url()!r}, REPOSITORY_QUEUE, {fib})"
        return start("-c", code)

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


def test_closed_connection_ends_both_tutorial_scripts(own_broker, start_tutorial):
    server, client = start_tutorial(), RepositoryClient(own_broker.url())
    assert client.call(10) == 55
    with own_broker.connections_closed(), pytest.raises(pika.exceptions.AMQPError):
        client.call(10)
    assert server.ends() == 1


def test_tutorial_client_without_a_server_waits_until_the_test_ends_it(broker):
    client = RepositoryClient(broker.url())
    client.connection.call_later(0.5, functools.partial(setattr, client, "response", b"0"))
    assert client.call(30) == 0
