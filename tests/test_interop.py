"""The pair against clients and servers that are neither pika nor ours."""

import subprocess

import pytest
from brokers import run
from scripts import ROOT, environment
from test_on_request import KNOWN, REFUSAL

pytestmark = pytest.mark.interop
INTEROP = ROOT / "tests/interop"
PEERS = {
    "amqplib": ("node", "peer.js", "apt-get install npm && npm install --prefix tests/interop"),
    "bunny": ("ruby", "peer.rb", "apt-get install ruby ruby-bunny"),
}


@pytest.fixture(scope="session", params=PEERS)
def peer(request):
    """The command that runs a peer."""
    language, program, install = PEERS[request.param]
    try:
        run(language, "-r", request.param, "-e", "0", cwd=INTEROP, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"no {request.param}: {install}")
    return language, INTEROP / program


@pytest.mark.parametrize("callback", ["callback", "direct"])
def test_client_in_another_language_gets_answers_and_a_refusal(server, broker, peer, callback):
    numbers = map(str, [*KNOWN, -1])
    printed = run(*peer, "client", callback, *numbers, env=environment(broker.url()), timeout=15)
    assert printed.splitlines() == [*map(str, KNOWN.values()), f"refused: {REFUSAL}"]


def test_server_in_another_language_answers_our_client(peer, start, client):
    language, program = peer
    start(program, "server", interpreter=language).awaits_requests()
    assert [client.call(n) for n in KNOWN] == list(KNOWN.values())
