"""What the server does with rpc_queue and what it finds there, be it a request or not."""

import re
import signal

import pika
import pytest
from brokers import wait_until
from wire import receive, round_trip, send_request, waiting

import rpc_server
from rpc_server import fib
from tests.functions.tutorial import QUORUM

KNOWN = {0: 0, 1: 1, 2: 1, 3: 2, 30: 832040, 100: 354224848179261915075}  # more than 64 bits
REFUSAL = "send a whole number from 0 to 20000 as decimal digits"
NOT_ASCII = [b"\xff\x00\x1b", "\u0663".encode(), "\u202e".encode(), b"\x1b[2J\r\n [.] fib(1)"]
NO_DIGITS = [b"", b"x", b"+5", b" 5", b"5\n", b"1_0", b"1.5", b"0x10", b"NaN", *NOT_ASCII]
OUT_OF_BOUNDS = [b"-1", b"20001", b"000000005", b"9" * 1_000_000]
MISTAKES = [
    ("def fib(n): raise ValueError('a, b = 1, 2, 3')", "ValueError: a, b = 1, 2, 3"),
    ("def fib(n): raise OSError('ß \\udcff \\n' + 'viel ' * 99)", "OSError: ß \\udcff \n"),
    ("def fib(n): raise ConnectionResetError('peer')", "ConnectionResetError: peer"),
    ("def fib(n): sys.exit('bye')", "SystemExit: bye"),
    ("class Odd(Exception): __str__ = None\ndef fib(n): raise Odd", "Odd: <exception str"),
    ("def fib(n): return 'many'", "TypeError: "),
    ("def fib(n): return None", "TypeError: "),
    ("def fib(): return 1", "TypeError: "),
    ("rpc_server.compute = str", "TypeError: the function returned str, not bytes"),
    ("rpc_server.MAX_N = None", "TypeError: "),
    ("rpc_server.compute = lambda body: {}", "TypeError: "),
    ("rpc_server.log.addFilter(lambda line: 'fib' not in line.msg or 1 / 0)", "ZeroDivision"),
]
KINDS = {
    "quorum": {"durable": True, "arguments": QUORUM},
    "transient": {"durable": False},
    "classic": {"durable": True, "arguments": {"x-queue-type": "classic", "x-max-priority": 5}},
    "stream": {"durable": True, "arguments": {"x-queue-type": "stream"}},
}


def test_fib_has_the_known_values_and_doubles_exactly_up_to_20000(server, client):
    assert {n: fib(n) for n in KNOWN} == {n: client.call(n) for n in KNOWN} == KNOWN
    assert client.call(rpc_server.MAX_N) == fib(rpc_server.MAX_N)
    for n in [*range(1000), *range(1000, rpc_server.MAX_N // 2 + 1, 250)]:
        assert fib(2 * n) == fib(n) * (2 * fib(n + 1) - fib(n)), n
        assert fib(2 * n + 1) == fib(n) ** 2 + fib(n + 1) ** 2, n
    assert len(str(fib(rpc_server.MAX_N))) == 4180


@pytest.mark.parametrize("corr_id", ["an id", b"\xff\xfe", None])
def test_reply_is_the_decimal_digits_with_the_correlation_id_alone(server, channel, corr_id):
    props, body = round_trip(channel, b"30", correlation_id=corr_id)
    assert body == b"832040"
    props.correlation_id = None  # round_trip() has compared it
    assert all(value is None for value in vars(props).values())


def test_bad_request_gets_an_error_reply_and_is_logged_escaped_and_cut(server, channel):
    for body in NO_DIGITS + OUT_OF_BOUNDS:
        props, answer = round_trip(channel, body, correlation_id="\x1b'an id'")
        assert (props.type, answer.decode()) == ("refused", REFUSAL), body[:12]
        assert round_trip(channel, b"30")[1] == b"832040"
        server.expect_exact(" [.] fib(30)\n")
        name = f"{props.correlation_id!r} ({body[:40]!r})"
        assert server.before.lstrip("\n") == f" [!] refused {name}: {REFUSAL}\n"
    assert server.ends(signal.SIGTERM) == 0
    assert waiting(channel) == 0


@pytest.mark.parametrize(("patch", "words"), MISTAKES)
def test_mistake_in_the_function_is_a_short_error_reply(start_server, channel, patch, words):
    start_server(patch)
    for _ in range(2):  # the second one comes once the first is acknowledged: prefetch_count=1
        props, answer = round_trip(channel, b"30")
        assert props.type == "error"
        assert answer.decode().startswith(words)
        assert len(answer) < 300


def test_mistake_is_logged_once_with_its_traceback_and_a_bad_request_without(start_server, channel):
    server = start_server("def fib(n): raise ValueError('Größe')")
    round_trip(channel, b"x", correlation_id="first")
    round_trip(channel, b"30", correlation_id="second")
    assert server.ends(signal.SIGTERM) == 0
    refused, fib, failed, *traceback, error, ending = server.read().splitlines()[1:]
    assert refused == f" [!] refused 'first' (b'x'): {REFUSAL}"
    assert (fib, failed) == (" [.] fib(30)", " [!] failed on 'second' (b'30')")
    assert traceback[0] == "Traceback (most recent call last):"
    assert re.search(r'File ".+rpc_server.py", line \d+, in answer', traceback[1])
    assert error == "ValueError: Größe"
    assert ending.startswith(" [!] ending")


def test_mistake_in_the_script_is_told_with_its_traceback_and_its_server_goes_on(start, broker):
    patch = "rpc_server.declare = lambda *_: setattr(rpc_server, 'declare', declare) or 1 / 0"
    code = f"import rpc_server\ndeclare = rpc_server.declare\n{patch}\n"
    server = start("-c", f"{code}rpc_server.serve('rpc_queue', rpc_server.compute)")
    server.expect_exact(" failed: division by zero\nTraceback (most recent call last):\n")
    server.expect_exact("\nZeroDivisionError: division by zero\n")
    server.awaits_requests()


def test_reply_to_that_is_missing_or_names_no_queue_harms_nobody(server, channel):
    for reply_to in (None, "no such queue", b"\xff", "rpc_queue", "x" * 255):
        send_request(channel, b"30", reply_to=reply_to)
        server.expect_exact(" [.] fib(30)")
    for _ in range(2):  # the second one comes after the reply that went to rpc_queue
        assert round_trip(channel, b"31")[1] == b"1346269"
    assert server.ends(signal.SIGTERM) == 0
    assert " failed: " not in server.read()
    assert waiting(channel) == 0


def test_request_that_kills_its_server_kills_two_and_no_third(start_server, channel):
    suicide = "fib = lambda n: n if n != 13 else os.kill(os.getpid(), signal.SIGKILL)"
    servers = [start_server(suicide) for _ in range(4)]
    send_request(channel, b"13")
    while sum(server.proc.poll() is not None for server in servers) < 2:
        assert round_trip(channel, b"14")[1] == b"14"
    for _ in range(20):  # if it came back once more, a third would have met it by now
        assert round_trip(channel, b"14")[1] == b"14"
    assert sorted(server.proc.poll() is None for server in servers) == [False, False, True, True]
    assert waiting(channel) == 0


def test_request_that_costs_a_connection_comes_back_once(own_broker, way, start_server, channel):
    server = start_server("fib = lambda n: input() or real_fib(n)", way.url)
    send_request(channel, b"13")
    for left in ("1", "0"):  # the second time, it is acknowledged first
        server.expect_exact(" [.] fib(13)")
        # RabbitMQ counts a quorum queue's messages every five seconds.
        wait_until(15, lambda left=left: own_broker.queues()["rpc_queue"] == left)
        way.cut()
        server.sendline()
        server.awaits_requests()
    queue, _ = send_request(channel, b"30")
    server.sendline()
    assert receive(channel, queue)[2] == b"832040"


def test_server_declares_a_durable_queue_with_a_name_and_no_type(broker, start_server, channel):
    server = start_server(url=broker.url(channel_max=1))  # on one channel
    channel.queue_declare("rpc_queue", durable=True)  # a 406 if it had other settings
    assert server.ends(signal.SIGTERM) == 0
    assert "Traceback" not in server.read()


@pytest.mark.parametrize("kind", KINDS)
def test_server_serves_an_existing_queue(channel, start_server, kind):
    try:
        channel.queue_declare("rpc_queue", **KINDS[kind])
    except pika.exceptions.ConnectionClosedByBroker:  # releases of 4.3 differ
        assert kind == "transient"
        pytest.skip("this broker denies transient shared queues")
    start_server()
    assert round_trip(channel, b"30")[1] == b"832040"
