"""Whatever ends a connection, the client calls and the server serves again, without help."""

import re
import time

import pika
import pytest
from brokers import wait_until
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
    assert client.call(30) == 832040
    own_broker.ctl("delete_queue", client.callback_queue)
    assert client.call(30, timeout=2) == 832040


def test_client_without_the_right_to_publish_is_told_in_time(own_broker, rpc_queue, run_client):
    own_broker.ctl("add_user", "mute", "secret")
    own_broker.ctl("set_permissions", "mute", ".*", "^$", ".*")
    done = run_client(
        "--timeout", "0.5", url=own_broker.url().replace("guest:guest", "mute:secret")
    )
    assert re.fullmatch(
        r" \[!\] .*( the channel or its queue was closed.*|ACCESS_REFUSED.*)\n", done.stderr
    )


def test_server_waits_for_a_late_broker_and_says_so_in_a_line(own_broker, start):
    with own_broker.stopped():
        server = start("rpc_server.py")
        server.expect(r"^ \[!\] 127.0.0.1:\d+ .+\n")
    server.awaits_requests()


def test_server_tries_again_when_the_broker_freezes_while_it_connects(relay, start):
    way = relay(2)
    server = start("rpc_server.py", url=f"{way.url}?stack_timeout=0.5")
    server.expect(r"^ \[!\] 127.0.0.1:\d+ does not answer: .+; next attempt in ")
    way.revived.set()
    server.awaits_requests()


def test_server_explains_an_error_of_pika_without_a_text():
    assert rpc_server.explain(pika.exceptions.ConnectionWrongStateError()).startswith("failed: ")


def test_server_declares_its_queue_again_when_someone_deletes_it(server, channel):
    channel.queue_delete("rpc_queue")
    server.expect_exact("rpc_queue was deleted")
    server.awaits_requests()
    assert round_trip(channel, b"30")[1] == b"832040"


def test_server_waits_while_another_consumer_has_the_queue_to_itself(channel, start):
    channel.queue_declare("rpc_queue", durable=True)
    channel.basic_consume("rpc_queue", print, exclusive=True)
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


def pauses(server, count):
    """Return the pauses that a server announces, in seconds."""
    pauses = []
    for _ in range(count):
        server.expect(
            r" \[!\] localhost:1 refuses connections: [^\n]+; next attempt in ([\d.]+) s\n"
        )
        pauses.append(float(server.match[1]))
    return pauses


def test_server_pauses_longer_and_longer_and_not_in_step_with_others(start):
    began = time.monotonic()
    url = "amqp://guest:guest@localhost:1/%2F"
    first, second = (start("rpc_server.py", url=url) for _ in range(2))
    first, second = pauses(first, 3), pauses(second, 3)
    for one, other, longest in zip(first, second, (0.5, 1, 2), strict=True):
        assert longest / 2 <= one <= longest
        assert longest / 2 <= other <= longest
    assert time.monotonic() - began > max(sum(first[:-1]), sum(second[:-1]))
    assert first != second


def test_server_pauses_for_four_seconds_at_most(start):
    code = "import rpc_server, time\ntime.sleep = lambda _: None\nrpc_server.main()"
    server = start("-c", code, url="amqp://guest:guest@localhost:1/%2F")
    longest = pauses(server, 40)[10:]
    assert max(longest) <= 4
    assert min(longest) >= 2


def test_server_that_served_starts_with_a_short_pause_again(own_broker, start_server):
    server = start_server()
    for _ in range(2):
        with own_broker.connections_closed():
            server.expect(r"next attempt in ([\d.]+) s\n")
        assert float(server.match[1]) <= 0.5
        server.awaits_requests()


@pytest.mark.parametrize("host", ["rabbit.invalid", "localhost:1"])
def test_first_node_of_several_that_is_there_is_used(broker, start_server, run_client, host):
    url = f"amqp://guest:guest@{host}/, {broker.url().replace('amqp', 'AMQP')}"
    start_server(url=url)
    assert run_client(url=url).stdout.endswith(" [.] Got 832040\n")


def test_comma_within_a_url_does_not_split_it(broker, start_server, run_client):
    url = broker.url(tcp_options="{'TCP_KEEPIDLE': 20, 'TCP_KEEPCNT': 2}").replace(" ", "")
    start_server(url=url)
    assert run_client(url=url).stdout.endswith(" [.] Got 832040\n")
