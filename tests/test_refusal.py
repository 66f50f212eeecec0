"""What waiting does not mend ends both scripts with one line and status 1, and no password."""

import re

import pytest


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("amqp://guest:s3cret@{}:{}/%2F", "ACCESS_REFUSED"),
        ("amqp://guest:guest@{}:{}/nowhere", "vhost nowhere not found"),
        ("amqp://guest:s3cret/@{}:{}/", "AMQP_URL is malformed"),
        ("amqp://guest:s3cret@{}:{}x/", "AMQP_URL is malformed"),
        ("amqp://s3cret@{}:{}", "AMQP_URL is malformed"),
        ("ftp://guest:s3cret@{}:{}", "AMQP_URL is malformed"),
        ("amqp://guest:s3cret@{}:{}/?heartbeat=s3cret", "AMQP_URL is malformed"),
        ("amqp://guest:s3cret@{}:{}/?tcp_options={{", "AMQP_URL is malformed"),
    ],
)
def test_wrong_url_ends_both_scripts(broker, refusals, url, words):
    for output in refusals(url.format(*broker.address)):
        assert re.fullmatch(r" \[!\] .+\n", output)
        assert words in output
        assert "s3cret" not in output


def test_limit_of_the_broker_ends_a_server_that_never_served(own_broker, start):
    own_broker.ctl("set_vhost_limits", '{"max-connections": 0}')
    try:
        server = start("rpc_server.py")
        assert server.ends() == 1
    finally:
        own_broker.ctl("clear_vhost_limits")
    assert re.fullmatch(r" \[!\] .+ limit .+\n", server.read())


def test_server_that_served_waits_whatever_it_is_told(own_broker, start_server):
    server = start_server()
    own_broker.ctl("change_password", "guest", "other")
    try:
        with own_broker.connections_closed():
            server.expect(r"ACCESS_REFUSED.+; next attempt in")
    finally:
        own_broker.ctl("change_password", "guest", "guest")
    server.awaits_requests()
