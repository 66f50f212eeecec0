"""Whatever ends a connection, the client calls and the server serves again, without help."""

import re
import time

import pytest
from wire import ask, receive

from rpc_client import FibonacciRpcClient, RpcError


@pytest.fixture
def break_it(own_broker):
    """Break the broker or the connections to it, one way or the other, and mend it."""

    def break_it(how):
        if how == "connections closed":
            own_broker.close_connections()
        else:
            with getattr(own_broker, how)():
                pass

    return break_it


@pytest.mark.parametrize("how", ["connections closed", "stopped", "killed"])
def test_a_request_is_sent_again_after(
    how, client, rpc_queue, broker, break_it, background, start_server
):
    call = background(client.call, 30, timeout=90)
    with broker.channel() as channel:
        receive(channel, rpc_queue)
        break_it(how)
    start_server()
    assert call.result(15) == 832040


@pytest.mark.parametrize("how", ["connections closed", "stopped", "killed", "frozen"])
def test_a_client_and_a_server_go_on_after(how, client, server, break_it):
    assert client.call(30) == 832040
    break_it(how)
    assert client.call(30, timeout=15) == 832040
    assert client.call(31, timeout=1) == 1346269


def test_a_call_whose_queue_went_with_the_connection_tries_until_its_deadline(
    relay, rpc_queue, channel, background
):
    way = relay(answers=10**6)
    with FibonacciRpcClient(way.url) as client:
        call = background(client.call, 30, timeout=2)
        receive(channel, rpc_queue)
        channel.queue_delete(rpc_queue)
        way.cut()
        with pytest.raises(TimeoutError, match="no queue 'rpc_queue'"):
            call.result(5)


def test_a_client_idle_past_its_heartbeats_calls_again(own_broker, server):
    with FibonacciRpcClient(own_broker.url(heartbeat=1)) as client:
        name = client.callback_queue
        own_broker.wait_until(15, lambda: name not in own_broker.ctl("list_queues", "name"))
        assert client.call(30, timeout=2) == 832040
        assert client.callback_queue != name


def test_a_client_whose_callback_queue_was_deleted_calls_again(
    own_broker, client, server, rpc_queue
):
    assert client.call(30) == 832040
    own_broker.ctl("delete_queue", client.callback_queue)
    assert client.call(30, timeout=2) == 832040


def test_a_client_calls_on_after_failures(client, server):
    for _ in range(3):
        with pytest.raises(RpcError, match="send a whole number"):
            client.call(-1)
        assert client.call(30) == 832040
    client.close()
    assert client.call(30) == 832040


def test_a_server_waits_for_its_broker_and_says_so_in_a_line(own_broker, start):
    with own_broker.stopped():
        server = start("rpc_server.py")
        server.expect(r"^ \[!\] 127.0.0.1:\d+ .+\n")
    server.awaits_requests()


def test_a_server_declares_its_queue_again_when_someone_deletes_it(server, channel):
    channel.queue_delete("rpc_queue")
    server.expect_exact("rpc_queue was deleted")
    server.awaits_requests()
    assert ask(channel, b"30")[1] == b"832040"


def test_a_server_pauses_longer_and_longer_between_attempts_and_not_in_step_with_others(start):
    began = time.monotonic()
    url = "amqp://guest:guest@localhost:1/%2F"
    servers = [(start("rpc_server.py", url=url), []) for _ in range(2)]
    for longest in (0.5, 1, 2, 4):
        for server, pauses in servers:
            server.expect(r" \[!\] localhost:1 refuses .+\?; next attempt in (.+) s\n")
            pauses.append(float(server.match[1]))
            assert longest / 2 <= pauses[-1] <= longest
    first, second = (pauses for _, pauses in servers)
    assert time.monotonic() - began > max(sum(first[:-1]), sum(second[:-1]))
    assert first != second


def test_a_server_that_did_serve_starts_with_a_short_pause_again(own_broker, start_server, client):
    server = start_server("rpc_server.MAX_PAUSE_SECONDS = 1")
    for _ in range(2):
        began = time.monotonic()
        while time.monotonic() < began + 1.1:
            client.call(30)
        own_broker.close_connections()
        server.expect(r"next attempt in (.+) s\n")
        assert float(server.match[1]) <= 0.5
        server.awaits_requests()


@pytest.mark.parametrize(
    ("set_limit", "clear_limit"),
    [
        (("set_vhost_limits", '{"max-connections": 0}'), ("clear_vhost_limits",)),
        (
            ("set_user_limits", "guest", '{"max-channels": 0}'),
            ("clear_user_limits", "guest", "all"),
        ),
    ],
)
def test_a_server_tries_again_where_a_limit_is_reached(own_broker, start, set_limit, clear_limit):
    own_broker.ctl(*set_limit)
    server = start("rpc_server.py")
    try:
        server.expect(r"limit .*; next attempt in")
    finally:
        own_broker.ctl(*clear_limit)
    server.awaits_requests()


def test_a_server_tries_again_where_another_consumer_has_the_queue_to_itself(channel, start):
    channel.queue_declare("rpc_queue", durable=True)
    channel.basic_consume("rpc_queue", print, exclusive=True)
    server = start("rpc_server.py")
    server.expect("in exclusive use.*; next attempt in")
    channel.close()
    server.awaits_requests()


def test_where_the_broker_closes_the_channel_for_want_of_a_right(own_broker, rpc_queue, ask):
    own_broker.ctl("add_user", "mute", "secret")
    own_broker.ctl("set_permissions", "mute", ".*", "^$", ".*")
    done = ask("--timeout", "2", url=own_broker.url().replace("guest:guest", "mute:secret"))
    assert re.fullmatch(r" \[!\] .*( closed the channel .*|ACCESS_REFUSED.*)\n", done.stderr)


@pytest.mark.parametrize(
    "there",
    ["rabbit.invalid:5672/", ".rabbit:5672/", "localhost:5672/?tcp_options={'TCP_KEEPIDLE': 'x'}"],
)
def test_a_server_tries_again_where_there_is_no_such_host_or_option(start, ask, there):
    url = f"amqp://guest:guest@{there}"
    server = start("rpc_server.py", url=url)
    for _ in range(2):
        server.expect(r" \[!\] .+:5672 failed: .*; next attempt in")
    assert re.fullmatch(r" \[!\] .+:5672 failed: .+\n", ask(url=url).stderr)


def test_of_several_nodes_the_first_that_is_there_is_used(broker, start_server, ask):
    there = broker.url().replace("amqp", "AMQP")
    url = f"amqp://guest:guest@rabbit.invalid/,amqp://guest:guest@localhost:1/,{there}"
    start_server(url=url)
    assert ask(url=url).stdout.endswith(" [.] Got 832040\n")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("amqp://guest:s3cret@{}:{}/%2F", "ACCESS_REFUSED"),
        ("amqp://guest:guest@{}:{}/nowhere", "vhost nowhere not found"),
        ("amqp://guest:guest@{}:{}/limits", "vhost limits not found"),  # no limit to wait for
        ("amqp://guest:s3cret/@{}:{}/", "AMQP_URL"),
        ("amqp://guest:1/s3cret@{}:{}/", "AMQP_URL"),
        ("amqp:/guest:s3cret@{}:{}/", "AMQP_URL"),
        ("amqp://guest:p@s3cret/w@{}:{}/", "AMQP_URL"),
        ("amqp://guest:s3cret@{}:{}x/", "AMQP_URL"),
        ("amqp://s3cret@{}:{}", "AMQP_URL"),
        ("ftp://guest:s3cret@{}:{}", "AMQP_URL"),
        ("amqp://guest:s3cret@{}:{}/?heartbeat=s3cret", "AMQP_URL"),
        ("amqp://guest:s3cret@{}:{}/?tcp_options={{", "AMQP_URL"),
    ],
)
def test_what_waiting_does_not_mend_is_one_line_without_the_password(
    own_broker, start, ask, url, words
):
    url = url.format(*own_broker.address)
    server = start("rpc_server.py", url=url)
    assert server.ends() == 1
    done = ask(url=url)
    assert done.returncode == 1
    for output in (server.read(), done.stderr):
        assert re.fullmatch(r" \[!\] .+\n", output)
        assert words in output
        assert "s3cret" not in output
