"""A function may take ten minutes without any setting, and yet a dead network is found soon."""

import signal
import socket
from pathlib import Path

import pytest
from wire import receive, send_request

SLOW = "fib = rpc_server.fib\nrpc_server.fib = lambda n: time.sleep(4) or fib(n)"
SHOW_SOCKET_OPTIONS = """
import socket
setsockopt = socket.socket.setsockopt
socket.socket.setsockopt = lambda *args: print(args[1:]) or setsockopt(*args)
"""
KEEPALIVE_TIMER, TICKS_A_SECOND = "02", 100  # see proc(5) on /proc/net/tcp


def test_function_may_take_longer_than_the_heartbeats_that_the_broker_proposes(
    own_broker, start_server, channel
):
    with own_broker.proposing_heartbeats(seconds=1):
        server = start_server(SLOW)
    queue, _ = send_request(channel, b"30")
    assert receive(channel, queue)[2] == b"832040"
    server.expect_exact(" [.] fib(30)")
    assert "next attempt" not in server.before


@pytest.mark.parametrize(("query", "seconds"), [({}, 600), ({"heartbeat": 0}, 0)])
def test_server_asks_for_ten_minutes_unless_its_url_names_a_heartbeat(
    own_broker, start_server, query, seconds
):
    server = start_server(url=own_broker.url(**query))
    listing = own_broker.ctl("list_connections", "timeout").split()
    assert str(seconds) in listing
    assert server.ends(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("query", "seconds"), [({}, 30), ({"tcp_options": "{'TCP_KEEPIDLE':20}"}, 20)]
)
def test_keepalive_runs_on_the_connection_of_the_server(broker, start_server, query, seconds):
    server = start_server(url=broker.url(**query))
    inodes = {
        str(file.readlink())[len("socket:[") : -1]
        for file in Path(f"/proc/{server.proc.pid}/fd").iterdir()
        if "socket:" in str(file.readlink())
    }
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    to_broker = f":{broker.address[1]:04X}"
    (timer,) = (row[5] for row in rows if row[9] in inodes and row[2].endswith(to_broker))
    kind, ticks = timer.split(":")
    assert kind == KEEPALIVE_TIMER
    assert 0 <= seconds * TICKS_A_SECOND - int(ticks, 16) < 10 * TICKS_A_SECOND


def test_kernel_gives_up_a_dead_network_after_a_minute(start_server):
    server = start_server(SHOW_SOCKET_OPTIONS)
    for option, value in (socket.TCP_USER_TIMEOUT, 60_000), (socket.TCP_KEEPINTVL, 10):
        assert f"{(socket.IPPROTO_TCP, option, value)}\n" in server.before
