"""The broker that the tests run against, and the two scripts as a user starts them.

The broker is the one that AMQP_URL names; else, where a Docker engine answers, the rabbitmq
service of docker-compose.yml, as a project of its own; else a private rabbitmq-server of this
machine. Only the last two are ours to break: with AMQP_URL, the tests that do so are skipped.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from urllib.parse import urlsplit

import pika
import port_for
import pytest
from pexpect.popen_spawn import PopenSpawn
from pytest_rabbitmq.factories import rabbitmq_proc

from rpc_client import FibonacciRpcClient

ROOT = Path(__file__).parent.parent
RABBITMQ = Path("/usr/lib/rabbitmq/bin")  # Debian's and Ubuntu's, for any user to run
NO_BROKER = "no broker: set AMQP_URL, start Docker, or run: apt-get install rabbitmq-server"
IN_USE = "AMQP_URL's broker has an rpc_queue: give the tests a virtual host without one"

# Run in the background, as by a gate, a shell has its commands ignore Ctrl-C, and theirs too.
signal.signal(signal.SIGINT, signal.default_int_handler)

rabbitmq_server = rabbitmq_proc(server=f"{RABBITMQ}/rabbitmq-server", ctl=f"{RABBITMQ}/rabbitmqctl")


def run(*command, **options):
    """Run a command to its end and return its output; an error if it fails."""
    options = {"check": True, "text": True, "stdin": subprocess.DEVNULL, **options}
    return subprocess.run(command, stdout=subprocess.PIPE, **options).stdout


class Broker:
    """Somebody's broker."""

    def __init__(self, base_url):
        self.base_url = base_url

    def url(self, **query):
        options = "&".join(f"{key}={value}" for key, value in query.items())
        return f"{self.base_url}{'&' if '?' in self.base_url else '?'}{options}"

    @property
    def address(self):
        node = pika.URLParameters(self.base_url)
        return node.host, node.port

    @contextlib.contextmanager
    def channel(self):
        connection = pika.BlockingConnection(pika.URLParameters(self.base_url))
        try:
            yield connection.channel()
        finally:
            if connection.is_open:
                with contextlib.suppress(pika.exceptions.AMQPError):  # the test broke the broker
                    connection.close()


class OwnBroker(Broker):
    """A broker of our own, which a test may break in a `with` block that mends it again."""

    def __init__(self, port):
        super().__init__(f"amqp://guest:guest@127.0.0.1:{port}/%2F")

    @contextlib.contextmanager
    def stopped(self):
        """Its connections are closed and new ones refused."""
        self.ctl("stop_app")
        try:
            yield
        finally:
            self.ctl("start_app")

    @contextlib.contextmanager
    def killed(self):
        """It died without a word; the block ends when it is up again."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    @contextlib.contextmanager
    def frozen(self):
        """Its connections are open, it takes new ones, and nothing answers."""
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    @contextlib.contextmanager
    def out_of_memory(self):
        """It blocks whoever publishes."""
        self.ctl("set_vm_memory_high_watermark", "0")
        try:
            yield
        finally:
            self.ctl("set_vm_memory_high_watermark", "0.6")

    def wait_until(self, seconds, condition):
        """Ask rabbitmqctl until it says so."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s"

    def connections(self):
        return len(json.loads(self.ctl("list_connections", "pid", "--formatter", "json")))

    def close_connections(self):
        self.ctl("close_all_connections", "an operator did it")

    def listen_with_tls(self, folder, port):
        files = f'{{certfile, "{folder}/cert.pem"}}, {{keyfile, "{folder}/key.pem"}}'
        self.ctl("eval", f"rabbit_networking:start_ssl_listener({port}, [{files}], 2).")


class ComposeBroker(OwnBroker):
    """The rabbitmq service of docker-compose.yml, in a project of its own."""

    def __init__(self, compose):
        super().__init__(os.environ["AMQP_PORT"])
        self.compose = compose

    def ctl(self, *args):
        return self.compose("exec -T rabbitmq rabbitmqctl -q", *args)

    def kill(self):
        self.compose("kill rabbitmq")

    def start(self):
        self.compose("up -d --wait rabbitmq")

    def freeze(self):
        self.compose("pause rabbitmq")

    def thaw(self):
        self.compose("unpause rabbitmq")

    def tls_port(self, folder):
        self.compose("cp", f"{folder}/.", "rabbitmq:/var/lib/rabbitmq")
        self.listen_with_tls("/var/lib/rabbitmq", 5671)
        return int(self.compose("port rabbitmq 5671").rpartition(":")[2])


class PrivateBroker(OwnBroker):
    """A rabbitmq-server process, started by pytest-rabbitmq."""

    def __init__(self, server):
        super().__init__(server.port)
        self.server = server

    def ctl(self, *args):
        return self.server.rabbitctl_output("-q", *args)

    def kill(self):
        self.server.kill(sig=signal.SIGKILL)
        while self.server.pre_start_check():  # until its port is free
            time.sleep(0.01)

    def start(self):
        self.server.start()

    def freeze(self):
        os.killpg(self.server.process.pid, signal.SIGSTOP)

    def thaw(self):
        os.killpg(self.server.process.pid, signal.SIGCONT)

    def tls_port(self, folder):
        port = port_for.select_random()
        self.listen_with_tls(folder, port)
        return port


@pytest.fixture(scope="session")
def docker_compose_file():
    return [str(ROOT / "docker-compose.yml"), str(ROOT / "tests/docker-compose.yml")]


@pytest.fixture(scope="session")
def docker_setup():
    os.environ.update(AMQP_PORT=str(port_for.select_random()), MANAGEMENT_PORT="0")
    return "up -d --wait"


@pytest.fixture(scope="session")
def docker_cleanup():
    return ["kill", "down -v"]


def docker_answers():
    try:
        run("docker", "info", stderr=subprocess.DEVNULL)
        return bool(run("docker", "compose", "version", stderr=subprocess.DEVNULL))
    except (OSError, subprocess.CalledProcessError):
        return False


def find_broker(request):
    if url := os.environ.get("AMQP_URL"):
        broker = Broker(url)
        with (
            broker.channel() as channel,
            contextlib.suppress(pika.exceptions.ChannelClosedByBroker),
        ):
            channel.queue_declare("rpc_queue", passive=True)
            pytest.exit(IN_USE, returncode=1)
        return broker
    if docker_answers():
        request.getfixturevalue("docker_services")
        files = request.getfixturevalue("docker_compose_file")
        project = request.getfixturevalue("docker_compose_project_name")

        def compose(command, *args):
            options = ["-p", project, *(word for file in files for word in ("-f", file))]
            return run("docker", "compose", *options, *command.split(), *args)

        return ComposeBroker(compose)
    if RABBITMQ.exists():
        return PrivateBroker(request.getfixturevalue("rabbitmq_server"))
    return pytest.exit(NO_BROKER, returncode=1)


@pytest.fixture(scope="session")
def broker(request):
    """The broker that all tests share; they leave no rpc_queue behind."""
    broker = find_broker(request)
    yield broker
    with broker.channel() as channel:
        channel.queue_delete("rpc_queue")


@pytest.fixture
def own_broker(broker):
    """The broker, for a test that breaks it."""
    if not isinstance(broker, OwnBroker):
        pytest.skip("it breaks the broker, and the one in AMQP_URL is not ours to break")
    return broker


@pytest.fixture(autouse=True)
def no_rpc_queue(broker):
    """Each test starts without an rpc_queue."""
    with broker.channel() as channel:
        channel.queue_delete("rpc_queue")


@pytest.fixture
def channel(broker):
    """A plain pika channel: the peer on the wire."""
    with broker.channel() as channel:
        yield channel


@pytest.fixture
def rpc_queue(broker):
    """An rpc_queue as the server declares it, with the test as its server."""
    with broker.channel() as channel:
        channel.queue_declare("rpc_queue", durable=True)
    return "rpc_queue"


class Script(PopenSpawn):
    """One of our scripts as a process, and what it prints."""

    def __init__(self, *argv, url):
        env = {**os.environ, "AMQP_URL": url, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}
        command = [sys.executable, *argv]
        super().__init__(
            command, timeout=15, cwd=ROOT, env=env, encoding="utf-8", codec_errors="strict"
        )

    def awaits_requests(self):
        self.expect_exact(" [x] Awaiting RPC requests")
        return self

    def ends(self, *signals):
        """Send signals, and return the exit status."""
        for signum in signals:
            self.kill(signum)
        return self.proc.wait(timeout=15)


@pytest.fixture
def start(broker):
    """Start a script; it is killed when the test is over."""
    scripts = []

    def start(*argv, url=None):
        scripts.append(Script(*argv, url=url or broker.url()))
        return scripts[-1]

    yield start
    for script in scripts:
        script.proc.kill()
        script.proc.wait()


@pytest.fixture
def start_server(start):
    """Start rpc_server.py and wait until it serves; `patch` is Python to run in it before that."""

    def start_server(patch="", url=None):
        code = f"import os, signal, time, rpc_server\n{patch}\nrpc_server.main()"
        argv = ("-c", code) if patch else ("rpc_server.py",)
        return start(*argv, url=url).awaits_requests()

    return start_server


@pytest.fixture
def server(start_server):
    return start_server()


@pytest.fixture
def client(broker):
    with FibonacciRpcClient(broker.url()) as client:
        yield client


@pytest.fixture
def background():
    """Run a call in a thread, while the test plays its server; a call that hangs harms nobody."""

    def start(call, *args, **kwargs):
        def run():
            try:
                future.set_result(call(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        future = Future()
        threading.Thread(target=run, daemon=True).start()
        return future

    return start


class Relay:
    """A way to the broker that goes dead after so many answers, until it is revived.

    It remembers the last of what went to the broker.
    """

    def __init__(self, broker, answers):
        self.address, self.answers = broker.address, answers
        self.dead, self.revived = threading.Event(), threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.sockets = [self.listener]
        url = urlsplit(broker.url())
        user, at, _ = url.netloc.rpartition("@")
        port = self.listener.getsockname()[1]
        self.url = url._replace(netloc=f"{user}{at}127.0.0.1:{port}").geturl()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):  # closed: the test is over
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(self.address)
                self.sockets += near, far
                threading.Thread(target=self.pump, args=(near, far), daemon=True).start()
                threading.Thread(target=self.answer, args=(far, near), daemon=True).start()

    def pump(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                self.last = data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def answer(self, source, sink):
        with contextlib.suppress(OSError):
            for _ in range(self.answers):
                sink.sendall(source.recv(4096))
            answer = source.recv(4096)
            self.dead.set()
            self.revived.wait()
            sink.sendall(answer)
            self.pump(source, sink)

    def cut(self):
        """Break the connections that there are; new ones may come."""
        for sock in self.sockets[1:]:
            with contextlib.suppress(OSError):  # the other end was first
                sock.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.revived.set()
        self.cut()  # a socket that a thread reads stays open when it is merely closed
        for sock in self.sockets:
            sock.close()


@pytest.fixture
def relay(own_broker):
    """Connections to the broker that go dead after so many answers of it."""
    with contextlib.ExitStack() as stack:
        yield lambda answers: stack.enter_context(contextlib.closing(Relay(own_broker, answers)))


@pytest.fixture
def ask(broker):
    """Run rpc_client.py to its end, as a user does."""

    def ask(*args, url=None):
        command = [sys.executable, "rpc_client.py", *map(str, args)]
        env = {**os.environ, "AMQP_URL": url or broker.url()}
        return subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=30
        )

    return ask
