"""amqps:// to a real TLS listener, with a certificate of a private CA, and with the next one."""

from functools import partial

import pytest
import trustme
from relay import NEVER_DEAD
from test_interruption import OURS, PIKA, fib_30, moments_after_which_it_calls_again

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


@pytest.fixture
def tls_port(own_broker, tmp_path):
    """The port of a TLS listener, whose certificate ca.pem in tmp_path verifies."""
    issue(tmp_path)
    return own_broker.tls_port(tmp_path)


def amqps(port, ca):
    return f"amqps://guest:guest@localhost:{port}/%2F?ssl_options={{'cafile': '{ca}'}}"


def test_certificates_are_verified_and_read_anew(
    own_broker, tls_port, tmp_path, start_server, run_client
):
    url = amqps(tls_port, tmp_path / "ca.pem")
    assert "CERTIFICATE_VERIFY_FAILED" in run_client(url=url.partition("?")[0]).stderr
    server = start_server(url=url)
    with FibonacciRpcClient(url) as client:
        assert client.call(30) == 832040
        issue(tmp_path)
        own_broker.renew_certificate(tmp_path)
        renewed = (tmp_path / "ca.pem").read_bytes()
        (tmp_path / "ca.pem").unlink()
        with own_broker.connections_closed():
            server.expect(r"localhost:\d+ failed: \[Errno 2\] No such file .+; next attempt in ")
            with pytest.raises(TimeoutError, match="No such file"):
                client.call(30, timeout=0.5)
        (tmp_path / "ca.pem").write_bytes(renewed)
        server.awaits_requests()
        assert client.call(30) == 832040


def cut_after(publish, way, **kwargs):
    publish(**kwargs)
    way.cut()


def test_connection_that_is_cut_is_made_anew(relay, tls_port, tmp_path, server):
    way = relay(NEVER_DEAD)
    way.address = "127.0.0.1", tls_port
    with FibonacciRpcClient(amqps(way.port, tmp_path / "ca.pem")) as client:
        for _ in range(3):
            way.cut()  # while the client is idle
            assert client.call(30, timeout=5) == 832040
            publish = client.channel.basic_publish
            client.channel.basic_publish = partial(cut_after, publish, way)  # in mid-call
            assert client.call(30, timeout=5) == 832040
        for files, step in ((OURS,), 2), ((PIKA,), 31):
            assert moments_after_which_it_calls_again(client, fib_30, files, step) > 10
