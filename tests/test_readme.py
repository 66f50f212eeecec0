"""The README says what is so. Its shell commands run in .ci/run; this is the rest of it."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys

import conftest
import pytest
from conftest import IN_USE, NO_BROKER, ROOT

from rpc_client import FibonacciRpcClient, NoServerError

README = (ROOT / "README.md").read_text()


def test_the_example_for_your_program_runs(server, broker, monkeypatch):
    monkeypatch.setenv("AMQP_URL", broker.url())
    (example,) = re.findall(r"```python\n(.+?)```", README, re.DOTALL)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(example, {})
    assert printed.getvalue() == "832040\n"


def test_the_lines_to_change_are_in_the_scripts():
    rows = re.findall(r"\| `(rpc_\w+\.py)` \| `(.+)` \|", README)
    assert len(rows) == 6
    for script, line in rows:
        assert f" {line}\n" in (ROOT / script).read_text().replace("\ndef", "\n def")


def test_the_permissions_suffice(own_broker, start_server):
    commands = re.findall(r"^rabbitmqctl (.+)$", README, re.MULTILINE)
    users = dict(re.findall(r"add_user (\S+) (\S+)", "\n".join(commands)))
    for command in commands:
        own_broker.ctl(*shlex.split(command))
    server_url, client_url = (
        own_broker.url().replace("guest:guest", ":".join(user)) for user in users.items()
    )
    with FibonacciRpcClient(client_url) as client:
        with pytest.raises(NoServerError):
            client.call(30)
        start_server(url=server_url)
        assert client.call(30) == 832040


def test_a_server_that_may_not_declare_the_queue_uses_it(own_broker, rpc_queue, start_server, ask):
    own_broker.ctl("add_user", "user", "secret")
    own_broker.ctl("set_permissions", "user", "^$", r"^amq\.default$", "^rpc_queue$")
    start_server(url=own_broker.url().replace("guest:guest", "user:secret"))
    assert ask().returncode == 0


def test_the_tests_touch_no_rpc_queue_that_is_there(broker, rpc_queue, channel):
    command = [sys.executable, "-m", "pytest", "tests/test_answers.py"]
    env = {**os.environ, "AMQP_URL": broker.url()}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert IN_USE in done.stdout
    channel.queue_declare(rpc_queue, passive=True)


def test_without_any_broker_the_tests_fail_and_say_how_to_get_one(monkeypatch, request, tmp_path):
    monkeypatch.delenv("AMQP_URL", raising=False)
    monkeypatch.setenv("DOCKER_HOST", "unix:///dev/null")
    monkeypatch.setattr(conftest, "RABBITMQ", tmp_path / "not installed")
    with pytest.raises(BaseException, match=f"^{NO_BROKER}$") as ended:  # a skip would be one, too
        conftest.find_broker(request)
    assert isinstance(ended.value, pytest.exit.Exception)
    assert ended.value.returncode == 1


def test_it_is_read_in_five_minutes():
    assert README.count("\n") < 200
