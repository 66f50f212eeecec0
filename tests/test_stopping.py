"""SIGTERM and Ctrl-C end a server after the request in hand, with status 0; no call is lost."""

import signal
import threading
import time

import pytest
from brokers import afterwards, wait_until
from wire import background, receive, round_trip, send_request, waiting

STOP_SIGNALS = [signal.SIGTERM, signal.SIGINT]
ENDING = " [!] ending after any request in hand; a second signal ends it at once\n"
SLOW = "fib = lambda n: time.sleep(0.3) or real_fib(n)"


def ends_within(server, seconds, *signals):
    start = time.monotonic()
    assert server.ends(*signals) == 0
    assert time.monotonic() - start < seconds
    assert "Traceback" not in server.read()


@pytest.mark.parametrize("signum", STOP_SIGNALS)
@pytest.mark.parametrize("patch", ["", "del os.register_at_fork"])  # as on Windows
def test_idle_server_leaves_what_comes_after_the_signal(start_server, way, channel, patch, signum):
    server = start_server(patch, way.url)
    server.kill(signum)
    server.expect_exact(ENDING)
    send_request(channel, b"30")  # the server may still poll
    ends_within(server, 4)
    assert way.closed()
    assert waiting(channel) == 1


@pytest.mark.parametrize("signum", STOP_SIGNALS)
def test_server_answers_and_acknowledges_the_request_in_hand(busy_server, channel, signum):
    server = busy_server(SLOW)
    ends_within(server, 4, signum)
    assert receive(channel, server.callback_queue)[2] == b"832040"
    assert waiting(channel) == 0


@pytest.mark.parametrize("stopped", [True, False])
def test_redelivered_request_comes_first(stopped, rpc_queue, start_server, channel):
    first, _ = send_request(channel, b"30")
    wait_until(5, lambda: waiting(channel))
    channel.basic_nack(channel.basic_get(rpc_queue)[0].delivery_tag)  # RabbitMQ redelivers it
    second, _ = send_request(channel, b"31")
    server = start_server("fib = lambda n: n == 30 and time.sleep(2.5) or real_fib(n)")
    server.expect_exact(" [.] fib(30)")
    wait_until(5, lambda: not waiting(channel))  # both are with the server
    if stopped:
        assert server.ends(signal.SIGTERM) == 0
        start_server()
    assert receive(channel, first)[2] == b"832040"
    assert receive(channel, second)[2] == b"1346269"
    printed = server.kill_and_read()
    assert ("fib(31)" in printed, " failed: " in printed) == (not stopped, False)


def test_server_whose_output_is_closed_serves_on_and_stops(start_server, channel, tmp_path):
    begun = tmp_path / "begun"
    server = start_server(f"fib = lambda n: open({str(begun)!r}, 'w') and time.sleep(0.3) or n")
    server.proc.stdout.close()
    for _ in range(3):
        assert round_trip(channel, b"30")[1] == b"30"
    begun.unlink()
    queue, _ = send_request(channel, b"30")
    wait_until(5, begun.exists)
    server.kill(signal.SIGTERM)
    assert receive(channel, queue)[2] == b"30"


@pytest.mark.parametrize("second", STOP_SIGNALS)
def test_second_signal_ends_a_server_and_loses_no_call(busy_server, start_server, channel, second):
    server = busy_server("def fib(n):\n try: time.sleep(60)\n finally: time.sleep(60)")
    server.kill(signal.SIGTERM)
    server.expect_exact(ENDING)  # two at once would be one
    assert server.ends(second) == -second
    words = (
        r" \[!\] redelivered, since its first server was lost or stopped: '[\w-]{36}' \(b'30'\)\n"
    )
    start_server().expect(words)
    assert receive(channel, server.callback_queue)[2] == b"832040"


@pytest.mark.parametrize("how", ["frozen", "out_of_memory"])
def test_server_of_a_silent_broker_ends_and_loses_no_call(
    own_broker, busy_server, start_server, channel, how
):
    server = busy_server()
    with getattr(own_broker, how)():
        server.sendline()  # the reply has a broker that is out of memory block the connection
        ends_within(server, 4, signal.SIGTERM)
    start_server()  # A broker that had no second to read the reply redelivers the request.
    assert receive(channel, server.callback_queue)[2] == b"832040"


def test_server_that_connects_stops_once_pika_gives_up(way, start):
    way.answers = 2
    long = "rpc_server.MIN_PAUSE_SECONDS = rpc_server.MAX_PAUSE_SECONDS = 60"
    code = f"import rpc_server\nrpc_server.TIMEOUT_SECONDS = 2\n{long}\nrpc_server.serve('q', 1)"
    server = start("-c", code, url=way.url)
    assert way.dead.wait(10)
    server.kill(signal.SIGTERM)
    server.expect(r" \[!\] 127.0.0.1:\d+ does not answer: .+\n")
    ends_within(server, 4)  # without a pause


@pytest.mark.parametrize("signum", STOP_SIGNALS)
def test_server_stops_between_two_attempts_to_connect(start, signum):
    server = start("rpc_server.py", url="amqp://guest:guest@localhost:1/%2F")
    server.expect_exact("refuses connections: ")
    ends_within(server, 4, signum)


def test_server_stops_if_it_lost_its_broker_with_a_request_in_hand(busy_server, way):
    server = busy_server(SLOW, way.url)
    server.kill(signal.SIGTERM)
    way.refuse()
    ends_within(server, 4)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_servers_that_end_in_turn_under_load_lose_no_call(start_server, client, signum):
    def load():
        while not over.is_set():
            answers.append(client.call(30, timeout=5))

    servers, over, answers = [start_server(), start_server()], threading.Event(), []
    calls = background(load)
    with afterwards(over.set):
        for _ in range(6):
            assert servers.pop(0).ends(signum) == (0 if signum == signal.SIGTERM else -signum)
            servers.append(start_server())
            end = len(answers) + 2  # what was in hand is answered before the next server ends
            wait_until(10, lambda end=end: len(answers) >= end or calls.done())
    assert {calls.result(), *answers} == {None, 832040}


def test_function_may_fork_and_end_its_children(start_server, client):
    server = start_server("from tests.functions.forks import fib")
    for _ in range(10):
        assert client.call(4, timeout=5) == 6
    ends_within(server, 4, signal.SIGTERM)
