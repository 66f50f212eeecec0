"""The three kinds of broker that the tests can run against; the last two are ours to break."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from traceback import extract_stack

import pika
import port_for
import psutil
import pytest

RABBITMQ = Path("/usr/lib/rabbitmq/bin")  # Debian's and Ubuntu's, for any user to run
SERVER, CTL = f"{RABBITMQ}/rabbitmq-server", f"{RABBITMQ}/rabbitmqctl"
NO_BROKER = "no broker: set AMQP_URL, start Docker, or run: apt-get install rabbitmq-server"
NO_LIST = "AMQP_URL has a list of brokers: unset it, or name one"
IN_USE = "AMQP_URL's broker has a queue {}: unset AMQP_URL, or name a virtual host without one"
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PORTS = 10_000 + 5_000 * WORKER, 14_999 + 5_000 * WORKER  # or two workers may choose the same one
given_ports = set()
QUEUES = "rpc", "add", "idle", "classic", "quorum", "repository"  # the tests delete these …_queue


def free_port():
    """Return a port that nobody listens on, and that no earlier call has returned."""
    given_ports.add(port := port_for.get_port(PORTS, given_ports))
    return port


def run(*command, **options):
    """Run a command to its end and return its output; an error if it fails."""
    options = {"check": True, "text": True, "stdin": subprocess.DEVNULL, **options}
    return subprocess.run(command, stdout=subprocess.PIPE, **options).stdout


def wait_until(seconds, condition):
    """Ask until the condition holds; an error if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)


@contextlib.contextmanager
def takes(seconds, more=1):
    """The block takes this long, and less than `more` seconds more."""
    start = time.monotonic()
    yield
    assert seconds <= (took := time.monotonic() - start) < seconds + more, f"it took {took} s"


def client_threads():
    """Return the threads, but for this one, that run the client's code."""
    stacks = {thread: str(extract_stack(top)) for thread, top in sys._current_frames().items()}
    del stacks[threading.get_ident()]
    return {thread for thread, stack in stacks.items() if "rpc_client.py" in stack}


def afterwards(call, *args):
    """Return what makes this call at the end of its `with` block."""
    stack = contextlib.ExitStack()
    stack.callback(call, *args)
    return stack


class Broker:
    """Somebody's broker, named by AMQP_URL."""

    def __init__(self, base_url):
        self.base_url = base_url

    def url(self, **query):
        options = "&".join(f"{key}={value}" for key, value in query.items())
        return f"{self.base_url}{'&' if '?' in self.base_url else '?'}{options}"

    def compose(self, *_, **__):
        pytest.skip("the broker of this run is not the one of docker-compose.yml")

    @property
    def address(self):
        node = pika.URLParameters(self.base_url)
        return socket.gethostbyname(node.host), node.port

    def connections(self):
        """Return how many connections this machine has to the broker."""
        _, port = self.address
        ends = (end for end in psutil.net_connections("tcp") if end.status == "ESTABLISHED")
        return sum(end.raddr.port == port for end in ends)

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
    """A broker that a test may break, before a `with` block that mends it at its end."""

    def __init__(self, port):
        super().__init__(f"amqp://guest:guest@127.0.0.1:{port}/%2F")

    def connections_closed(self):
        """An operator closed them; new ones are taken."""
        return contextlib.nullcontext(self.ctl("close_all_connections", "an operator did it"))

    def between(self, before, after):
        """The block runs between two commands of rabbitmqctl."""
        self.ctl(*before)
        return afterwards(self.ctl, *after)

    def settings(self, unusual, usual):
        """The broker has unusual settings; both are dictionaries."""
        set_env = "application:set_env([{{rabbit, [{}]}}]).".format
        settings = (",".join(f"{{{k}, {v}}}" for k, v in of.items()) for of in (unusual, usual))
        return self.between(*(["eval", set_env(these)] for these in settings))

    def stopped(self):
        """It closed its connections and ended in order; the block ends when it is up again."""
        self.ctl("stop_app")
        self.kill()
        return afterwards(self.start)

    def out_of_memory(self):
        """It blocks whoever publishes."""
        limit = "set_vm_memory_high_watermark"
        return self.between([limit, "0"], [limit, "0.6"])

    def killed(self):
        """It died without a word; the block ends when it is up again."""
        sync = "catch mnesia:sync_log(), [dets:sync(Table) || Table <- dets:all()]."
        self.ctl("eval", sync)  # or it may have forgotten a new queue, or its leader
        self.kill()
        return afterwards(self.start)

    def queues(self):
        return dict(map(str.split, self.ctl("list_queues", "name", "messages").splitlines()))

    def listen_with_tls(self, folder):
        """Listen with this folder's certificate, or go on with its next one; return the port."""
        files = f'[{{certfile, "{folder}/cert.pem"}}, {{keyfile, "{folder}/key.pem"}}]'
        listen = f"rabbit_networking:start_ssl_listener({self.tls_port}, {files}, 2)"
        self.ctl("eval", f"ssl:clear_pem_cache(), catch {listen}.")
        return self.tls_port


class ComposeBroker(OwnBroker):
    """The rabbitmq service of docker-compose.yml, in a project of its own."""

    def __init__(self, compose, project):
        super().__init__(os.environ["AMQP_PORT"])
        self.compose, self.container, self.tls_port = compose, f"{project}-rabbitmq-1", 5671

    def ctl(self, *args):
        return run("docker", "exec", self.container, "rabbitmqctl", "-q", *args)

    def kill(self):
        self.compose("kill rabbitmq")
        run("docker", "wait", self.container)  # or `up` may find it still running

    def start(self):
        self.compose("up -d --wait rabbitmq")

    def frozen(self):
        self.compose("pause rabbitmq")
        return afterwards(self.compose, "unpause rabbitmq")

    def listen_with_tls(self, folder):
        self.compose("cp", f"{folder}/.", "rabbitmq:/var/lib/rabbitmq")
        super().listen_with_tls("/var/lib/rabbitmq")
        return int(self.compose("port rabbitmq 5671").rpartition(":")[2])


class PrivateBroker(OwnBroker):
    """A process of this machine's own rabbitmq-server, started by pytest-rabbitmq."""

    def __init__(self, server):
        super().__init__(server.port)
        self.server, self.tls_port = server, free_port()

    def ctl(self, *args):
        return self.server.rabbitctl_output("-q", *args)

    def kill(self):
        self.server.kill(sig=signal.SIGKILL)
        wait_until(10, lambda: not self.server.pre_start_check())  # its port is free

    def start(self):
        self.server.start()

    def frozen(self):
        """Its connections are open, it takes new ones, and nothing answers."""
        os.killpg(self.server.process.pid, signal.SIGSTOP)
        (beam,) = psutil.Process(self.server.process.pid).children()
        wait_until(5, lambda: beam.status() == psutil.STATUS_STOPPED)
        return afterwards(os.killpg, self.server.process.pid, signal.SIGCONT)


def docker_answers():
    try:
        run("docker", "info", stderr=subprocess.DEVNULL)
        return bool(run("docker", "compose", "version", stderr=subprocess.DEVNULL))
    except (OSError, subprocess.CalledProcessError):
        return False


def find_broker(request):
    """Return the broker for the tests; `request` is pytest's, to start it by a fixture."""
    if url := os.environ.get("AMQP_URL"):
        if re.search(r",\s*amqp", url):
            pytest.exit(NO_LIST, returncode=1)
        broker = Broker(url)
        for queue in map("{}_queue".format, QUEUES):
            with broker.channel() as channel, contextlib.suppress(pika.exceptions.AMQPError):
                channel.queue_declare(queue, passive=True)
                pytest.exit(IN_USE.format(queue), returncode=1)
        return broker
    if docker_answers():
        request.getfixturevalue("docker_services")
        files = request.getfixturevalue("docker_compose_file")
        project = request.getfixturevalue("docker_compose_project_name")

        def compose(command, *args, files=files, **options):
            of = ["-p", project, *(word for file in files for word in ("-f", file))]
            return run("docker", "compose", *of, *command.split(), *args, **options)

        return ComposeBroker(compose, project)
    if RABBITMQ.exists():
        run("epmd", "-daemon")  # or a broker starts it, and takes it along when it is killed
        # A home for each worker: in one, two nodes that start together make two Erlang cookies.
        os.environ["HOME"] = str(request.getfixturevalue("tmp_path_factory").mktemp("home"))
        return PrivateBroker(request.getfixturevalue("rabbitmq_server"))
    return pytest.exit(NO_BROKER, returncode=1)
