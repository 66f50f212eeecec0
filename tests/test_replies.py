"""What the server does with what it finds in rpc_queue, be it a request or not."""

import signal

import pytest
from wire import ask, receive, request

REFUSAL = b"send a whole number from 0 to 20000 as decimal digits"


def test_a_reply_is_the_decimal_digits_and_nothing_that_a_plain_peer_must_know(server, channel):
    props, body = ask(channel, b"30")
    assert body == b"832040"
    named = {name: value for name, value in vars(props).items() if value is not None}
    assert set(named) == {"correlation_id"}


def test_a_request_is_acknowledged_when_it_is_answered(server, channel):
    ask(channel, b"30")
    assert server.ends(signal.SIGTERM) == 0
    assert channel.basic_get("rpc_queue")[0] is None


NOT_ASCII = [b"\xff\x00\x1b", "\u0663".encode()]
NO_DIGITS = [b"", b"x", b"+5", b" 5", b"5\n", b"1_0", b"1.5", b"0x10", b"NaN", *NOT_ASCII]
OUT_OF_BOUNDS = [b"-1", b"20001", b"000000005", b"9" * 1_000_000]


def test_a_bad_request_gets_an_error_reply_and_the_server_serves_on(server, channel):
    for body in NO_DIGITS + OUT_OF_BOUNDS:
        props, answer = ask(channel, body)
        assert (props.type, answer) == ("error", REFUSAL), body[:12]
        props, answer = ask(channel, b"30")
        assert (props.type, answer) == (None, b"832040")
    assert server.ends(signal.SIGTERM) == 0
    assert channel.basic_get("rpc_queue")[0] is None


def test_an_exception_while_computing_goes_back_as_an_error_reply(start_server, channel):
    words = r"'too \udcff many \n rabbits' * 99"
    start_server(f"def fib(n): raise OverflowError({words})\nrpc_server.fib = fib")
    props, answer = ask(channel, b"30")
    assert props.type == "error"
    assert answer.startswith(b"OverflowError: too \\udcff many")
    assert len(answer) < 1000


def test_an_exception_while_checking_does_too(start_server, channel):
    start_server("rpc_server.MAX_N = None")
    props, answer = ask(channel, b"30")
    assert props.type == "error"
    assert answer.startswith(b"TypeError: ")


def test_a_request_without_reply_to_is_dropped_and_said_so(server, channel):
    request(channel, b"30", reply_to=None)
    server.expect_exact(" [!] fib(30) dropped: it has no reply_to")
    assert ask(channel, b"30")[1] == b"832040"
    assert server.ends(signal.SIGTERM) == 0
    assert channel.basic_get("rpc_queue")[0] is None


def test_a_correlation_id_is_returned_as_it_came_or_not_at_all(server, channel):
    queue, _ = request(channel, b"30", correlation_id=None)
    assert receive(channel, queue)[1].correlation_id is None
    queue, _ = request(channel, b"30", correlation_id=b"\xff\xfe")
    assert receive(channel, queue)[1].correlation_id == b"\xff\xfe"


def test_a_reply_to_that_names_nothing_or_no_text_harms_nobody(server, channel):
    for reply_to in ("no such queue", b"\xff", "rpc_queue", "x" * 255):
        request(channel, b"30", reply_to=reply_to)
    assert ask(channel, b"30")[1] == b"832040"


@pytest.mark.parametrize(
    "body", [b"\x1b[2J\r\n [.] fib(1)", b"\xff\xfe", "\u202e".encode(), b"7" * 9999]
)
def test_what_a_request_contains_is_shown_escaped_and_cut(server, channel, body):
    ask(channel, body)
    server.expect_exact(" failed: ")
    printed = server.before
    assert printed.isascii()
    assert "\x1b" not in printed
    assert printed.count("\n") == 2
    assert len(printed) < 250
