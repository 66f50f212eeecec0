"""The two scripts as a user starts them: what they print, and how they end."""

import re
import signal
import subprocess
import sys

import pika
import pytest
from relay import CLIENT_HANDSHAKE
from scripts import ROOT, environment

import rpc_client
import rpc_server
from rpc_client import FibonacciRpcClient

AMQP = "amqp://guest:s3cret@{}:{}"
TIMEOUTS = [["--timeout", seconds] for seconds in ("soon", "0", "-1", "nan")]
MALFORMED = [
    *("{}:{}", "ampq://guest:s3cret@{}:{}", "amqp://guest:s3cret/@{}:{}/"),
    *(f"{AMQP}x/", f"amqp://localhost:1,{AMQP}x/", f"{AMQP}/?heartbeat=s3cret"),
    *(AMQP + "/?tcp_options={{", "amqps" + AMQP[4:] + "/?ssl_options={{'cafile':'none'}}"),
    *(f"amqp://guest:{password}@{{}}:{{}}/" for password in ("12/s3cret", "1?s3cret", "1#s3cret")),
    *("{}/%2F", "//{}/%2F", "amqp:/{}/%2F", "amqp//{}", "http://{}:{}", "amqp://:{1}/{0}"),
]
if tuple(map(int, pika.__version__.split(".")[:2])) < (1, 5):  # which takes the password guest
    MALFORMED.append("amqp://s3cret@{}:{}")


def test_client_asks_for_fib_30_and_its_help_tells_the_range_and_the_timeout(server, run_client):
    done = run_client()
    assert done.stdout == " [x] Requesting fib(30)\n [.] Got 832040\n"
    assert (done.stderr, done.returncode) == ("", 0)
    server.expect_exact(" [.] fib(30)")
    printed = run_client("--help").stdout
    assert f"0 to {rpc_server.MAX_N}" in printed
    assert f"{rpc_client.TIMEOUT_SECONDS:g} s" in printed


@pytest.mark.parametrize("timeout", ["5", "1e10", "inf"])
def test_client_asks_for_several_numbers_and_waits_so_long(server, run_client, timeout):
    done = run_client(0, 1, 10, "--timeout", timeout)
    assert done.stdout.count(" [.] Got ") == 3
    assert done.stdout.endswith(" [x] Requesting fib(10)\n [.] Got 55\n")


@pytest.mark.parametrize("args", [["x"], ["1.5"], ["-x"], ["9" * 5000], *TIMEOUTS])
def test_misuse_ends_the_client_with_status_2(run_client, args):
    done = run_client(*args)
    assert (done.stdout, done.returncode) == ("", 2)
    assert "usage" in done.stderr


def test_client_says_in_one_line_and_at_once_what_failed(run_client, broker, channel, start_server):
    def fails(words, *args, url=None):
        done = run_client(*args, url=url)
        corr_id = "" if url else r" \(correlation id: [-\w]{36}\)"  # There is no request yet.
        assert re.fullmatch(rf" \[!\] {re.escape(words)}{corr_id}\n", done.stderr)
        assert done.returncode == 1
        return done.stdout

    nowhere = "amqp://guest:guest@localhost:1/%2F"
    fails("localhost:1 refuses connections: is RabbitMQ running?", "--timeout", 60, url=nowhere)
    (address,) = re.findall(r"[\w.]+:\d+", broker.base_url)
    fails(f"{address} has no rpc_queue: start a server", "--timeout", 60)
    channel.queue_declare("rpc_queue", durable=True)
    fails("no answer within 2 s: no server is consuming", "--timeout", 2)
    start_server()
    printed = fails("send a whole number from 0 to 20000 as decimal digits", 1, 20001, 3)
    assert printed.endswith(" [.] Got 1\n [x] Requesting fib(20001)\n")


def test_client_ends_although_a_thread_hangs_in_a_dead_connection(way, rpc_queue, run_client):
    way.answers = CLIENT_HANDSHAKE
    done = run_client("--timeout", "0.2", url=way.url)
    assert "does not answer" in done.stderr
    assert done.returncode == 1


def test_ctrl_c_ends_the_client_with_status_130(rpc_queue, start):
    client = start("rpc_client.py", "--timeout", "60")
    client.expect_exact("Requesting fib(30)")
    assert client.ends(signal.SIGINT) == 130
    assert client.read().strip() == ""


def test_empty_amqp_url_names_the_default_broker(broker, start_server, monkeypatch):
    default = f"import rpc_client; rpc_client.DEFAULT_URL = {broker.url()!r}"
    start_server(f"os.environ['AMQP_URL'] = ''\n{default}")
    monkeypatch.setenv("AMQP_URL", "")
    monkeypatch.setattr("rpc_client.DEFAULT_URL", broker.url())
    with FibonacciRpcClient() as client:
        assert client.call(30) == 832040


@pytest.mark.parametrize("module", ["rpc_server", "rpc_client"])
def test_import_connects_nowhere_and_prints_nothing(module):
    command = [sys.executable, "-X", "dev", "-c", f"import {module}"]
    options = {"cwd": ROOT, "env": environment("not a url"), "timeout": 30}
    done = subprocess.run(command, capture_output=True, **options)
    assert (done.stdout, done.stderr, done.returncode) == (b"", b"", 0)


@pytest.mark.parametrize("url", MALFORMED)
def test_malformed_url_is_told_without_its_password(broker, url):
    words = "^url is malformed: write amqp://user:password@host:port/vhost, [^@]+@ as %40.; TLS"
    with pytest.raises(ValueError, match=words) as error:
        FibonacciRpcClient(url.format(*broker.address))
    assert "s3cret" not in str(error.value)


def test_malformed_url_ends_both_scripts(start, run_client):
    url = "amqp://guest:12/s3cret@localhost"
    server, client = start("rpc_server.py", url=url), run_client(url=url)
    assert (server.ends(), client.returncode) == (1, 1)
    for output in server.read(), client.stderr:
        assert re.fullmatch(r" \[!\] AMQP_URL is malformed: write .+TLS files must exist\n", output)
        assert "s3cret" not in output
