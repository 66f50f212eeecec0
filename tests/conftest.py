"""The fixtures: the broker (see find_broker() in brokers.py) and the peers that talk through it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import uuid

import brokers
import pytest
from brokers import CTL, PORTS, RABBITMQ, SERVER, OwnBroker, docker_answers, find_broker, free_port
from pytest_rabbitmq.factories import rabbitmq_proc
from relay import Relay
from scripts import ROOT, Script, environment
from wire import send_request

from rpc_client import FibonacciRpcClient

# A shell has its background commands ignore Ctrl-C, and the processes that these start, too.
signal.signal(signal.SIGINT, signal.default_int_handler)

rabbitmq_server = rabbitmq_proc(SERVER, ctl=CTL, port=PORTS, distribution_port=PORTS)


def pytest_xdist_auto_num_workers():
    """Tests mostly wait, so four run at a time, each with its own broker if it can have one."""
    return 4 if not os.environ.get("AMQP_URL") and (docker_answers() or RABBITMQ.exists()) else 0


@pytest.fixture(scope="session")
def docker_compose_file():
    return [str(ROOT / "docker-compose.yml"), str(ROOT / "tests/docker-compose.yml")]


@pytest.fixture(scope="session")
def docker_setup():
    os.environ.update(AMQP_PORT=str(free_port()), MANAGEMENT_PORT="0")
    return "up -d --wait"


@pytest.fixture(scope="session")
def docker_cleanup():
    return ["kill", "--profile demo down -v --rmi local"]


@pytest.fixture(scope="session")
def broker(request):
    """The broker that all tests share. QUEUE_TYPE is the type of the queues that name none."""
    broker = find_broker(request)
    if queue_type := os.environ.get("QUEUE_TYPE"):
        broker.ctl("update_vhost_metadata", "/", "--default-queue-type", queue_type)
    return broker


@pytest.fixture
def own_broker(broker):
    """The broker, for a test that breaks it."""
    if not isinstance(broker, OwnBroker):
        pytest.skip("it breaks the broker, and the one in AMQP_URL is not ours to break")
    return broker


@pytest.fixture
def restricted(own_broker):
    """Make a user with these rights and return its URL."""

    def restricted(configure, write, read, base_url=own_broker.base_url):
        user = str(uuid.uuid4())
        own_broker.ctl("add_user", user, "secret")
        own_broker.ctl("set_permissions", user, configure, write, read)
        return base_url.replace("guest:guest", f"{user}:secret")

    return restricted


@pytest.fixture(autouse=True)
def no_rpc_queue(broker):
    """Each test leaves no rpc_queue."""
    yield
    with broker.channel() as channel:
        channel.queue_delete("rpc_queue")


@pytest.fixture
def threads_before():
    """The client's threads before the test, which leaves no other."""
    before = brokers.client_threads()
    yield before
    brokers.wait_until(5, lambda: brokers.client_threads() <= before)


@pytest.fixture
def channel(broker):
    """A plain pika channel: the peer on the wire."""
    with broker.channel() as channel:
        yield channel


@pytest.fixture
def rpc_queue(channel):
    """An rpc_queue as the server declares it, with the test as its server."""
    channel.queue_declare("rpc_queue", durable=True)
    return "rpc_queue"


@pytest.fixture
def start(broker):
    """Start a script; it is killed when the test is over."""
    scripts = []

    def start(*argv, url=None, **options):
        scripts.append(Script(*argv, url=url or broker.url(), **options))
        return scripts[-1]

    yield start
    for script in scripts:
        script.proc.kill()
        script.proc.wait()


@pytest.fixture
def start_server(start):
    """Start a server; `patch` is Python, and may define another fib(), by real_fib()."""

    def start_server(patch="", url=None):
        before = "import os, signal, sys, time, rpc_server\nreal_fib = fib = rpc_server.fib"
        after = "rpc_server.fib = fib\nrpc_server.serve('rpc_queue', rpc_server.compute)"
        code = f"{before}\n{patch}\n{after}"
        argv = ("-c", code) if patch else ("rpc_server.py",)
        return start(*argv, url=url).awaits_requests()

    return start_server


@pytest.fixture
def server(start_server):
    return start_server()


@pytest.fixture
def busy_server(start_server, channel):
    """Start a server that has a request in hand; its function may wait for a line on stdin."""

    def busy_server(patch="fib = lambda n: input() or real_fib(n)", url=None):
        server = start_server(patch, url)
        server.callback_queue, _ = send_request(channel, b"30")
        server.expect_exact(" [.] fib(30)")
        return server

    return busy_server


@pytest.fixture
def client(broker):
    with FibonacciRpcClient(broker.url()) as client:
        client.connect()
        yield client


@pytest.fixture
def run_client(broker):
    """Run rpc_client.py to its end, as a user does."""

    def run_client(*args, url=None):
        command = [sys.executable, "rpc_client.py", *map(str, args)]
        options = {"cwd": ROOT, "env": environment(url or broker.url()), "timeout": 30}
        return subprocess.run(command, capture_output=True, text=True, **options)

    return run_client


@pytest.fixture
def way(own_broker):
    """The way to the broker: a relay that may be cut, go dead, or refuse."""
    with contextlib.closing(Relay(own_broker)) as way:
        yield way


@pytest.fixture
def far_client(way):
    """A client with a connection that goes over `way`."""
    with FibonacciRpcClient(way.url) as client:
        client.connect()
        yield client


@pytest.fixture
def unreachable():
    """The URL of a port that neither accepts nor refuses: its backlog is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as s:
        for _ in range(4):
            filler = s.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"amqp://guest:guest@127.0.0.1:{listener.getsockname()[1]}/%2F"
