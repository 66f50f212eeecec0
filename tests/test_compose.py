"""docker-compose.yml as its user runs it."""

import json
import os
import time
from functools import partial

import pika
import pytest
from brokers import afterwards, run, wait_until
from scripts import ROOT

pytestmark = pytest.mark.timeout(600)  # it may have to build an image


@pytest.fixture
def compose(broker):
    broker.compose("version")  # skips the test if the broker is not Docker's
    yield broker.compose
    broker.compose("--profile demo rm --stop --force server client")


def containers(compose):
    lines = compose("--profile demo ps --all --format json").splitlines()
    return sorted((line for line in map(json.loads, lines)), key=lambda line: line["Name"])


def test_broker_and_server_come_back_when_they_are_killed(compose):
    compose("up -d --wait server")
    ids = compose("ps -q rabbitmq server").split()
    compose("exec -T server sh -c", "kill -9 -1", check=False)
    compose("exec -T rabbitmq rabbitmqctl eval", "erlang:halt(1).", check=False)
    wait_until(60, lambda: run("docker", "inspect", "-f{{.RestartCount}}", *ids) == "1\n1\n")
    compose("up -d --wait server")


def test_up_builds_nothing_and_starts_the_broker_alone_for_this_machine_alone(compose):
    services = json.loads(compose("--profile demo config --format json"))["services"]
    assert [name for name, service in services.items() if "build" in service] == ["server"]
    (broker,) = containers(compose)
    assert (broker["Service"], broker["Health"]) == ("rabbitmq", "healthy")
    published = [port for port in broker["Publishers"] if port["PublishedPort"]]
    assert {port["TargetPort"] for port in published} >= {5672, 15672}
    assert {port["URL"] for port in published} == {"127.0.0.1"}


def test_one_command_runs_client_and_server_and_stop_ends_the_server_within_seconds(compose):
    assert compose("run --rm client").endswith(" [x] Requesting fib(30)\n [.] Got 832040\n")
    assert compose("run --rm client 10").endswith(" [x] Requesting fib(10)\n [.] Got 55\n")
    (server,) = (line for line in containers(compose) if line["Service"] == "server")
    assert server["Health"] == "healthy"
    assert compose("logs server").count(" [.] ") == 2  # the health check has nothing computed
    assert compose("exec -T server id -u") != "0\n"
    start = time.monotonic()
    compose("stop server")
    assert time.monotonic() - start < 5
    (server,) = (line for line in containers(compose) if line["Service"] == "server")
    assert server["ExitCode"] == 0


def test_down_keeps_queues_with_what_waits_in_them_and_down_v_does_not(compose, broker):
    with broker.channel() as channel:
        channel.queue_declare("kept", durable=True)
        channel.confirm_delivery()
        channel.basic_publish("", "kept", b"30", pika.BasicProperties(delivery_mode=2))
    for command, messages in ("down", "1"), ("down -v", None):
        compose(f"--profile demo {command}")
        assert not containers(compose)
        compose("up -d --wait")
        assert broker.queues().get("kept") == messages


def test_client_asks_three_servers_and_without_no_deps_two_of_them_end(compose):
    compose("up -d --wait --scale server=3 server")
    for option, left in ("--no-deps", 3), ("", 1):
        assert " [.] Got 832040" in compose(f"run --rm {option} client")
        assert [line["Service"] for line in containers(compose)].count("server") == left


def test_slow_broker_starts_without_a_restart(compose, docker_compose_file):
    files = [docker_compose_file[0], str(ROOT / "tests/slow-broker.yml")]
    slow = partial(compose, files=files, env={**os.environ, "AMQP_PORT": "0"})
    project = f"-p slow-{os.getpid()}"
    for _ in range(2):
        with afterwards(slow, f"{project} down -v --rmi all"):
            slow(f"{project} up -d --wait rabbitmq")
            container = slow(f"{project} ps -q rabbitmq").strip()
            assert run("docker", "inspect", "-f", "{{.RestartCount}}", container) == "0\n"
