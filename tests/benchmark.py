"""This pair beside the plain tutorial's and beside pika's floor, in one run on the test broker.

    pytest -s tests/benchmark.py

The plain pair is written as people copy it: its client spins, its fib is exponential. The floor is
a pair that neither computes nor acknowledges nor checks anything. All are measured in turn, round
by round, since a machine is not as fast now as it was a minute ago; what counts are the ratios.
"""

import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import time
import uuid

import pika
import pytest
from conftest import ROOT

from rpc_client import FibonacciRpcClient

ROUNDS, CALLS = 30, 50  # of latency, and so many calls in a round
LOAD_ROUNDS, LOAD_SECONDS = 3, 1.0  # of calls a second
CLIENTS = 1, 2, 4, 8

spawn = multiprocessing.get_context("spawn")
pytestmark = pytest.mark.timeout(600)


class PlainClient:
    """The tutorial's: polls without a pause until the answer is there."""

    queue = "plain_queue"
    poll_seconds: float | None = 0

    def __init__(self, url):
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        self.callback_queue = self.channel.queue_declare("", exclusive=True).method.queue
        self.channel.basic_consume(self.callback_queue, self.on_response, auto_ack=True)

    def on_response(self, ch, method, props, body):
        if self.corr_id == props.correlation_id:
            self.response = body

    def call(self, n):
        self.response = None
        self.corr_id = str(uuid.uuid4())
        props = pika.BasicProperties(reply_to=self.callback_queue, correlation_id=self.corr_id)
        self.channel.basic_publish("", self.queue, str(n), props)
        while self.response is None:
            self.connection.process_data_events(self.poll_seconds)
        return int(self.response)

    def close(self):
        self.connection.close()


class PlainQuorumClient(PlainClient):
    """The tutorial's, on the quorum queue that it declares since RabbitMQ 4.3."""

    queue = "plain_quorum_queue"


class FloorClient(PlainClient):
    """The least that pika can do."""

    queue = "floor_queue"
    poll_seconds = None


def plain_fib(n):
    return n if n < 2 else plain_fib(n - 1) + plain_fib(n - 2)


def plain_server(url, queue, fib, auto_ack=False, arguments=None):
    def on_request(ch, method, props, body):
        answer = pika.BasicProperties(correlation_id=props.correlation_id)
        ch.basic_publish("", props.reply_to, str(fib(int(body))), answer)
        if not auto_ack:
            ch.basic_ack(method.delivery_tag)

    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.queue_declare(queue, durable=True, arguments=arguments)
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue, on_request, auto_ack)
    channel.start_consuming()


def call_for_a_while(client_class, url, n, ready, go, counts):
    client = client_class(url)
    client.call(n)
    ready.put(None)
    go.wait()
    end, count = time.monotonic() + LOAD_SECONDS, 0
    while time.monotonic() < end:
        client.call(n)
        count += 1
    counts.put(count)
    client.close()


def calls_a_second(client_class, url, n, clients):
    ready, go, counts = spawn.Queue(), spawn.Event(), spawn.Queue()
    args = (client_class, url, n, ready, go, counts)
    processes = [spawn.Process(target=call_for_a_while, args=args) for _ in range(clients)]
    for process in processes:
        process.start()
    for _ in processes:
        ready.get()
    go.set()
    total = sum(counts.get() for _ in processes)
    for process in processes:
        process.join()
    return total / LOAD_SECONDS


def latencies(clients, n, rounds, calls):
    """Return by client its round trips in ms, and its CPU seconds per second."""
    times, cpu = {client: [] for client in clients}, dict.fromkeys(clients, 0.0)
    for client in list(clients) * rounds:
        cpu_before = time.process_time()
        for _ in range(calls):
            start = time.perf_counter()
            client.call(n)
            times[client].append((time.perf_counter() - start) * 1000)
        cpu[client] += time.process_time() - cpu_before
    return {c: (t, cpu[c] / sum(t) * 1000) for c, t in times.items()}


PLAIN_SERVERS = {
    PlainClient: (plain_fib, False, {}),
    PlainQuorumClient: (plain_fib, False, {"x-queue-type": "quorum"}),
    FloorClient: (int, True, {}),
}


@pytest.fixture
def servers(broker):
    """A server and a queue for each kind of client; to be called for a second of two kinds."""
    processes = []

    def start_ours():
        processes.append(
            subprocess.Popen(
                [sys.executable, ROOT / "rpc_server.py"],
                env={**os.environ, "AMQP_URL": broker.url()},
                stdout=subprocess.DEVNULL,
            )
        )

    def start_plain(client_class):
        fib, auto_ack, arguments = PLAIN_SERVERS[client_class]
        args = (broker.url(), client_class.queue, fib, auto_ack, arguments)
        processes.append(spawn.Process(target=plain_server, args=args))
        processes[-1].start()

    with broker.channel() as channel:
        channel.queue_declare("rpc_queue", durable=True)
        for client_class, (_, _, arguments) in PLAIN_SERVERS.items():
            channel.queue_declare(client_class.queue, durable=True, arguments=arguments)
    start_ours()
    for client_class in PLAIN_SERVERS:
        start_plain(client_class)
    yield lambda: (start_ours(), start_plain(PlainClient))
    for process in processes:
        process.kill()
        process.wait() if isinstance(process, subprocess.Popen) else process.join()
    with broker.channel() as channel:
        for client_class in PLAIN_SERVERS:
            channel.queue_delete(client_class.queue)


def p99(times):
    return statistics.quantiles(times, n=100)[98]


def test_benchmark(broker, servers):
    url = broker.url()
    names = {
        FibonacciRpcClient: "this pair",
        PlainClient: "plain tutorial",
        PlainQuorumClient: "plain tutorial, quorum queue",
        FloorClient: "pika's floor",
    }
    cores, python, pika_version = os.cpu_count(), platform.python_version(), pika.__version__
    print(f"\n\n{cores} cores, Python {python}, pika {pika_version}, RabbitMQ {version(url)}\n")

    print("| one client, fib(1) | median ÷ plain | median, ms | 99 %, ms | client's CPU |")
    print("|---|---|---|---|---|")
    clients = {kind(url): name for kind, name in names.items()}
    latencies(clients, 1, 2, CALLS)
    results = latencies(clients, 1, ROUNDS, CALLS)
    plain = statistics.median(results[list(clients)[1]][0])
    for client, (times, cpu) in results.items():
        median = statistics.median(times)
        row = f"{median / plain:.2f} | {median:.2f} | {p99(times):.2f} | {cpu:.0%}"
        print(f"| {clients[client]} | {row} |")

    print("\n| time to the answer, ms | this pair ÷ plain | this pair | plain tutorial |")
    print("|---|---|---|---|")
    ours, plain, *_ = clients
    for n in 20, 30:
        results = latencies([ours, plain], n, 5, 3)
        mine, theirs = (statistics.median(results[client][0]) for client in (ours, plain))
        print(f"| fib({n}) | {mine / theirs:.3f} | {mine:.2f} | {theirs:.2f} |")
    times, _ = latencies([ours], 20_000, 5, 3)[ours]
    print(f"| fib(20000) | - | {statistics.median(times):.2f} | never |")
    for client in clients:
        client.close()

    print("\n| calls a second, fib(20) | this pair ÷ plain | this pair | plain tutorial |")
    print("|---|---|---|---|")
    for count in 1, 2:
        for number in CLIENTS:
            pairs = [
                [
                    calls_a_second(kind, url, 20, number)
                    for kind in (FibonacciRpcClient, PlainClient)
                ]
                for _ in range(LOAD_ROUNDS)
            ]
            mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
            row = f"clients: {number}, servers: {count}"
            print(f"| {row} | {mine / theirs:.1f} | {mine:.0f} | {theirs:.0f} |")
        servers()


def version(url):
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        return connection._impl.server_properties["version"]
