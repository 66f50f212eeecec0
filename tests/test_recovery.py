"""Whatever ends a connection, the client calls and the server serves again, without help."""

import contextlib
import re
import socket
import struct
import threading
from unittest import mock

import pika
import pytest
from brokers import wait_until
from relay import NEVER_DEAD
from wire import round_trip

import rpc_server
from rpc_client import FibonacciRpcClient


@pytest.mark.parametrize("how", ["connections_closed", "stopped", "killed", "frozen"])
def test_call_ends_well_and_client_and_server_go_on_after(
    how, own_broker, client, start_server, background
):
    server = start_server("fib = rpc_server.fib\nrpc_server.fib = lambda n: input() or fib(n)")
    call = background(client.call, 30, timeout=60)
    server.expect_exact(" [.] fib(30)")
    with getattr(own_broker, how)():
        server.sendline("\n" * 9)  # the function may return, this time and some more
    assert call.result(60) == 832040
    assert client.call(31) == 1346269


def test_client_idle_past_its_heartbeats_calls_again(own_broker, server):
    with FibonacciRpcClient(own_broker.url(heartbeat=1)) as client:
        name = client.callback_queue
        wait_until(15, lambda: name not in own_broker.queues())
        assert client.call(30, timeout=2) == 832040
        assert client.callback_queue != name


def test_client_calls_again_when_its_callback_queue_was_deleted(own_broker, client, server):
    connection = client.connection
    own_broker.ctl("delete_queue", client.callback_queue)
    assert client.call(30, timeout=2) == 832040
    assert connection.is_closed


def test_client_without_the_right_to_publish_is_told_in_time(own_broker, rpc_queue, run_client):
    own_broker.ctl("add_user", "mute", "secret")
    own_broker.ctl("set_permissions", "mute", ".*", "^$", ".*")
    url = own_broker.url().replace("guest:guest", "mute:secret")
    done = run_client("--timeout", "0.5", url=url)
    words = r" \[!\] .*( the channel or its queue was closed.*|ACCESS_REFUSED.*)\n"
    assert re.fullmatch(words, done.stderr)


def test_server_waits_for_a_late_broker_and_says_so_in_a_line(own_broker, start):
    with own_broker.stopped():
        server = start("rpc_server.py")
        server.expect(r"^ \[!\] 127.0.0.1:\d+ .+\n")
    server.awaits_requests()


def test_server_says_that_an_unreachable_broker_does_not_answer(unreachable, start):
    server = start("rpc_server.py", url=f"{unreachable}?socket_timeout=0.3")
    server.expect(r"^ \[!\] 127.0.0.1:\d+ does not answer: .+; next attempt in ")


def test_server_tries_again_when_the_broker_freezes_while_it_connects(relay, start):
    way = relay(2)
    server = start("rpc_server.py", url=f"{way.url}?stack_timeout=0.5")
    server.expect(r"^ \[!\] 127.0.0.1:\d+ does not answer: .+; next attempt in ")
    way.revived.set()
    server.awaits_requests()


@pytest.mark.parametrize("answers", [1, 2], ids=["Start", "Tune"])
def test_server_tries_again_when_the_broker_goes_down_in_its_first_handshake(relay, start, answers):
    way = relay(answers)
    server = start("rpc_server.py", url=way.url)
    assert way.dead.wait(10)
    way.answers = NEVER_DEAD
    way.cut()
    server.expect(r"^ \[!\] 127.0.0.1:\d+ closed the connection: .+; next attempt in ")
    server.awaits_requests()


def test_server_tries_again_while_its_virtual_host_is_down(own_broker, start):
    own_broker.ctl("add_vhost", "down")
    own_broker.ctl("set_permissions", "-p", "down", "guest", ".*", ".*", ".*")
    own_broker.ctl("eval", 'rabbit_vhost_sup_sup:stop_and_delete_vhost(<<"down">>).')
    server = start("rpc_server.py", url=own_broker.url().replace("%2F", "down"))
    server.expect(r"vhost 'down' is down.+; next attempt in ")
    own_broker.ctl("restart_vhost", "-p", "down")
    server.awaits_requests()
    own_broker.ctl("delete_vhost", "down")


@pytest.fixture(params=[0, 1], ids=["closes", "resets"])
def proxy(request):
    """The URL of a proxy without a broker: it closes or resets what it accepts at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        linger = struct.pack("ii", request.param, 0)  # 1, 0: closing resets
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

        def accept():
            with contextlib.suppress(OSError):  # the test is over
                while True:
                    listener.accept()[0].close()

        threading.Thread(target=accept, daemon=True).start()
        yield f"amqp://guest:guest@127.0.0.1:{listener.getsockname()[1]}/%2F"
        listener.shutdown(socket.SHUT_RDWR)


def test_connection_that_is_ended_at_once_is_a_lost_one(proxy, client, start):
    words = "closed the connection: is RabbitMQ still starting, or going down?"
    server = start("rpc_server.py", url=proxy)
    server.expect_exact(f"{words}; next attempt in ")
    for _ in range(100):  # pika raises ValueError in some of them only
        with pytest.raises(ConnectionError, match=re.escape(words)):
            FibonacciRpcClient(proxy)
        with pytest.raises(rpc_server.LOST) as error:
            pika.BlockingConnection(pika.URLParameters(proxy))
        assert rpc_server.explain(error.value) == words
    client.nodes = [pika.URLParameters(proxy)]
    client.close()
    with pytest.raises(TimeoutError, match=re.escape(words)):
        client.call(30, timeout=1)
    assert server.proc.poll() is None


def test_connection_that_is_reset_before_pika_asks_for_its_peer_is_a_lost_one(broker, monkeypatch):
    fails = mock.Mock(side_effect=OSError)  # as it does after a reset; pika raises ValueError
    monkeypatch.setattr(socket.socket, "getpeername", fails)
    with pytest.raises(ConnectionError, match="closed the connection"):
        FibonacciRpcClient(broker.url())
    with pytest.raises(rpc_server.LOST) as error:
        pika.BlockingConnection(pika.URLParameters(broker.url()))
    assert "closed the connection" in rpc_server.explain(error.value)


def test_what_the_broker_says_and_an_error_without_a_text_are_explained(client):
    text = "PRECONDITION_FAILED - delivery acknowledgement timed out. Timeout value used: 1 ms"
    said = pika.exceptions.ChannelClosedByBroker(406, text)
    for explain in rpc_server.explain, client.explain:
        assert explain(said).endswith(f"failed: (406, '{text}')")
        assert "closed the connection" in explain(BrokenPipeError())
        assert "does not answer" in explain(pika.exceptions.AMQPHeartbeatTimeout())
        assert "failed: ConnectionWrong" in explain(pika.exceptions.ConnectionWrongStateError())


def test_server_declares_its_queue_again_when_someone_deletes_it(server, channel):
    channel.queue_delete("rpc_queue")
    server.expect_exact("rpc_queue was deleted")
    server.awaits_requests()
    assert round_trip(channel, b"30")[1] == b"832040"


def test_server_waits_while_another_consumer_has_the_queue_to_itself(rpc_queue, channel, start):
    channel.basic_consume(rpc_queue, print, exclusive=True)
    server = start("rpc_server.py")
    for _ in range(2):
        server.expect_exact("; next attempt in ")
    channel.close()
    server.awaits_requests()


def test_server_that_may_not_declare_the_queue_uses_it(
    own_broker, rpc_queue, start_server, run_client
):
    own_broker.ctl("add_user", "user", "secret")
    own_broker.ctl("set_permissions", "user", "^$", r"^amq\.default$", "^rpc_queue$")
    start_server(url=own_broker.url().replace("guest:guest", "user:secret"))
    assert run_client().returncode == 0


def test_server_pauses_longer_and_longer_up_to_four_seconds_and_not_in_step_with_others(start):
    def pauses(server):
        for _ in range(20):
            server.expect(r" \[!\] localhost:1 refuses [^\n]+; next attempt in ([\d.]+) s\n\1 s\n")
            yield float(server.match[1])

    sleep = "time.sleep = lambda seconds: print(f'{seconds:.2f} s', flush=True)"
    code = f"import rpc_server, time\n{sleep}\nrpc_server.main()"
    servers = [start("-c", code, url="amqp://guest:guest@localhost:1/%2F") for _ in range(2)]
    first, second = (list(pauses(server)) for server in servers)
    for longest, one, other in zip([0.5, 1, 2] + 17 * [4], first, second, strict=True):
        assert longest / 2 <= one <= longest
        assert longest / 2 <= other <= longest
    assert first != second


def test_server_that_served_starts_with_a_short_pause_again(own_broker, start_server):
    server = start_server()
    for _ in range(2):
        with own_broker.connections_closed():
            server.expect(r"next attempt in ([\d.]+) s\n")
        assert float(server.match[1]) <= 0.5
        server.awaits_requests()


@pytest.mark.parametrize("host", ["rabbit.invalid", "localhost:1"])
def test_first_node_of_several_that_is_there_is_used_and_a_comma_in_a_url_does_not_split_it(
    broker, start_server, run_client, host
):
    there = broker.url(tcp_options="{'TCP_KEEPIDLE':20,'TCP_KEEPCNT':2}").replace("amqp", "AMQP")
    url = f"amqp://guest:guest@{host}/, {there}"
    start_server(url=url)
    assert run_client(url=url).stdout.endswith(" [.] Got 832040\n")
