"""Three real nodes, configured as the README says, of which each in turn is killed."""

import json
import re
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from brokers import CTL, SERVER, PrivateBroker, free_port, wait_until
from pytest_rabbitmq.factories.executor import RabbitMqExecutor
from test_readme import README

from rpc_client import FibonacciRpcClient

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def nodes(broker, tmp_path, monkeypatch):
    if not isinstance(broker, PrivateBroker):
        pytest.skip("its nodes are processes of this machine's own rabbitmq-server")
    config = tmp_path / "rabbitmq.conf"
    (since_4_3,) = re.findall(r"`(\w+ = \w+)`", README)
    version = tuple(map(int, broker.ctl("version").split(".")[:2]))
    config.write_text(f"{since_4_3 if version >= (4, 3) else ''}\n")
    monkeypatch.setenv("RABBITMQ_CONFIG_FILE", str(config))
    nodes = []
    for number in (1, 2, 3):
        port, distribution = free_port(), free_port()
        node = {"node_name": f"rpc-{port}@localhost"}
        with config.open("a") as lines:
            lines.write(f"cluster_formation.classic_config.nodes.{number} = {node['node_name']}\n")
        for kind in ("logpath", "path", "plugin_path"):
            node[kind] = tmp_path / node["node_name"] / kind
            node[kind].mkdir(parents=True)
        executor = RabbitMqExecutor(SERVER, "127.0.0.1", port, distribution, CTL, **node)
        nodes.append(PrivateBroker(executor))
    with ThreadPoolExecutor() as pool:
        list(pool.map(PrivateBroker.start, nodes))
    (quorum,) = re.findall("^rabbitmqctl (update_vhost_metadata .+)  #", README, re.MULTILINE)
    nodes[0].ctl(*quorum.split())
    yield nodes
    for node in nodes:
        node.kill()


def test_calls_go_on_while_each_node_of_a_cluster_is_killed_in_turn(nodes, start_server):
    def is_whole():
        listing = nodes[0].ctl("list_queues", "name", "type", "online", "--formatter", "json")
        queues = {queue["name"]: queue for queue in json.loads(listing)}
        queue = queues.get("rpc_queue")  # a node that has just started may not list it yet
        return queue and queue["type"] == "quorum" and len(queue["online"]) == 3

    url = ",".join(node.url() for node in nodes)
    servers = [start_server(url=url) for _ in range(2)]
    with FibonacciRpcClient(url) as client:
        for node in nodes:
            wait_until(60, is_whole)
            with node.killed():
                assert client.call(30, timeout=30) == 832040
                assert client.call(31, timeout=30) == 1346269
    assert all(server.ends(signal.SIGTERM) == 0 for server in servers)
