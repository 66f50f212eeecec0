"""What the server does with what it finds in rpc_queue, be it a request or not."""

import signal

import pytest
from wire import receive, round_trip, send_request, waiting

REFUSAL = b"send a whole number from 0 to 20000 as decimal digits"
NOT_ASCII = [b"\xff\x00\x1b", "\u0663".encode()]
NO_DIGITS = [b"", b"x", b"+5", b" 5", b"5\n", b"1_0", b"1.5", b"0x10", b"NaN", *NOT_ASCII]
OUT_OF_BOUNDS = [b"-1", b"20001", b"000000005", b"9" * 1_000_000]


def test_reply_is_the_decimal_digits_with_the_correlation_id_alone(server, channel):
    props, body = round_trip(channel, b"30")
    assert body == b"832040"
    named = {name: value for name, value in vars(props).items() if value is not None}
    assert set(named) == {"correlation_id"}


def test_bad_request_gets_an_error_reply_and_the_server_serves_on(server, channel):
    for body in NO_DIGITS + OUT_OF_BOUNDS:
        props, answer = round_trip(channel, body)
        assert (props.type, answer) == ("error", REFUSAL), body[:12]
        props, answer = round_trip(channel, b"30")
        assert (props.type, answer) == (None, b"832040")
    assert server.ends(signal.SIGTERM) == 0
    assert waiting(channel) == 0


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ("def fib(n): raise OverflowError('too many rabbits')", "OverflowError: too many rabbits"),
        ("def fib(n): raise ValueError('a, b = 1, 2, 3')", "ValueError: a, b = 1, 2, 3"),
        ("def fib(n): sys.exit('bye')", "SystemExit: bye"),
        ("def fib(n): raise ConnectionResetError('peer')", "ConnectionResetError: peer"),
        ("def fib(n): return None", "TypeError: "),
        ("def fib(n): return 'many'", "TypeError: "),
        ("def fib(): return 1", "TypeError: "),
        ("fib = None", "TypeError: "),
        ("rpc_server.MAX_N = None", "TypeError: "),
    ],
)
def test_mistake_in_the_function_is_an_error_reply(start_server, channel, patch, words):
    server = start_server(f"fib = rpc_server.fib\n{patch}\nrpc_server.fib = fib")
    for _ in range(2):
        props, answer = round_trip(channel, b"30")
        assert props.type == "error"
        assert answer.decode().startswith(words)
    assert server.ends(signal.SIGTERM) == 0


def test_mistake_is_found_by_the_traceback_and_a_bad_request_has_none(start_server, channel):
    mistake = "if n == 31: sys.stdout = None\n raise ValueError('Größe \\x1b[31m')"
    server = start_server(f"def fib(n):\n {mistake}\nrpc_server.fib = fib")
    round_trip(channel, b"x")
    server.expect_exact(REFUSAL.decode())
    assert "Traceback" not in server.before
    assert round_trip(channel, b"30")[1].decode() == "ValueError: Größe \x1b[31m"
    frames = r'File ".+rpc_server.py", line \d+, in answer\n.*\n +File ".+", line \d+, in fib\n'
    server.expect(frames)
    server.expect_exact("     ValueError: Größe \\x1b[31m\n")
    server.expect_exact(" [!] fib(30) failed: ValueError: Größe \\x1b[31m\n")
    round_trip(channel, b"31")
    server.expect_exact("Traceback")  # not on stdout


def test_mistake_outside_the_function_ends_the_server_with_a_traceback(start_server, channel):
    server = start_server("rpc_server.answer = None")
    send_request(channel, b"30")
    assert server.ends() == 1
    server.expect_exact("TypeError: 'NoneType' object is not callable")


def test_error_reply_is_utf_8_and_short(start_server, channel):
    words = r"'Größe \udcff \n' + 'viel ' * 99"
    start_server(f"def fib(n): raise OverflowError({words})\nrpc_server.fib = fib")
    _, answer = round_trip(channel, b"30")
    assert answer.decode().startswith("OverflowError: Größe \\udcff \n")
    assert len(answer) < 300


def test_request_without_reply_to_is_dropped_and_the_server_says_so(server, channel):
    send_request(channel, b"30", reply_to=None)
    server.expect_exact(" [!] fib(30) dropped: it has no reply_to")
    assert round_trip(channel, b"30")[1] == b"832040"
    assert server.ends(signal.SIGTERM) == 0
    assert waiting(channel) == 0


def test_correlation_id_is_returned_as_it_came_or_not_at_all(server, channel):
    queue, _ = send_request(channel, b"30", correlation_id=None)
    assert receive(channel, queue)[1].correlation_id is None
    queue, _ = send_request(channel, b"30", correlation_id=b"\xff\xfe")
    assert receive(channel, queue)[1].correlation_id == b"\xff\xfe"


def test_reply_to_that_names_no_queue_harms_nobody(server, channel):
    for reply_to in ("no such queue", b"\xff", "rpc_queue", "x" * 255):
        send_request(channel, b"30", reply_to=reply_to)
    assert round_trip(channel, b"30")[1] == b"832040"


@pytest.mark.parametrize(
    "body", [b"\x1b[2J\r\n [.] fib(1)", b"\xff\xfe", "\u202e".encode(), b"7" * 9999]
)
def test_server_prints_what_a_request_contains_escaped_and_cut(server, channel, body):
    round_trip(channel, body)
    server.expect_exact(" failed: ")
    printed = server.before
    assert printed.isascii()
    assert "\x1b" not in printed
    assert printed.count("\n") == 2
    assert len(printed) < 250
