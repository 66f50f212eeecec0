"""The two scripts as a user starts them: what they print, and how they end."""

import signal
import subprocess
import sys

import pytest
from relay import CLIENT_HANDSHAKE
from scripts import ROOT, environment
from wire import round_trip


def test_client_asks_for_fib_30(server, run_client):
    done = run_client()
    assert done.stdout == " [x] Requesting fib(30)\n [.] Got 832040\n"
    assert (done.stderr, done.returncode) == ("", 0)
    server.expect_exact(" [.] fib(30)")


def test_client_asks_for_several_numbers(server, run_client):
    done = run_client(0, 1, 10, "--timeout", "5")
    assert done.stdout.count(" [.] Got ") == 3
    assert done.stdout.endswith(" [x] Requesting fib(10)\n [.] Got 55\n")


@pytest.mark.parametrize("args", [["x"], ["1.5"], ["--timeout", "soon"], ["-x"], ["9" * 5000]])
def test_misuse_ends_the_client_with_status_2(run_client, args):
    done = run_client(*args)
    assert (done.stdout, done.returncode) == ("", 2)
    assert "usage" in done.stderr


def test_refused_request_is_one_line_and_status_1(server, run_client):
    done = run_client(-1)
    assert done.stderr == " [!] send a whole number from 0 to 20000 as decimal digits\n"
    assert done.returncode == 1


def test_error_text_stays_text_on_the_terminal_of_the_client(start_server, run_client):
    start_server("def fib(n): raise ValueError('Größe \\x1b[31m')\nrpc_server.fib = fib")
    assert run_client().stderr == " [!] ValueError: Größe \\x1b[31m\n"


def test_client_says_at_once_that_there_is_no_queue(run_client):
    done = run_client("--timeout", "60")
    assert done.stderr == " [!] there is no rpc_queue: start a server\n"
    assert done.returncode == 1


def test_client_says_at_once_that_there_is_no_broker(run_client):
    done = run_client("--timeout", "60", url="amqp://guest:guest@localhost:1/%2F")
    assert done.stderr == " [!] localhost:1 refuses connections: is RabbitMQ running?\n"
    assert done.returncode == 1


def test_client_says_in_one_line_that_there_was_no_reply_in_time(rpc_queue, run_client):
    done = run_client("--timeout", "0.2")
    assert done.stderr == " [!] no answer within 0.2 s: no server is consuming\n"
    assert done.returncode == 1


def test_client_ends_although_a_thread_hangs_in_a_dead_connection(relay, rpc_queue, run_client):
    done = run_client("--timeout", "0.2", url=relay(CLIENT_HANDSHAKE).url)
    assert "does not answer" in done.stderr
    assert done.returncode == 1


def test_ctrl_c_ends_the_client_with_status_130(rpc_queue, start):
    client = start("rpc_client.py", "--timeout", "60")
    client.expect_exact("Requesting fib(30)")
    assert client.ends(signal.SIGINT) == 130
    assert client.read().strip() == ""


def test_client_waits_for_ever_if_it_is_told_so(server, run_client):
    for timeout in ("1e10", "inf"):
        assert run_client("--timeout", timeout).stdout.endswith(" [.] Got 832040\n")


def test_server_serves_on_when_nobody_reads_its_output(server, client):
    server.proc.stdout.close()
    for _ in range(3):
        assert client.call(30) == 832040


def test_server_serves_on_if_its_terminal_cannot_show_a_request(channel, monkeypatch, start):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    start("rpc_server.py").awaits_requests()
    assert round_trip(channel, "ß".encode())[0].type == "error"


@pytest.mark.parametrize("module", ["rpc_server", "rpc_client"])
def test_import_connects_nowhere_and_prints_nothing(module):
    command = [sys.executable, "-X", "dev", "-c", f"import {module}"]
    options = {"cwd": ROOT, "env": environment("not a url"), "timeout": 30}
    done = subprocess.run(command, capture_output=True, **options)
    assert (done.stdout, done.stderr, done.returncode) == (b"", b"", 0)
