"""A request that takes its server down must not take down one server after another."""

import errno
import os
import re
import signal

import pytest
from wire import PastTheYear9999, ask, receive, request

import rpc_server

SUICIDE = "rpc_server.fib = lambda n: n if n != 13 else os.kill(os.getpid(), signal.SIGKILL)"
SLEEP = "rpc_server.fib = lambda n: n if n != 13 else time.sleep(4)"


def test_a_request_that_costs_its_server_its_life_takes_two_servers_and_no_third(
    start_server, channel
):
    servers = [start_server(SUICIDE) for _ in range(4)]
    request(channel, b"13")
    while sum(server.proc.poll() is not None for server in servers) < 2:
        assert ask(channel, b"14")[1] == b"14"
    for _ in range(20):  # if it came back once more, a third would have met it by now
        assert ask(channel, b"14")[1] == b"14"
    assert sorted(server.proc.poll() is None for server in servers) == [False, False, True, True]
    assert channel.queue_declare("rpc_queue", passive=True).method.message_count == 0


def test_a_request_held_by_a_server_that_was_merely_killed_is_answered_by_the_next(
    start_server, channel
):
    holder = start_server("rpc_server.fib = lambda n: time.sleep(60)")
    queue, corr_id = request(channel, b"30")
    holder.expect_exact(" [.] fib(30)")
    other = start_server()
    assert holder.ends(signal.SIGKILL) == -signal.SIGKILL
    _, props, body = receive(channel, queue)
    assert (props.correlation_id, body) == (corr_id, b"832040")
    assert ask(channel, b"30")[1] == b"832040"
    assert other.ends(signal.SIGTERM) == 0
    assert " [!]" not in other.read()


def test_a_request_that_costs_its_server_its_connection_comes_back_once(
    broker, start_server, channel
):
    server = start_server(SLEEP, url=broker.url(heartbeat=1))
    request(channel, b"13")
    server.expect_exact(" [.] fib(13)")
    server.expect_exact(" [.] fib(13)")
    server.awaits_requests()
    assert ask(channel, b"30")[1] == b"30"
    assert channel.queue_declare("rpc_queue", passive=True).method.message_count == 0


@pytest.mark.parametrize(("servers", "messages"), [(1, 1), (3, 1), (1, 8)])
def test_messages_that_pika_can_not_parse_are_taken_off_the_queue(
    start_server, channel, servers, messages
):
    pause = "rpc_server.MIN_PAUSE_SECONDS = 2" if servers > 1 else ""  # until it has met them all
    servers = [start_server(pause) for _ in range(servers)]
    for _ in range(messages):
        request(channel, b"13", headers={"when": PastTheYear9999(2000, 1, 1)})
    for server in servers:
        server.expect_exact("Stream connection lost")
        server.awaits_requests()
    for _ in range(10):
        assert ask(channel, b"30")[1] == b"832040"
    assert channel.queue_declare("rpc_queue", passive=True).method.message_count == 0


def test_an_error_of_the_network_is_told_from_pika_s_own():
    for number in set(errno.errorcode) - {errno.EOVERFLOW}:  # that one is a date's
        lost = OSError(number, os.strerror(number))
        assert re.search(rpc_server.NETWORK, f"Stream connection lost: {lost!r}")


def test_a_lost_network_is_not_taken_for_such_a_message(relay, start_server, channel):
    """Else the next request, a harmless one, would be acknowledged before it is computed."""
    way = relay(answers=10**6)
    suicide = "rpc_server.reply = lambda *_: os.kill(os.getpid(), signal.SIGKILL)"
    server = start_server(suicide, url=way.url)
    way.cut()
    server.expect_exact("; next attempt in ")
    queue, _ = request(channel, b"30")
    assert server.ends() == -signal.SIGKILL
    start_server()
    assert receive(channel, queue)[2] == b"832040"
