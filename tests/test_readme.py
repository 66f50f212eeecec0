"""The README says what is so. Its shell commands run in .ci/run; this is the rest of it."""

import json
import re
import shlex
import shutil
import signal
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import brokers
import pika
import port_for
import pytest
from brokers import NO_BROKER, NO_LIST, PORTS, QUEUES, Broker, ComposeBroker, ends_with, find_broker
from scripts import ROOT
from test_on_request import REFUSAL

from rpc_client import FibonacciRpcClient, NoServerError, RefusedError, RpcClient
from rpc_server import fib
from tests.functions.tutorial import QUORUM

README = (ROOT / "README.md").read_text()
FILES = dict(re.findall(r"```python\n# (add_\w+\.py)\n(.+?)```", README, re.DOTALL))
NO_NUMBERS = [*b'|x|\xff|1|null|[1]|[1, 2, 3]|[1, "x"]'.split(b"|"), b"[" * 100, b"[%d,1]" % 9**400]


@pytest.fixture
def folder(tmp_path, channel):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    yield tmp_path
    channel.queue_delete("add_queue")


@pytest.fixture
def add_server(folder, start):
    return start(folder / "add_server.py").awaits_requests()


def test_example_adds_two_numbers(folder, add_server, start):
    client = start(folder / "add_client.py")
    assert client.read() == "2.5\n"
    assert client.ends() == 0


def test_example_refuses_what_are_not_two_numbers(add_server, broker):
    with RpcClient("add_queue", broker.url()) as client:
        for body in NO_NUMBERS:
            with pytest.raises(RefusedError, match=r"^send two numbers, such as \[1, 2\]"):
                client.ask(body)
            assert json.loads(client.ask(b"[-3, 3]")) == 0, body


def test_web_application_needs_no_broker_to_start(own_broker, tmp_path, start, start_server):
    def get(n):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/fib/{n}") as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    (app,) = re.findall(r"```python\n# app.py\n(.+?)```", README, re.DOTALL)
    (tmp_path / "app.py").write_text(app)
    port = port_for.get_port(PORTS)
    with ThreadPoolExecutor(8) as browsers:
        with own_broker.stopped():
            application = start("-m", "flask", "run", "--port", port, cwd=tmp_path)
            application.expect_exact(f"Running on http://127.0.0.1:{port}")
            assert {*browsers.map(get, range(8))} == {(504, "failed")}
        assert get(30) == (503, "failed")
        server = start_server("fib = lambda n: 1 / 0 if n == 13 else real_fib(n)")
        assert [*browsers.map(get, range(13))] == [(200, str(fib(n))) for n in range(13)]
    assert (get(20001), get(13)) == ((400, REFUSAL), (500, "failed"))
    assert server.ends(signal.SIGTERM) == 0
    assert get(30) == (503, "failed")
    application.expect(r"NoServerError\('.+ consuming'\) \(correlation id: [-\w]{36}\)")


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
    compose(up.removeprefix("docker compose ").partition("#")[0])
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
        with pytest.raises(NoServerError, match="no server is consuming"):
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
