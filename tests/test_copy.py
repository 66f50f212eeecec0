"""What people take home: a copy of the scripts, changed as the README's example changes it."""

import re

import pytest
from scripts import ROOT

README = (ROOT / "README.md").read_text()


def changed(script):
    """Return the script, with what says Change replaced by the next lines of the example."""
    (example,) = re.findall(rf"```python\n# {script}\n(.+?)```", README, re.DOTALL)
    imports, *pieces = (line for line in example.splitlines() if line.strip() != "...")
    lines, new = (ROOT / script).read_text().splitlines(), []
    lines.insert(lines.index("import contextlib"), imports)
    while lines:
        line = lines.pop(0)
        if line.startswith("# Change: "):  # for what is below it, up to an empty line
            while lines[0]:
                lines.pop(0)
            while pieces and pieces[0]:
                new.append(pieces.pop(0))
        else:
            new.append(pieces.pop(0) if "# Change: " in line else line)
        if pieces and not pieces[0]:
            pieces.pop(0)
    assert not pieces
    new = "\n".join(new) + "\n"
    assert "fib" not in new.lower()
    assert "rpc_queue" not in new
    return new


@pytest.fixture
def copy(tmp_path, channel):
    """A folder with the README's example: a copy of the scripts that adds two numbers."""
    for script in ("rpc_server.py", "rpc_client.py"):
        (tmp_path / script).write_text(changed(script))
    yield tmp_path
    channel.queue_delete("add_queue")


@pytest.fixture
def ask(copy, start, monkeypatch):
    """Return what the copy's client prints when it asks for the sum of such numbers."""
    monkeypatch.setattr("scripts.ROOT", copy)  # or the copy would import the scripts themselves

    def ask(*numbers):
        code = f"from rpc_client import *\nprint(AddRpcClient().call(*{numbers!r}))"
        return start("-c", code, cwd=copy).read()

    return ask


def test_copy_adds_two_numbers(copy, start, ask):
    server = start(copy / "rpc_server.py", cwd=copy).awaits_requests()
    assert start(copy / "rpc_client.py", cwd=copy).read() == "2.5\n"
    server.expect_exact(" [.] add(0.5, 2.0)")
    assert ask(-3, 3) == "0.0\n"


def test_copy_refuses_what_it_cannot_read_and_what_is_too_long(copy, start, ask):
    server = start(copy / "rpc_server.py", cwd=copy).awaits_requests()
    for b, words in ([], "send [a, b] in JSON"), ("1" * 1000, "send 1000 bytes at most"):
        assert f"RpcError: {words}" in ask(1, b)
    server.expect_exact(" [!] refused b'[1, []]': send [a, b] in JSON\n")


def test_mistake_in_the_copy_is_an_error_reply(copy, start, ask):
    script = copy / "rpc_server.py"
    script.write_text(script.read_text().replace("return a + b", "return a / 0"))
    start(script, cwd=copy).awaits_requests()
    assert "RpcError: ZeroDivisionError: float division by zero" in ask(2, 10)
