"""The README says what is so. Its shell commands run in .ci/run; this is the rest of it."""

import re
import shlex

import brokers
import pika
import pytest
from brokers import NO_BROKER, Broker, find_broker
from scripts import ROOT
from tutorials import QUORUM

from rpc_client import FibonacciRpcClient, NoServerError

README = (ROOT / "README.md").read_text()


def test_permissions_suffice_and_let_a_client_take_no_request(own_broker, start_server, rpc_queue):
    for command in re.findall(r"^rabbitmqctl (.+)", README, re.MULTILINE):
        own_broker.ctl(*shlex.split(command))
    roles = "rpc_server:SECRET", "rpc_client:SECRET"
    server_url, client_url = (own_broker.url().replace("guest:guest", role) for role in roles)
    refused = pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED")
    for method in ("basic_get", "queue_purge"):
        with Broker(client_url).channel() as channel, refused:
            getattr(channel, method)(rpc_queue)
    with FibonacciRpcClient(client_url) as client:
        with pytest.raises(TimeoutError, match="no server is consuming"):
            client.call(30, timeout=0.2)
        with own_broker.channel() as channel:
            channel.queue_delete(rpc_queue)
        with pytest.raises(NoServerError):
            client.call(30)
        start_server(url=server_url)
        assert client.call(30) == 832040


def test_tutorial_s_server_ends_with_406_where_this_pair_s_queue_is(server, channel):
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="406"):
        channel.queue_declare("rpc_queue", durable=True, arguments=QUORUM)


def test_tests_fail_without_any_broker_and_say_how_to_get_one(monkeypatch, request, tmp_path):
    monkeypatch.delenv("AMQP_URL", raising=False)
    monkeypatch.setenv("DOCKER_HOST", "unix:///dev/null")
    monkeypatch.setattr(brokers, "RABBITMQ", tmp_path / "not installed")
    with pytest.raises(BaseException, match=f"^{NO_BROKER}$") as ended:  # a skip would be one, too
        find_broker(request)
    assert isinstance(ended.value, pytest.exit.Exception)
    assert ended.value.returncode == 1
