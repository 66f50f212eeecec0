"""The README says what is so. Its shell commands run in .ci/run; this is the rest of it."""

import os
import re
import shlex
import shutil
import signal
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import brokers
import pika
import pytest
from brokers import NO_BROKER, NO_LIST, QUEUES, Broker, afterwards, find_broker, free_port
from scripts import ROOT
from test_on_request import QUORUM, REFUSAL

from rpc_client import FibonacciRpcClient, NoServerError, RefusedError, RpcClient
from rpc_server import fib

README = (ROOT / "README.md").read_text()
FILES = dict(re.findall(r"```python\n# (add_\w+\.py)\n(.+?)```", README, re.DOTALL))
NO_NUMBERS = [
    *(b"", b"x", b"\xff", b"1", b"null", b"[1]", b"[1, 2, 3]", b'[1, "x"]', b"[true, 1]"),
    *(b'"12"', b'{"1": 0, "2": 0}', b"[1e400, 1]", b"[NaN, 1]", b"[" * 1000, b"[" * 100_000),
    *(b"[1%0*d, 1]" % (4300, 0), b"[9%0*d, 9%0*d]" % (4299, 0, 4299, 0)),  # too long for int()
]
COMMANDS = re.findall(r"^rabbitmqctl (.+)", README, re.MULTILINE)


@pytest.fixture
def folder(tmp_path, channel):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    yield tmp_path
    channel.queue_delete("add_queue")


@pytest.fixture
def add_server(folder, start):
    return start(folder / "add_server.py").awaits_requests()


def test_example_adds_two_numbers_and_refuses_all_else(folder, add_server, start, broker):
    client = start(folder / "add_client.py")
    assert (client.read(), client.ends()) == ("3\n", 0)
    with RpcClient("add_queue", broker.url()) as client:
        for body in NO_NUMBERS:
            with pytest.raises(RefusedError, match=r"^send two whole numbers, such as \[1, 2\]"):
                client.ask(body)
            assert client.ask(b"[-3, 3]") == b"0", body


def test_web_application_needs_no_broker_to_start(way, tmp_path, start, start_server):
    def get(n):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/fib/{n}") as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            is_text = error.headers.get_content_type() == "text/plain"
            return error.code, error.read().decode() if is_text else "no plain text"

    (app,) = re.findall(r"```python\n# app.py\n(.+?)```", README, re.DOTALL)
    (tmp_path / "app.py").write_text(app)
    port = free_port()
    way.refuse()
    application = start("-m", "flask", "run", "--port", port, cwd=tmp_path, url=way.url)
    application.expect_exact(f"Running on http://127.0.0.1:{port}")
    with ThreadPoolExecutor(8) as browsers:
        assert {*browsers.map(get, range(8))} == {(504, "failed")}
        way.take_again()
        assert get(30) == (503, "failed")
        server = start_server("fib = lambda n: 1 / 0 if n == 13 else real_fib(n)")
        assert [*browsers.map(get, range(13))] == [(200, str(fib(n))) for n in range(13)]
    assert (get(20001), get(13)) == ((400, REFUSAL), (500, "failed"))
    assert server.ends(signal.SIGTERM) == 0
    assert get(30) == (503, "failed")
    application.expect(r"NoServerError\('.+ consuming'\) \(correlation id: [-\w]{36}\)")
    assert "RefusedError" not in application.before


@pytest.fixture
def compose(broker):
    broker.compose("version")  # skips the test if the broker is not Docker's
    return broker.compose


@pytest.mark.timeout(600)
def test_second_function_is_a_service_beside_the_first(compose, folder, docker_compose_file):
    for name in "docker-compose.yml", ".dockerignore", "requirements.txt", *ROOT.glob("rpc_*.py"):
        shutil.copy(ROOT / name, folder)
    (example,) = re.findall(r"```yaml\n(.+?)```\n```sh\n(.+?)\n(.+?)\n```", README, re.DOTALL)
    service, up, ask = example
    (folder / "docker-compose.override.yml").write_text(service)
    files = [folder / "docker-compose.yml", folder / "docker-compose.override.yml"]
    compose = partial(compose, files=[*map(str, files), *docker_compose_file[1:]])
    compose(up.removeprefix("docker compose ").partition("#")[0])
    ask, answer = ask.removeprefix("docker compose ").split("  # => ")
    with afterwards(compose, "down --rmi local add_server"):
        assert compose(ask.replace("exec", "exec -T")) == f"{answer}\n"


@pytest.fixture
def users(own_broker):
    """The README's users: the URL of a server, and that of a client."""
    users = [shlex.split(command, comments=True) for command in COMMANDS if "vhost" not in command]
    for command in users:
        own_broker.ctl(*command)
    assert re.search(r"^admin\t\[administrator\]$", own_broker.ctl("list_users"), re.MULTILINE)
    roles = "rpc_server:SECRET", "rpc_client:SECRET"
    yield [own_broker.url().replace("guest:guest", role) for role in roles]
    for command, user, *_ in users:
        if command == "add_user":
            own_broker.ctl("delete_user", user)


@pytest.mark.timeout(600)
def test_users_and_a_list_of_nodes_work_in_docker(compose, users, tmp_path, docker_compose_file):
    override = tmp_path / "override.yml"
    _, urls = re.findall(r"```yaml\n(.+?)```", README, re.DOTALL)
    first_is_down = r'"\1:1/%2F,\1:5672/%2F"'
    override.write_text(re.sub('"(amqp://.+@rabbitmq):.+"', first_is_down, urls))
    compose = partial(compose, files=[*docker_compose_file, str(override)])
    with afterwards(compose, "--profile demo rm --stop --force server"):
        compose("up -d --wait server")  # until it is healthy
        assert compose("run --rm client").endswith(" [.] Got 832040\n")


def test_command_chooses_the_type_of_the_queue(own_broker, start_server, channel):
    (command,) = (shlex.split(command, comments=True) for command in COMMANDS if "vhost" in command)
    usual = os.environ.get("QUEUE_TYPE", "classic")
    with own_broker.between(command, [*command[:-1], usual]):
        start_server()
        channel.queue_declare("rpc_queue", durable=True, arguments=QUORUM)  # a 406 if it is another


def test_permissions_let_a_client_take_no_request(users, own_broker, start_server, rpc_queue):
    server_url, client_url = users
    refused = pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED")
    for method in ("basic_get", "queue_purge"):
        with Broker(client_url).channel() as channel, refused:
            getattr(channel, method)(rpc_queue)
    with FibonacciRpcClient(client_url) as client:
        with pytest.raises(NoServerError, match="no server is consuming"):
            client.call(30, timeout=2)
        with own_broker.channel() as channel:
            channel.queue_delete(rpc_queue)
        with pytest.raises(NoServerError):
            client.call(30)
        start_server(url=server_url)
        assert client.call(30) == 832040
    with own_broker.channel() as channel, pytest.raises(Exception, match=r"406, .+x-queue-type"):
        channel.queue_declare(rpc_queue, durable=True, arguments=QUORUM)  # as the tutorial's server


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
