"""The two scripts as a user starts them: what they print, and how they end."""

import os
import signal
import subprocess
import sys

import pytest
from conftest import ROOT


def test_the_client_asks_for_fib_30(server, ask):
    done = ask()
    assert done.stdout == " [x] Requesting fib(30)\n [.] Got 832040\n"
    assert (done.stderr, done.returncode) == ("", 0)
    server.expect_exact(" [.] fib(30)")


def test_the_client_asks_for_several(server, ask):
    done = ask(0, 1, 10, "--timeout", "5")
    assert done.stdout.count(" [.] Got ") == 3
    assert done.stdout.endswith(" [x] Requesting fib(10)\n [.] Got 55\n")


@pytest.mark.parametrize("args", [["x"], ["1.5"], ["--timeout", "0"], ["--timeout", "nan"], ["-x"]])
def test_misuse_ends_with_status_2(ask, args):
    done = ask(*args)
    assert (done.stdout, done.returncode) == ("", 2)
    assert "usage" in done.stderr


def test_help_names_amqp_url(ask):
    done = ask("--help")
    assert "AMQP_URL" in done.stdout
    assert done.returncode == 0


def test_a_refused_request_is_one_line_and_status_1(server, ask):
    done = ask(-1)
    assert done.stderr == " [!] send a whole number from 0 to 20000 as decimal digits\n"
    assert done.returncode == 1


def test_without_a_queue_the_client_says_so_at_once(ask):
    done = ask("--timeout", "60")
    assert done.stderr == " [!] there is no rpc_queue: start a server\n"
    assert done.returncode == 1


def test_without_a_broker_the_client_says_so_at_once(ask):
    done = ask("--timeout", "60", url="amqp://guest:guest@localhost:1/%2F")
    assert done.stderr == " [!] localhost:1 refuses connections: is RabbitMQ running?\n"
    assert done.returncode == 1


def test_ctrl_c_ends_the_client_with_status_130(rpc_queue, start):
    client = start("rpc_client.py", "--timeout", "60")
    client.expect_exact("Requesting fib(30)")
    assert client.ends(signal.SIGINT) == 130
    assert client.read().strip() == ""


def test_any_positive_timeout_will_do(server, ask):
    for timeout in ("0.2", "1e10", "inf"):
        assert ask("--timeout", timeout).stdout.endswith(" [.] Got 832040\n")


def test_a_client_whose_output_nobody_takes_ends_without_a_word(broker, server):
    command = [sys.executable, "rpc_client.py", *map(str, range(200))]
    env = {**os.environ, "AMQP_URL": broker.url()}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=pipe, stderr=pipe) as client:
        client.stdout.close()
        assert client.stderr.read() == b""
    assert client.returncode == 1


def test_a_server_whose_output_nobody_takes_serves_on(server, client):
    server.proc.stdout.close()
    for _ in range(3):
        assert client.call(30) == 832040


def test_a_client_closed_when_python_exits_closes_without_a_word(broker):
    code = "import atexit, rpc_client\natexit.register(rpc_client.FibonacciRpcClient().close)"
    env = {**os.environ, "AMQP_URL": broker.url()}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, timeout=30)
    assert (done.stdout, done.stderr, done.returncode) == (b"", b"", 0)


@pytest.mark.parametrize("module", ["rpc_server", "rpc_client"])
def test_importing_connects_nowhere_and_prints_nothing(module):
    env = {**os.environ, "AMQP_URL": "not a url"}
    command = [sys.executable, "-X", "dev", "-c", f"import {module}"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, timeout=30)
    assert (done.stdout, done.stderr, done.returncode) == (b"", b"", 0)
