"""What the README says of the tutorial's pair is so, of its repository's and of an older copy."""

import contextlib
import functools
import signal
from unittest import mock

import pika
import pytest
from brokers import wait_until
from scripts import ROOT, WAIT_SECONDS
from tutorials import OlderClient, RepositoryClient
from wire import background, receive, waiting

CRASHES = [(b"no number", "nobody", "fib"), (b"1", None, "fib"), (b"1", "nobody", "os._exit")]


@pytest.fixture(params=[RepositoryClient, OlderClient])
def tutorial(request, channel):
    """A version of the tutorial: its client's class, with its queue declared."""
    channel.queue_declare(**request.param.queue)
    yield request.param
    with contextlib.suppress(pika.exceptions.AMQPError):  # the test broke its connection
        channel.queue_delete(request.param.queue["queue"])


@pytest.fixture
def start_tutorial(broker, tutorial, start):
    """Start the tutorial's server, with a function of the test's if it names one."""

    def start_tutorial(fib="fib"):
        serve = f"serve({broker.url()!r}, {tutorial.queue}, {fib})"
        code = f"import os, time; from tutorials import *; {serve}"
        return start("-c", code, cwd=ROOT / "tests")

    return start_tutorial


@pytest.mark.parametrize(("body", "reply_to", "fib"), CRASHES)
def test_request_crashes_each_server(tutorial, start_tutorial, channel, body, reply_to, fib):
    queue = tutorial.queue["queue"]
    channel.basic_publish("", queue, body, pika.BasicProperties(reply_to=reply_to))
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


def test_deleted_queue_ends_a_tutorial_server(broker, tutorial, start_tutorial, channel):
    server = start_tutorial()
    assert tutorial(broker.url()).call(10) == 55
    channel.queue_delete(tutorial.queue["queue"])
    assert server.ends() == 0


def test_closed_connection_ends_both_tutorial_scripts(own_broker, tutorial, start_tutorial):
    server, client = start_tutorial(), tutorial(own_broker.url())
    assert client.call(10) == 55
    with own_broker.connections_closed(), pytest.raises(pika.exceptions.AMQPError):
        client.call(10)
    assert server.ends() == 1


@pytest.mark.slow
def test_frozen_broker_ends_a_tutorial_client_after_two_heartbeats(own_broker):
    clients = [version(own_broker.url(heartbeat=1)) for version in (RepositoryClient, OlderClient)]
    with own_broker.frozen():
        for call in [background(client.call, 10) for client in clients]:
            with pytest.raises(pika.exceptions.AMQPHeartbeatTimeout):
                call.result(20)  # pika adds five seconds to each heartbeat


def test_tutorial_client_waits_for_ever_and_an_older_copy_polls_meanwhile(tutorial, broker):
    client = tutorial(broker.url())
    client.connection.call_later(0.5, functools.partial(setattr, client, "response", b"0"))
    polls = mock.Mock(side_effect=client.connection.process_data_events)
    client.connection.process_data_events = polls
    assert client.call(30) == 0  # there is no server: it waited until the test gave up
    assert polls.call_count > 50 if tutorial is OlderClient else polls.call_count < 5


def test_broker_that_refuses_transient_queues_ends_an_older_server(broker, start):
    if broker.permits_transient_queues:
        pytest.skip("this broker permits transient shared queues")
    serve = f"from tutorials import *; serve({broker.url()!r}, {{'queue': 'transient_queue'}})"
    assert start("-c", serve, cwd=ROOT / "tests").ends() == 1
