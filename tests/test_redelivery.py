"""A request that kills its server must not kill one server after another."""

import signal

from relay import NEVER_DEAD
from wire import receive, round_trip, send_request, waiting

SUICIDE = "rpc_server.fib = lambda n: n if n != 13 else os.kill(os.getpid(), signal.SIGKILL)"


def test_request_that_kills_its_server_kills_two_and_no_third(start_server, channel):
    servers = [start_server(SUICIDE) for _ in range(4)]
    send_request(channel, b"13")
    while sum(server.proc.poll() is not None for server in servers) < 2:
        assert round_trip(channel, b"14")[1] == b"14"
    for _ in range(20):  # if it came back once more, a third would have met it by now
        assert round_trip(channel, b"14")[1] == b"14"
    assert sorted(server.proc.poll() is None for server in servers) == [False, False, True, True]
    assert waiting(channel) == 0


def test_request_held_by_a_killed_server_is_answered_by_the_next(start_server, channel):
    holder = start_server("rpc_server.fib = lambda n: time.sleep(60)")
    queue, corr_id = send_request(channel, b"30")
    holder.expect_exact(" [.] fib(30)")
    other = start_server()
    assert holder.ends(signal.SIGKILL) == -signal.SIGKILL
    _, props, body = receive(channel, queue)
    assert (props.correlation_id, body) == (corr_id, b"832040")
    assert round_trip(channel, b"30")[1] == b"832040"
    assert other.ends(signal.SIGTERM) == 0
    assert " [!]" not in other.read()


def test_request_that_costs_its_server_the_connection_comes_back_once(relay, start_server, channel):
    way = relay(NEVER_DEAD)
    patch = "fib = rpc_server.fib\nrpc_server.fib = lambda n: input() or fib(n)"
    server = start_server(patch, way.url)
    queue, _ = send_request(channel, b"13")
    for _ in range(2):
        server.expect_exact(" [.] fib(13)")
        way.cut()
        server.sendline()
        server.awaits_requests()
    assert waiting(channel) == 0
    queue, _ = send_request(channel, b"30")
    server.sendline()
    assert receive(channel, queue)[2] == b"832040"
