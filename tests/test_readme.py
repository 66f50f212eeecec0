"""The README says what is so. Its shell commands run in .ci/run; this is the rest of it."""

import json
import re
import shlex
import shutil
from functools import partial

import brokers
import pika
import pytest
from brokers import NO_BROKER, NO_LIST, QUEUES, Broker, ComposeBroker, ends_with, find_broker
from scripts import ROOT
from test_tutorials import QUORUM

from rpc_client import FibonacciRpcClient, NoServerError, RpcClient, RpcError

README = (ROOT / "README.md").read_text()
FILES = dict(re.findall(r"```python\n# (add_\w+\.py)\n(.+?)```", README, re.DOTALL))
NO_NUMBERS = [b"", b"x", b"\xff", b"1", b"null", b'"12"', b'{"1": 0, "2": 0}', b"[" * 100]
NO_TWO_NUMBERS = [b"[1]", b"[1, 2, 3]", b'[1, "2"]', b"[1, true]", b"[1, null]", b"[1, [2]]"]
NOT_FINITE = [b"[1e400, 1]", b"[NaN, 1]", b"[1, -Infinity]", b"[1e308, 1e308]", b"[9%0400d, 1]" % 0]


@pytest.fixture
def folder(tmp_path, channel):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    yield tmp_path
    channel.queue_delete("add_queue")


@pytest.fixture
def add_server(folder, start):
    return start(folder / "add_server.py").awaits_requests()


@pytest.fixture
def add_client(add_server, broker):
    with RpcClient("add_queue", broker.url()) as client:
        yield client


def test_example_adds_two_numbers(folder, add_server, start):
    client = start(folder / "add_client.py")
    assert client.read() == "2.5\n"
    assert client.ends() == 0


def test_example_s_client_says_what_failed(folder, start):
    client = start(folder / "add_client.py")
    assert client.read().startswith(" [!] there is no add_queue on ")
    assert client.ends() == 1


def test_example_refuses_what_are_not_two_numbers_with_a_finite_sum(add_client):
    for body in NO_NUMBERS + NO_TWO_NUMBERS + NOT_FINITE + [b"[1, 2]" + b" " * 95]:
        with pytest.raises(RpcError, match=r"^send (JSON|\[a, b\], two num|100 bytes at most)"):
            add_client.ask(body)
        assert json.loads(add_client.ask(b"[-3, 3]")) == 0, body


def test_one_program_uses_both_functions(folder, add_server, server, start):
    (program,) = re.findall(r"```python\n# program.py\n(.+?)```", README, re.DOTALL)
    (folder / "program.py").write_text(program)
    assert start(folder / "program.py").read() == "832040.5\n"


def test_subclass_may_have_methods_of_its_own(add_server, broker):
    class Subclass(RpcClient):
        open = link = busy = connection = connect = retry = call = diagnose = None

    with Subclass("add_queue", broker.url()) as client:
        assert client.ask(b"[1, 2]") == b"3.0"


@pytest.mark.timeout(600)
def test_second_function_is_a_service_beside_the_first(broker, folder, docker_compose_file):
    if not isinstance(broker, ComposeBroker):
        pytest.skip("the broker of this run is not the one of docker-compose.yml")
    for name in "docker-compose.yml", ".dockerignore", "requirements.txt", *ROOT.glob("rpc_*.py"):
        shutil.copy(ROOT / name, folder)
    (example,) = re.findall(r"```yaml\n(.+?)```\n```sh\n(.+?)\n(.+?)\n```", README, re.DOTALL)
    service, up, ask = example
    (folder / "docker-compose.override.yml").write_text(service)
    files = [folder / "docker-compose.yml", folder / "docker-compose.override.yml"]
    compose = partial(broker.compose, files=[*map(str, files), *docker_compose_file[1:]])
    compose(up.removeprefix("docker compose "))
    ask, answer = ask.removeprefix("docker compose ").split("  # => ")
    with ends_with(compose, "down --rmi local add_server"):
        assert compose(ask.replace("exec", "exec -T")) == f"{answer}\n"


def test_permissions_suffice_and_let_a_client_take_no_request(own_broker, start_server, rpc_queue):
    for command in re.findall(r"^rabbitmqctl (.+)", README, re.MULTILINE):
        own_broker.ctl(*shlex.split(command))
    roles = "rpc_server:SECRET", "rpc_client:SECRET"
    server_url, client_url = (own_broker.url().replace("guest:guest", role) for role in roles)
    refused = pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED")
    for method in ("basic_get", "queue_purge"):
        with Broker(client_url).channel() as channel, refused:
            getattr(channel, method)(rpc_queue)
    with FibonacciRpcClient(client_url) as client:
        with pytest.raises(TimeoutError, match="no server is consuming"):
            client.call(30, timeout=0.2)
        with own_broker.channel() as channel:
            channel.queue_delete(rpc_queue)
        with pytest.raises(NoServerError):
            client.call(30)
        start_server(url=server_url)
        assert client.call(30) == 832040


def test_tutorial_s_server_ends_with_406_where_this_pair_s_queue_is(server, channel):
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="406"):
        channel.queue_declare("rpc_queue", durable=True, arguments=QUORUM)


def test_tests_fail_without_any_broker_and_say_how_to_get_one(monkeypatch, request, tmp_path):
    monkeypatch.delenv("AMQP_URL", raising=False)
    monkeypatch.setenv("DOCKER_HOST", "unix:///dev/null")
    monkeypatch.setattr(brokers, "RABBITMQ", tmp_path / "not installed")
    with pytest.raises(BaseException, match=f"^{NO_BROKER}$") as ended:  # a skip would be one, too
        find_broker(request)
    assert isinstance(ended.value, pytest.exit.Exception)
    assert ended.value.returncode == 1


def test_tests_want_one_broker_and_delete_no_queue_of_others(monkeypatch, request, channel, broker):
    monkeypatch.setenv("AMQP_URL", f"{broker.url()}, {broker.url()}")
    with pytest.raises(pytest.exit.Exception, match=NO_LIST):
        find_broker(request)
    monkeypatch.setenv("AMQP_URL", broker.url())
    for queue in map("{}_queue".format, QUEUES):
        channel.queue_declare(queue, durable=True)
        with pytest.raises(pytest.exit.Exception, match=f"has a queue {queue}: "):
            find_broker(request)
        channel.queue_delete(queue)
