"""amqps:// to a real TLS listener, with a certificate of a private CA."""

import re
import signal

import pytest
import trustme


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    """A private CA, and a folder with its certificate, and one for the broker with its key."""
    folder = tmp_path_factory.mktemp("tls")
    folder.chmod(0o755)
    ca = trustme.CA()
    issued = ca.issue_cert("localhost")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for file in folder.iterdir():
        file.chmod(0o644)
    return folder


@pytest.fixture
def amqps(own_broker, ca):
    return f"amqps://guest:guest@localhost:{own_broker.tls_port(ca)}/%2F"


def test_a_private_ca_named_in_the_url_is_trusted(amqps, ca, start_server, ask):
    cafile = f"'cafile': '{ca}/ca.pem'"
    for options in (cafile, f"{cafile}, 'server_hostname': 'localhost'"):
        url = f"{amqps}?ssl_options={{{options}}}"
        server = start_server(url=url)
        assert ask(url=url).stdout.endswith(" [.] Got 832040\n")
        assert server.ends(signal.SIGTERM) == 0


def test_an_unknown_ca_is_refused_in_one_line(amqps, start, ask):
    server = start("rpc_server.py", url=amqps)
    assert server.ends() == 1
    done = ask(url=amqps)
    assert done.returncode == 1
    for output in (server.read(), done.stderr):
        assert re.fullmatch(r" \[!\] localhost:\d+.*CERTIFICATE_VERIFY_FAILED.*\n", output)
