"""What people take home: a copy of the scripts, changed where their comments say "Change:"."""

import pytest
from scripts import ROOT

SERVER_CHANGES = [
    'QUEUE = "upper_queue"',
    "MAX_BYTES = 1000",
    "def upper(text):\n    return text.upper()",
    """
if len(body) > MAX_BYTES:
    return b"send 1000 bytes", "error"
text = body.decode()
log.info(" [.] upper(%r)", text)""",
    "return upper(text).encode(), None",
]
CLIENT_CHANGES = [
    'QUEUE = "upper_queue"',
    "class UpperRpcClient:",
    "def call(self, text: str, timeout: float = TIMEOUT_SECONDS) -> str:",
    "response = self.ask(text.encode(), timeout)",
    "return response.decode()",
    "except UnicodeDecodeError:",
    'raise RpcError("the answer is not UTF-8") from None',
    'def __enter__(self) -> "UpperRpcClient":',
    "def main():\n    print(UpperRpcClient().call(sys.argv[1]))",
]


def changed(source, changes):
    """Return the source with what says Change replaced: the line, or the paragraph below it."""
    lines, changes, new = source.splitlines(), iter(changes), []
    while lines:
        line = lines.pop(0)
        indent = line[: len(line) - len(line.lstrip())]
        if "# Change: " in line:
            if line.lstrip().startswith("#"):
                while lines[0].strip() and "# Change: " not in lines[0]:
                    lines.pop(0)
            new += [indent + line for line in next(changes).splitlines()]
        else:
            new.append(line)
    assert not list(changes)
    new = "\n".join(new) + "\n"
    assert "fib" not in new.lower()
    assert "rpc_queue" not in new
    return new


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
    return lambda text: start(copy / "rpc_client.py", text, cwd=copy).read()


def test_copy_turns_a_text_into_upper_case(copy, start, ask):
    server = start(copy / "rpc_server.py", cwd=copy).awaits_requests()
    assert ask("Grüße, Żółw").splitlines() == ["GRÜSSE, ŻÓŁW"]
    server.expect_exact(" [.] upper('Grüße, Żółw')")


def test_copy_refuses_what_its_check_refuses(copy, start, ask):
    start(copy / "rpc_server.py", cwd=copy).awaits_requests()
    assert ask("x" * 1001).splitlines()[-1].endswith("RpcError: send 1000 bytes")


def test_mistake_in_the_copy_is_an_error_reply(copy, start, ask):
    script = copy / "rpc_server.py"
    script.write_text(script.read_text().replace("return text.upper()", "a, b = text"))
    start(script, cwd=copy).awaits_requests()
    assert "RpcError: ValueError: too many values to unpack" in ask("Grüße")
