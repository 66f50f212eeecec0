"""SIGTERM and Ctrl-C end a server at any moment, with status 0, and no call is lost."""

import signal
import time

import pika
import pytest
from relay import NEVER_DEAD, SERVER_HANDSHAKE
from wire import receive, send_request, waiting

STOP_SIGNALS = [signal.SIGTERM, signal.SIGINT]
ENDING = " [!] ending after this request; a second signal ends it at once"
STEPS = """
connection.Connection._on_connection_start connection.Connection._on_connection_tune
connection.Connection._on_connection_open_ok connection.Connection.channel channel.Channel.open
channel.Channel.queue_declare channel.Channel.basic_qos channel.Channel.basic_consume"""
SLOW = "fib = rpc_server.fib\nrpc_server.fib = lambda n: time.sleep(0.3) or fib(n)"


def ends_within(server, seconds, *signals):
    start = time.monotonic()
    assert server.ends(*signals) == 0
    assert time.monotonic() - start < seconds
    assert "Traceback" not in server.read()


@pytest.mark.parametrize("signum", STOP_SIGNALS)
def test_idle_server_stops_within_a_second(server, signum):
    ends_within(server, 1, signum)


def test_server_ends_as_any_program_does(start_server):
    server = start_server("import atexit\natexit.register(print, 'at exit')")
    assert server.ends(signal.SIGTERM) == 0
    server.expect_exact("at exit")


def test_server_closes_its_connection(start_server, relay):
    way = relay(NEVER_DEAD)
    ends_within(start_server(url=way.url), 1, signal.SIGTERM)
    connection_close = pika.spec.Connection.Close.INDEX.to_bytes(4, "big")
    assert way.last[7:11] == connection_close


@pytest.mark.parametrize("signum", STOP_SIGNALS)
def test_server_answers_and_acknowledges_the_request_in_hand(start_server, channel, signum):
    server = start_server(SLOW)
    queue, _ = send_request(channel, b"30")
    server.expect_exact(" [.] fib(30)")
    server.kill(signum)
    server.expect_exact(f"\n{ENDING}\n")
    ends_within(server, 1.3)
    assert receive(channel, queue)[2] == b"832040"
    assert waiting(channel) == 0


def test_server_whose_stderr_is_closed_answers_the_request_in_hand(start_server, channel):
    server = start_server(f"r, w = os.pipe(); os.dup2(w, 2); os.close(r)\n{SLOW}")
    queue, _ = send_request(channel, b"30")
    server.expect_exact(" [.] fib(30)")
    ends_within(server, 1.3, signal.SIGTERM)
    assert receive(channel, queue)[2] == b"832040"


@pytest.mark.parametrize("second", STOP_SIGNALS)
def test_second_signal_ends_a_server_at_once_and_the_request_goes_to_another(
    start_server, channel, second
):
    patch = "def fib(n):\n try: time.sleep(60)\n finally: time.sleep(60)\nrpc_server.fib = fib"
    server = start_server(patch)
    queue, _ = send_request(channel, b"30")
    server.expect_exact(" [.] fib(30)")
    server.kill(signal.SIGTERM)
    server.expect_exact(ENDING)  # two at once would be one
    ends_within(server, 1, second)
    start_server()
    assert receive(channel, queue)[2] == b"832040"


@pytest.mark.parametrize("step", STEPS.split())
def test_server_stops_between_two_steps_of_connecting(start, broker, step):
    patch = f"""
import os, signal, pika, rpc_server
step = pika.{step}
pika.{step} = lambda *args, **kw: (step(*args, **kw), os.kill(os.getpid(), signal.SIGTERM))[0]
rpc_server.main()"""
    server = start("-c", patch)
    assert server.ends() == 0
    assert server.read() == ""


@pytest.mark.parametrize("answers", range(SERVER_HANDSHAKE))
def test_server_stops_wherever_the_broker_freezes_while_it_connects(start, relay, answers):
    way = relay(answers)
    server = start("rpc_server.py", url=way.url)
    assert way.dead.wait(10)
    ends_within(server, 2, signal.SIGTERM)


def test_server_stops_while_the_name_service_hangs(start):
    hang = "def hang(*_, **__): print('asked', flush=True) or threading.Event().wait()"
    code = "import socket, threading, rpc_server\n{}\nsocket.getaddrinfo = hang\nrpc_server.main()"
    server = start("-c", code.format(hang))
    server.expect_exact("asked")
    ends_within(server, 2, signal.SIGTERM)


@pytest.mark.parametrize("signum", STOP_SIGNALS)
def test_server_stops_between_two_attempts_to_connect(start, signum):
    code = "import rpc_server\nrpc_server.MIN_PAUSE_SECONDS = 4\nrpc_server.main()"
    server = start("-c", code, url="amqp://guest:guest@localhost:1/%2F")
    server.expect_exact("; next attempt in ")
    ends_within(server, 1, signum)


def test_server_stops_if_it_lost_its_broker_with_a_request_in_hand(start_server, relay, channel):
    way = relay(NEVER_DEAD)
    server = start_server(SLOW, url=way.url)
    send_request(channel, b"30")
    server.expect_exact(" [.] fib(30)")
    server.kill(signal.SIGTERM)
    way.refuse()
    assert server.ends() == 0


def test_server_of_a_frozen_broker_stops_within_two_seconds(own_broker, server):
    with own_broker.frozen():
        ends_within(server, 2, signal.SIGTERM)


def test_server_of_a_broker_out_of_memory_stops_within_two_seconds(
    own_broker, start_server, channel
):
    patch = "answer = rpc_server.answer\nrpc_server.answer = lambda body: input() or answer(body)"
    server = start_server(patch)
    send_request(channel, b"30")
    server.expect_exact(" [.] fib(30)")
    with own_broker.out_of_memory():
        server.sendline()  # its reply has the broker block the connection
        ends_within(server, 2, signal.SIGTERM)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_servers_that_end_and_start_in_turn_under_load_lose_no_call(
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


def test_function_may_fork_and_end_its_children(start_server, client):
    server = start_server("""
import multiprocessing
forking = multiprocessing.get_context("fork")
def fib(n):
    child = forking.Process(target=time.sleep, args=(60,))
    child.start(), child.terminate(), child.join()
    with forking.Pool(2) as pool:
        return sum(pool.map(int, range(n)))
rpc_server.fib = fib""")
    for _ in range(30):
        assert client.call(4, timeout=5) == 6
    ends_within(server, 1, signal.SIGTERM)


def test_server_stops_where_no_process_forks(start_server):
    server = start_server("del os.register_at_fork, signal.pthread_sigmask")
    ends_within(server, 1, signal.SIGTERM)
