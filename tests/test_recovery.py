"""Whatever ends a connection, the client calls and the server serves again, without help."""

import re
import signal
import socket
import socketserver
import ssl
import struct
import threading
from unittest import mock

import pika
import pytest
from brokers import takes, wait_until
from wire import background, round_trip

import rpc_server
from rpc_client import FibonacciRpcClient, RefusedError, explain, open_node
from tests.functions.tutorial import QUORUM

CLOSED = "closed the connection: a restart, a missed heartbeat, or a port for TLS?"
HASTY = "tests/functions/hasty.py"
LARGE = "compute = rpc_server.compute; rpc_server.compute = lambda body: compute(body) * 3_000_000"


@pytest.mark.parametrize("how", ["connections_closed", "stopped", "killed", "frozen"])
def test_client_and_server_go_on_after(how, own_broker, client, start_server):
    server = start_server("fib = lambda n: input() or real_fib(n)")
    call = background(client.call, 30, timeout=60)
    server.expect_exact(" [.] fib(30)")
    with getattr(own_broker, how)():
        server.sendline("\n" * 9)  # the function may return, this time and some more
    assert call.result(60) == 832040
    assert client.call(31) == 1346269


def test_client_calls_again_after_missed_heartbeats_an_error_and_a_lost_queue(own_broker, server):
    with FibonacciRpcClient(own_broker.url(heartbeat=1)) as client:
        client.connect()
        connections = own_broker.connections()
        wait_until(15, lambda: own_broker.connections() < connections)
        assert client.call(30, timeout=2) == 832040
    with FibonacciRpcClient(own_broker.url()) as client:
        with pytest.raises(RefusedError):
            client.call(-1)
        own_broker.ctl("delete_queue", client.callback_queue)
        assert client.call(30, timeout=2) == 832040
    wait_until(5, lambda: own_broker.connections() == 1)  # the server's


@pytest.fixture(params=[0, 1], ids=["closes", "resets"])
def proxy(request):
    """The URL of a proxy without a broker: it closes or resets what it accepts at once."""
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as proxy:
        linger = struct.pack("ii", request.param, 0)  # 1, 0: closing resets
        proxy.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        proxy.shutdown_request = proxy.close_request  # or it would close before it resets
        threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True).start()
        yield f"amqp://guest:guest@127.0.0.1:{proxy.server_address[1]}/%2F"
        proxy.shutdown()


def client_finds_the_connection_closed(url):
    with pytest.raises(ConnectionError, match=re.escape(CLOSED)):
        FibonacciRpcClient(url).connect()


def test_connection_that_is_ended_at_once_is_a_lost_one(proxy, start):
    server = start(HASTY, url=proxy)
    for _ in range(100):  # pika raises ValueError in some of them only
        client_finds_the_connection_closed(proxy)
    with pytest.raises(TimeoutError, match=re.escape(CLOSED)):
        FibonacciRpcClient(proxy).call(30, timeout=1)
    line = rf" \[!\] 127.0.0.1:\d+ {re.escape(CLOSED)}\n"  # without a traceback
    server.expect(rf"^({line}){{11}}")
    assert re.fullmatch(rf"({line})*.*", server.kill_and_read())


def test_connection_that_is_reset_before_pika_asks_for_its_peer_is_a_lost_one(broker, monkeypatch):
    fails = mock.Mock(side_effect=OSError)  # as it does after a reset; pika raises ValueError
    monkeypatch.setattr(socket.socket, "getpeername", fails)
    client_finds_the_connection_closed(broker.url())


def test_what_the_broker_says_and_an_error_without_a_text_are_explained():
    text = "PRECONDITION_FAILED - delivery acknowledgement timed out. Timeout value used: 1 ms"
    said = pika.exceptions.ChannelClosedByBroker(406, text)
    assert explain(said) == f"failed: (406, '{text}')"
    assert "vhost EOF" in explain(pika.exceptions.AMQPConnectionError("vhost EOF not found"))
    lost = pika.exceptions.StreamLostError("BrokenPipeError(32, 'Broken pipe')")
    assert explain(OSError("RxEndOfFile(-1, 'End of input stream (EOF)')")) == CLOSED  # TLS's
    assert explain(lost) == explain(BrokenPipeError()) == explain(ssl.SSLEOFError()) == CLOSED
    assert "does not answer" in explain(pika.exceptions.AMQPHeartbeatTimeout())
    assert "failed: ConnectionWrong" in explain(pika.exceptions.ConnectionWrongStateError())


@pytest.mark.parametrize("stopped", [False, True])
def test_server_says_that_a_function_took_too_long(own_broker, busy_server, channel, stopped):
    channel.queue_declare("rpc_queue", durable=True, arguments=QUORUM)  # 4.3: of this type alone
    words = r"(outlasted the consumer_timeout|\(406, .+delivery acknowledgement.+timed out)"
    hasty = {"channel_tick_interval": 200, "consumer_timeout": 500}  # ms
    usual = {"channel_tick_interval": 60_000, "consumer_timeout": 1_800_000}
    with own_broker.settings(hasty, usual):
        server = busy_server("fib = lambda n: time.sleep(2) or n")
        if stopped:
            server.kill(signal.SIGTERM)
        server.expect(rf"failed: .*{words}.*\n")
    assert server.ends() == 0 if stopped else server.awaits_requests()


@pytest.mark.parametrize("patch", ["", LARGE])
def test_server_says_that_its_reply_was_refused(restricted, busy_server, patch):
    server = busy_server(patch, None if patch else restricted(".*", "^$", ".*"))
    for _ in range(2):  # the second time, it is acknowledged first
        server.expect(r"failed: .*(a reply was refused: see RabbitMQ's log|\(40[36], .+)\n")
        server.awaits_requests()


def test_server_says_when_rabbitmq_blocks_it_and_when_no_more(own_broker, busy_server):
    server = busy_server()
    with own_broker.out_of_memory():
        server.sendline()
        server.expect_exact(" [!] RabbitMQ blocks publishers: low on memory; replies wait\n")
    server.expect_exact(" [!] RabbitMQ blocks publishers no more\n")


def test_server_declares_its_queue_again_when_someone_deletes_it(server, channel):
    channel.queue_delete("rpc_queue")
    server.expect_exact("rpc_queue was deleted")
    server.awaits_requests()
    assert round_trip(channel, b"30")[1] == b"832040"


def test_server_that_may_not_declare_says_so_and_serves_at_once(restricted, way, channel, start):
    channel.queue_declare("rpc_queue", durable=True)
    url = restricted("^$", r"^amq\.default$", "^rpc_queue$", base_url=way.url)
    server = start("rpc_server.py", url=url).awaits_requests()
    said = r"^\n? \[!\] declaring rpc_queue failed: \(403, .+; it is served as it is\n"
    assert re.match(said, server.before)
    assert way.connections == 1
    assert round_trip(channel, b"30")[1] == b"832040"
    channel.queue_delete("rpc_queue")
    server.expect(r"failed: \(404, .+\n")
    channel.queue_declare("rpc_queue", durable=True)
    server.awaits_requests()
    assert round_trip(channel, b"30")[1] == b"832040"


def test_kernel_is_to_find_a_dead_machine_unless_the_url_has_options(monkeypatch):
    def options(query=""):
        open_node(f"amqp://localhost/{query}", 1, rpc_server.TCP_OPTIONS)
        return connect.call_args[0][0].tcp_options

    connect = mock.Mock()
    monkeypatch.setattr(pika, "BlockingConnection", connect)
    monkeypatch.setattr("sys.platform", "linux")
    assert options() == rpc_server.TCP_OPTIONS
    assert options("?tcp_options={'TCP_KEEPIDLE':20}") == {"TCP_KEEPIDLE": 20}
    monkeypatch.setattr("sys.platform", "darwin")  # where pika warns of the options that it lacks
    assert options() is None


def test_server_goes_on_at_the_next_node_when_the_first_goes_dark(way, own_broker, start_server):
    server = start_server(url=f"{way.url},{own_broker.url()}")
    with way.dark(), takes(0, 10):
        server.expect(r" \[!\] 127.0.0.1:\d+ .+\n")
        server.awaits_requests()


def test_client_asks_the_next_node_when_the_first_goes_dark(way, own_broker, start_server):
    way.dark().close()  # skips the test, if it has to, before a call is under way
    server = start_server("fib = lambda n: time.sleep(1) or real_fib(n)")
    url = f"{way.url},{own_broker.url()}"
    with FibonacciRpcClient(url) as client, FibonacciRpcClient(url) as idle_client:
        idle_client.connect()
        call = background(client.call, 30)
        server.expect_exact(" [.] fib(30)")
        with way.dark():
            assert idle_client.call(30) == call.result(15) == 832040
