"""SIGTERM and Ctrl-C end a server at any moment, with status 0, and no call is lost."""

import signal
import socket
import time

import pika
import pytest
from wire import PastTheYear9999, receive, request

STOP_SIGNALS = [signal.SIGTERM, signal.SIGINT]


def ends_at_once(server, signum=signal.SIGTERM):
    start = time.monotonic()
    assert server.ends(signum) == 0
    assert time.monotonic() - start < 1
    assert "Traceback" not in server.read()


@pytest.mark.parametrize("signum", STOP_SIGNALS)
def test_an_idle_server(server, signum):
    ends_at_once(server, signum)


def test_a_server_closes_its_connection(start_server, relay):
    way = relay(answers=10**6)
    ends_at_once(start_server(url=way.url))
    connection_close = pika.spec.Connection.Close.INDEX.to_bytes(4, "big")
    assert way.last[7:11] == connection_close


@pytest.mark.parametrize("signum", STOP_SIGNALS)
def test_a_server_with_a_request_in_hand_answers_and_acknowledges_it(start_server, channel, signum):
    server = start_server(
        "fib = rpc_server.fib\nrpc_server.fib = lambda n: time.sleep(0.3) or fib(n)"
    )
    queue, _ = request(channel, b"30")
    server.expect_exact(" [.] fib(30)")
    ends_at_once(server, signum)
    assert receive(channel, queue)[2] == b"832040"
    assert channel.queue_declare("rpc_queue", passive=True).method.message_count == 0


def test_a_server_with_a_request_that_came_after_one_that_pika_can_not_parse(start_server, channel):
    server = start_server(
        "fib = rpc_server.fib\nrpc_server.fib = lambda n: time.sleep(1) or fib(n)"
    )
    request(channel, b"13", headers={"when": PastTheYear9999(2000, 1, 1)})
    queue, _ = request(channel, b"30")
    server.expect_exact(" [.] fib(30)")
    assert server.ends(signal.SIGTERM) == 0
    assert receive(channel, queue)[2] == b"832040"


@pytest.mark.parametrize("answers", range(7))
def test_a_server_whose_broker_freezes_while_it_connects(start, relay, answers):
    way = relay(answers)
    server = start("rpc_server.py", url=way.url)
    assert way.dead.wait(10)
    ends_at_once(server)


def test_a_server_whose_broker_freezes_while_it_leaves_a_deleted_queue(
    start_server, relay, channel
):
    way = relay(answers=8)
    server = start_server(url=way.url)
    channel.queue_delete("rpc_queue")
    assert way.dead.wait(10)
    ends_at_once(server)


@pytest.mark.parametrize("signum", STOP_SIGNALS)
def test_a_server_that_pauses_between_two_attempts(start, signum):
    server = start("rpc_server.py", url="amqp://guest:guest@localhost:1/%2F")
    server.expect_exact("refuses connections")
    ends_at_once(server, signum)


def test_a_server_that_has_lost_its_broker(own_broker, server):
    with own_broker.stopped():
        for _ in range(4):  # the pause is 2 seconds or more by then
            server.expect_exact("; next attempt in ")
        ends_at_once(server)


def test_a_server_that_loses_its_broker_with_a_request_in_hand(start_server, relay, channel):
    way = relay(answers=10**6)
    server = start_server("rpc_server.fib = lambda n: time.sleep(0.5) or n", url=way.url)
    request(channel, b"30")
    server.expect_exact(" [.] fib(30)")
    server.kill(signal.SIGTERM)
    way.listener.shutdown(socket.SHUT_RDWR)
    way.cut()
    assert server.ends() == 0


def test_a_server_of_a_frozen_broker(own_broker, server):
    with own_broker.frozen():
        ends_at_once(server)


def test_a_server_of_a_broker_out_of_memory(own_broker, start_server, channel):
    server = start_server(
        "reply = rpc_server.reply\n"
        "rpc_server.reply = lambda *a: input() or reply(*a) or print('replied', flush=True)"
    )
    request(channel, b"30")
    with own_broker.out_of_memory():
        server.sendline()
        server.expect_exact("replied")  # which had the broker block the connection
        ends_at_once(server)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_servers_ended_and_started_in_turn_under_load_lose_no_call(
    start_server, client, background, signum
):
    def load():
        answers = []
        while len(answers) < 5 or not done:
            answers.append(client.call(30, timeout=5))
        return answers

    done = []
    servers = [start_server(), start_server()]
    answers = background(load)
    try:
        for _ in range(6):
            assert servers.pop(0).ends(signum) == (0 if signum == signal.SIGTERM else -signum)
            servers.append(start_server())
    finally:
        done.append(True)
    answers = answers.result()
    assert set(answers) == {832040}
    assert len(answers) > 100
