"""Three real nodes with quorum as the default queue type, of which each in turn is killed."""

import json
import signal
from concurrent.futures import ThreadPoolExecutor

import port_for
import pytest
from brokers import RABBITMQ, PrivateBroker, wait_until
from pytest_rabbitmq.factories.executor import RabbitMqExecutor

from rpc_client import FibonacciRpcClient

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def nodes(broker, tmp_path, monkeypatch):
    if not isinstance(broker, PrivateBroker):
        pytest.skip("its nodes are processes of this machine's own rabbitmq-server")
    ports = port_for.select_random(), port_for.select_random(), port_for.select_random()
    names = [f"rpc-{port}@localhost" for port in ports]
    config = tmp_path / "rabbitmq.conf"
    nodes = "cluster_formation.classic_config.nodes"
    lines = [f"{nodes}.{number} = {name}\n" for number, name in enumerate(names, start=1)]
    config.write_text("default_queue_type = quorum\n" + "".join(lines))
    monkeypatch.setenv("RABBITMQ_CONFIG_FILE", str(config))

    def node(name, port):
        folder = tmp_path / name
        folder.mkdir()
        return PrivateBroker(
            RabbitMqExecutor(
                f"{RABBITMQ}/rabbitmq-server",
                "127.0.0.1",
                port,
                port_for.select_random(),
                f"{RABBITMQ}/rabbitmqctl",
                logpath=folder,
                path=folder,
                plugin_path=folder,
                node_name=name,
            )
        )

    nodes = [node(name, port) for name, port in zip(names, ports, strict=True)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(PrivateBroker.start, nodes))
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
