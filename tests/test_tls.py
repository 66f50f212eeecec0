"""amqps:// to a real TLS listener, with a certificate of a private CA, and with the next one."""

import pytest
import trustme
from pika.adapters.blocking_connection import BlockingChannel
from test_interruption import OURS, PIKA, fib_30, moments_after_which_it_calls_again
from test_recovery import CLOSED
from test_sharing import FORKS
from wire import receive

from rpc_client import FibonacciRpcClient


def issue(folder):
    """Write a new private CA's certificate, and the broker's with its key."""
    ca = trustme.CA()
    issued = ca.issue_cert("localhost")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)  # the broker has a user of its own


@pytest.fixture(scope="session")  # A worker may come back to this module, with the same listener.
def folder(tmp_path_factory):
    """The one folder that the broker's TLS listener reads its files from."""
    return tmp_path_factory.mktemp("tls")


@pytest.fixture
def tls(own_broker, folder, way):
    """The way to a TLS listener of the broker, with a URL that verifies its certificate."""
    issue(folder)
    way.address = "127.0.0.1", own_broker.listen_with_tls(folder)
    port = way.listener.getsockname()[1]
    way.url = f"amqps://guest:guest@localhost:{port}?ssl_options={{'cafile': '{folder}/ca.pem'}}"
    return way


def test_certificate_is_verified_and_read_anew(own_broker, tls, folder, start_server, run_client):
    assert "CERTIFICATE_VERIFY_FAILED" in run_client(url=tls.url.partition("?")[0]).stderr
    server, ca = start_server(url=tls.url), folder / "ca.pem"
    with FibonacciRpcClient(tls.url) as client:
        assert client.call(30) == 832040
        issue(folder)
        own_broker.listen_with_tls(folder)
        renewed = ca.read_bytes()
        ca.unlink()
        with own_broker.connections_closed():
            server.expect(r"localhost:\d+ failed: \[Errno 2\] No such file .+\n")
            with pytest.raises(TimeoutError, match="No such file"):
                client.call(30, timeout=1)
        ca.write_bytes(renewed)
        server.awaits_requests()
        assert client.call(30) == 832040


def test_plain_connection_to_the_port_for_tls_is_explained(tls, start, run_client):
    url = tls.url.partition("?")[0].replace("amqps", "amqp")
    start("rpc_server.py", url=url).expect_exact(f" {CLOSED}\n")
    assert run_client(url=url).stderr.endswith(f" {CLOSED}\n")


def test_forks_and_heartbeats_go_on(tls, busy_server, start_server, channel, start):
    slow_once = "slow = iter([6.3])\nfib = lambda n: time.sleep(next(slow, 0)) or real_fib(n)"
    server = busy_server(slow_once, f"{tls.url}&heartbeat=2")
    start_server()
    assert start(FORKS, url=tls.url).read() == "all answers are right\n"
    assert tls.connections == 1 + 5  # the server's, and one a process
    assert receive(channel, server.callback_queue)[2] == b"832040"
    assert " [!] " not in server.kill_and_read()


def test_connection_that_is_cut_or_interrupted_is_made_anew(tls, server, monkeypatch):
    def publish_and_cut(channel, **kwargs):
        monkeypatch.setattr(BlockingChannel, "basic_publish", publish)
        publish(channel, **kwargs)
        tls.cut()

    publish = BlockingChannel.basic_publish
    with FibonacciRpcClient(tls.url) as client:
        for _ in range(3):
            tls.cut()  # while the client is idle
            assert client.call(30, timeout=5) == 832040
            monkeypatch.setattr(BlockingChannel, "basic_publish", publish_and_cut)  # in mid-call
            assert client.call(30, timeout=5) == 832040
        for files, step in ((OURS,), 2), ((PIKA,), 31):
            assert moments_after_which_it_calls_again(client, fib_30, files, step) > 10
