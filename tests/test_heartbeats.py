"""Heartbeats go on while a function computes; what ends its connection is told as it is."""

import signal
import time

import psutil
from brokers import wait_until
from wire import receive, round_trip, send_request, waiting

LONG = "from tests.functions.long import fib"  # RabbitMQ waits for two or three of two seconds
NO_THREAD_AT_FIRST = "import tests.functions.no_thread"


def test_function_of_several_heartbeats_costs_no_connection(broker, start_server, channel):
    servers = [start_server(LONG, broker.url(heartbeat=2)) for _ in range(2)]
    queues = [send_request(channel, n)[0] for n in (b"30", b"31")]  # one is busy, one sleeps
    assert [receive(channel, queue)[2] for queue in queues] == [b"832040", b"1346269"]
    # Not killed: a server acknowledges after its reply, or the other gets the request, too.
    assert [server.ends(signal.SIGTERM) for server in servers] == [0, 0]
    assert [server.read().count(" [!] ") for server in servers] == [1, 1]  # It says that it ends.
    assert waiting(channel) == 0


def test_loss_while_it_computes_is_told_as_such(way, busy_server, start_server, channel):
    server = busy_server(url=way.url)
    way.refuse()
    wait_until(5, lambda: not psutil.Process(server.proc.pid).net_connections())
    start_server()
    assert receive(channel, server.callback_queue)[2] == b"832040"
    server.sendline()
    server.expect(r"^\s+ \[!\] 127.0.0.1:\d+ closed the connection: .+\n")


def test_server_that_loses_its_connection_takes_no_request_before_its_function_ends(
    way, busy_server, start_server, channel
):
    hasty = "rpc_server.POLL_SECONDS = rpc_server.MAX_PAUSE_SECONDS = 0.1"
    server = busy_server(f"{hasty}\nfib = lambda n: n == 30 and input() or real_fib(n)", way.url)
    way.cut()  # new connections may come
    start_server()
    assert receive(channel, server.callback_queue)[2] == b"832040"
    end = time.monotonic() + 2
    while time.monotonic() < end:
        assert round_trip(channel, b"31")[1] == b"1346269"  # from the other one
        assert way.connections == 1
    server.sendline()
    server.awaits_requests()


def test_next_server_gets_the_request_of_a_dark_machine(way, busy_server, start_server, channel):
    server = busy_server(url=f"{way.url}?heartbeat=2")
    with way.dark():
        start_server()
        assert receive(channel, server.callback_queue)[2] == b"832040"


def test_connections_leave_no_thread_and_one_without_a_thread_is_told(way, start_server):
    server = start_server(NO_THREAD_AT_FIRST, way.url)
    assert "failed: can't start new thread\n" in server.before
    for _ in range(3):
        way.cut()
        server.awaits_requests()
    wait_until(5, lambda: psutil.Process(server.proc.pid).num_threads() == 2)
