"""amqps:// to a real TLS listener, with a certificate of a private CA."""

import re
import signal

import pytest
import trustme


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    """A folder with the certificate of a private CA, and the broker's certificate and key."""
    folder = tmp_path_factory.mktemp("tls")
    folder.chmod(0o755)
    ca = trustme.CA()
    issued = ca.issue_cert("localhost")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for file in folder.iterdir():
        file.chmod(0o644)
    return folder


@pytest.fixture
def amqps(own_broker, ca):
    return f"amqps://guest:guest@localhost:{own_broker.tls_port(ca)}/%2F"


def test_private_ca_named_in_the_url_is_trusted_and_an_unknown_one_refused(
    amqps, ca, start_server, run_client, refusals
):
    url = f"{amqps}?ssl_options={{'cafile': '{ca}/ca.pem'}}"
    server = start_server(url=url)
    assert run_client(url=url).stdout.endswith(" [.] Got 832040\n")
    assert server.ends(signal.SIGTERM) == 0

    for url in (amqps, f"{amqps}?ssl_options={{'cafile': '{ca}/other.pem'}}"):
        for output in refusals(url):
            assert re.fullmatch(r" \[!\] localhost:\d+.*CERTIFICATE_VERIFY_FAILED.*\n", output)
