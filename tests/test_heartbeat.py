"""A function may take ten minutes without any setting, and yet a dead network is found soon."""

import pytest
from wire import receive, send_request

import rpc_server


def test_function_may_outlast_the_heartbeats_of_the_broker(own_broker, start_server, channel):
    with own_broker.setting("heartbeat", 1, usual=60):
        server = start_server("fib = lambda n: time.sleep(4) or compute(n)")
    queue, _ = send_request(channel, b"30")
    assert receive(channel, queue)[2] == b"832040"
    server.expect_exact(" [.] fib(30)")
    assert "next attempt" not in server.before


def test_server_says_that_a_function_outlasted_the_heartbeat(broker, start_server, channel):
    server = start_server("fib = lambda n: time.sleep(5) or n", broker.url(heartbeat=1))
    send_request(channel, b"30")
    server.expect("closed the connection: .+ or was a heartbeat missed\\?; next attempt in ")


@pytest.mark.parametrize(
    ("query", "heartbeat", "options"),
    [
        ("", 600, {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_USER_TIMEOUT": 60_000}),
        ("?heartbeat=0&tcp_options={'TCP_KEEPIDLE':20}", 0, {"TCP_KEEPIDLE": 20}),
    ],
)
def test_kernel_is_to_find_a_dead_network_first(monkeypatch, query, heartbeat, options):
    monkeypatch.setattr("pika.BlockingConnection", lambda parameters: parameters)
    parameters = rpc_server.connect(f"amqp://localhost/{query}")
    assert (parameters.heartbeat, parameters.tcp_options) == (heartbeat, options)
