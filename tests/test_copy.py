"""What people take home: a copy of the scripts, changed where their comments say "Change:"."""

import ast

import pytest
from scripts import ROOT

SERVER_CHANGES = [
    'QUEUE = "upper_queue"',
    "def upper(text):\n    return text.upper()",
    'if len(body) > 1000:\n    return b"send a text of 1000 bytes at most", "error"',
    "return upper(body.decode()).encode(), None",
    "request = f\"upper({str(body[:40], errors='backslashreplace')})\"",
]
CLIENT_CHANGES = [
    'QUEUE = "upper_queue"',
    "request = n.encode()",
    "return self.response.decode()",
]
ASK = "import rpc_client\nprint(rpc_client.FibonacciRpcClient().call({!r}))"


def changed(source, changes):
    """Return the source with each statement replaced whose line, or the line above, says Change."""
    lines = source.splitlines()
    starts = {
        node.lineno: node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)
    }
    marked = [number for number, line in enumerate(lines, start=1) if "# Change: " in line]
    for number, change in reversed(list(zip(marked, changes, strict=True))):
        node = starts.get(number) or starts[number + 1]
        indent = " " * node.col_offset
        new = [indent + line for line in change.splitlines()]
        lines[node.lineno - 1 : node.end_lineno] = new
    return "\n".join(lines) + "\n"


@pytest.fixture
def copy(tmp_path, channel):
    """A folder with a copy of the scripts that turns a text into upper case."""
    for script, changes in ("rpc_server.py", SERVER_CHANGES), ("rpc_client.py", CLIENT_CHANGES):
        (tmp_path / script).write_text(changed((ROOT / script).read_text(), changes))
    yield tmp_path
    channel.queue_delete("upper_queue")


@pytest.fixture
def ask(copy, start, monkeypatch):
    """Return what the copy's client prints when it asks for a text."""
    monkeypatch.setattr("scripts.ROOT", copy)  # or the copy would import the scripts themselves

    def ask(text):
        return start("-c", ASK.format(text), cwd=copy).read()

    return ask


def test_copy_turns_a_text_into_upper_case(copy, start, ask):
    server = start(copy / "rpc_server.py", cwd=copy).awaits_requests()
    assert ask("Grüße, Żółw").splitlines() == ["GRÜSSE, ŻÓŁW"]
    server.expect_exact(" [.] upper(Grüße, Żółw)")


def test_copy_refuses_what_its_check_refuses(copy, start, ask):
    start(copy / "rpc_server.py", cwd=copy).awaits_requests()
    assert ask("x" * 1001).splitlines()[-1].endswith("RpcError: send a text of 1000 bytes at most")


def test_mistake_in_the_copy_is_an_error_reply(copy, start, ask):
    script = copy / "rpc_server.py"
    script.write_text(script.read_text().replace("return text.upper()", "a, b = text"))
    start(script, cwd=copy).awaits_requests()
    assert "RpcError: ValueError: too many values to unpack" in ask("Grüße")
