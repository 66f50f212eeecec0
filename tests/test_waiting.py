"""The server waits for its broker, whatever the broker says, and says why each time."""

import re

import pytest
from test_recovery import HASTY

from rpc_client import node_address

TROUBLES = [  # what the server says, and commands that mend this and leave the next trouble
    ("ACCESS_REFUSED", "add_user late s3cret"),
    ("vhost late not found", "add_vhost late"),
    ("access to vhost 'late' refused", 'set_vhost_limits -p late {"max-connections":0}'),
    ("limit", "set_permissions -p late late .* .* .*", "clear_vhost_limits -p late"),
]


def test_server_waits_for_a_late_broker_user_virtual_host_and_rights(own_broker, way, start):
    way.refuse()
    server = start(HASTY, url=f"amqp://late:s3cret@{node_address(way.url)}/late")
    server.expect(r"^ \[!\] 127.0.0.1:\d+ refuses connections: is RabbitMQ running\?\n")
    way.take_again()
    for words, *commands in TROUBLES:
        server.expect(rf" \[!\] 127.0.0.1:\d+ failed: [^\n]*{words}[^\n]*\n")
        assert "s3cret" not in server.before + server.after
        for command in commands:
            own_broker.ctl(*command.split())
    server.awaits_requests()


def test_server_tries_again_when_a_broker_does_not_answer(unreachable, way, start):
    way.answers = 2  # the broker freezes while the server connects
    server = start(HASTY, url=f"{unreachable},{way.url}")
    for url in (unreachable, way.url):
        server.expect(rf"^ \[!\] {node_address(url)} does not answer: [^\n]+\n")
    way.revived.set()
    server.awaits_requests()


@pytest.mark.parametrize("answers", [1, 2], ids=["Start", "Tune"])
def test_server_tries_again_when_the_broker_goes_down_in_its_first_handshake(way, start, answers):
    way.answers = answers
    server = start(HASTY, url=way.url)
    assert way.dead.wait(10)
    way.cut()
    way.revived.set()
    server.expect(r"^ \[!\] 127.0.0.1:\d+ closed the connection: .+ TLS\?\n")
    server.awaits_requests()


def test_server_pauses_for_a_second_and_a_half_at_most_and_not_in_step_with_others(start):
    sleep = "time.sleep = lambda seconds: print(seconds, 's', flush=True)"
    code = f"import rpc_server, time\n{sleep}\nrpc_server.serve('rpc_queue', rpc_server.compute)"
    pauses = []
    for server in [start("-c", code, url="amqp://guest:guest@localhost:1/%2F") for _ in range(2)]:
        for _ in range(20):
            server.expect(r" \[!\] localhost:1 refuses [^\n]+\n(\d\.\d+) s\n")
            pauses.append(float(server.match[1]))
    assert all(0.5 <= pause <= 1.5 for pause in pauses)
    assert len({*pauses}) > 20


@pytest.mark.parametrize("host", ["rabbit.invalid", "localhost:1"])
def test_first_node_that_is_there_is_used(broker, start_server, run_client, host):
    comma = "{'TCP_KEEPIDLE':20,'TCP_KEEPCNT':2}"  # it does not split the URL
    first = f"amqp://guest:guest@{host}/?connection_attempts=9&retry_delay=60&tcp_options={comma}"
    url = f"{first}, AMQP{broker.base_url[4:]} \n, amqp://localhost:2"  # a space of no node's
    assert re.fullmatch(rf" \[!\] {host} .+\n", start_server(url=url).before)
    assert run_client(url=url).stdout.endswith(" [.] Got 832040\n")
