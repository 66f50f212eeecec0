"""What waiting does not mend ends both scripts with one line and status 1, and no password."""

import re

import pytest

MALFORMED = "AMQP_URL is malformed: write amqp://user:password@host:port/vhost, "


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("amqp://guest:s3cret@{}:{}/%2F", "ACCESS_REFUSED"),
        ("amqp://guest:guest@{}:{}/nowhere", "vhost nowhere not found"),
        ("amqp://guest:s3cret/@{}:{}/", MALFORMED),
        ("amqp://guest:s3cret@{}:{}x/", MALFORMED),
        ("amqp://s3cret@{}:{}", MALFORMED),
        ("ampq://guest:s3cret@{}:{}", MALFORMED),
        ("{}:{}", MALFORMED),
        ("amqp://guest:s3cret@{}:{}/?heartbeat=s3cret", MALFORMED),
        ("amqp://guest:s3cret@{}:{}/?tcp_options={{", MALFORMED),
        ("amqps://guest:s3cret@{}:{}/?ssl_options={{'cafile':'none'}}", "its files must exist"),
    ],
)
def test_wrong_url_ends_both_scripts(broker, refusals, url, words):
    for output in refusals(url.format(*broker.address)):
        assert re.fullmatch(r" \[!\] .+\n", output)
        assert words in output
        assert "s3cret" not in output


def test_limit_of_the_broker_ends_a_server_that_never_served(own_broker, start):
    limit = "set_vhost_limits", '{"max-connections": 0}'
    with own_broker.between(limit, ["clear_vhost_limits"]):
        server = start("rpc_server.py")
        assert server.ends() == 1
    assert re.fullmatch(r" \[!\] .+ limit .+\n", server.read())


def test_server_that_served_waits_whatever_it_is_told(own_broker, start_server):
    server = start_server()
    password = "change_password", "guest"
    changed = own_broker.between([*password, "other"], [*password, "guest"])
    with changed, own_broker.connections_closed():
        server.expect(r"ACCESS_REFUSED.+; next attempt in")
    server.awaits_requests()
