"""amqps:// to a real TLS listener, with a certificate of a private CA, and with the next one."""

import pytest
import trustme

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


def test_certificates_are_verified_and_read_anew(own_broker, tmp_path, start_server, run_client):
    issue(tmp_path)
    amqps = f"amqps://guest:guest@localhost:{own_broker.tls_port(tmp_path)}/%2F"
    assert "CERTIFICATE_VERIFY_FAILED" in run_client(url=amqps).stderr

    ca = tmp_path / "ca.pem"
    url = f"{amqps}?ssl_options={{'cafile': '{ca}'}}"
    server = start_server(url=url)
    with FibonacciRpcClient(url) as client:
        assert client.call(30) == 832040
        issue(tmp_path)
        own_broker.renew_certificate(tmp_path)
        renewed = ca.read_bytes()
        ca.unlink()
        with own_broker.connections_closed():
            server.expect(r"localhost:\d+ failed: \[Errno 2\] No such file .+; next attempt in ")
            with pytest.raises(TimeoutError, match="No such file"):
                client.call(30, timeout=0.5)
        ca.write_bytes(renewed)
        server.awaits_requests()
        assert client.call(30) == 832040
