"""The pair against clients and servers that are neither pika nor ours."""

import subprocess

import pytest
from brokers import run
from pexpect.popen_spawn import PopenSpawn
from scripts import ROOT, environment

pytestmark = pytest.mark.interop

INTEROP = ROOT / "tests/interop"
PEERS = {
    "amqplib": ("node", "peer.js", "apt-get install npm && npm install --prefix tests/interop"),
    "bunny": ("ruby", "peer.rb", "apt-get install ruby ruby-bunny"),
}
FIB = {0: 0, 1: 1, 30: 832040, 100: 354224848179261915075}  # the last one exceeds 64 bits
REFUSAL = "send a whole number from 0 to 20000 as decimal digits"


@pytest.fixture(scope="session", params=PEERS)
def peer(request):
    """The command that runs a peer."""
    language, program, install = PEERS[request.param]
    try:
        run(language, "-r", request.param, "-e", "0", cwd=INTEROP, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"no {request.param}: {install}")
    return language, INTEROP / program


@pytest.fixture
def peer_server(peer, broker):
    """Start a peer's server and wait until it serves; it is killed when the test is over."""
    env = environment(broker.url())
    server = PopenSpawn([*peer, "server"], timeout=15, env=env, encoding="utf-8")
    try:
        server.expect_exact(" [x] Awaiting RPC requests")
        yield server
    finally:
        server.proc.kill()
        server.proc.wait()


@pytest.mark.parametrize("callback", ["callback", "direct"])
def test_client_in_another_language_gets_exact_answers_and_sees_the_refusal_of_a_bad_request(
    server, broker, peer, callback
):
    numbers = map(str, [*FIB, -1])
    printed = run(*peer, "client", callback, *numbers, env=environment(broker.url()), timeout=15)
    assert printed.splitlines() == [*map(str, FIB.values()), f"error: {REFUSAL}"]


def test_server_in_another_language_answers_our_client(peer_server, client):
    assert [client.call(n) for n in FIB] == list(FIB.values())
