"""This pair beside the tutorial's two and beside pika's floor, in one run on the test broker.

    pytest -s tests/benchmark.py

All are measured in turn, round by round, since a machine is not as fast now as it was a minute ago:
what counts are the ratios. The floor is a pair that neither computes nor acknowledges nor checks.
"""

import os
import platform
import statistics
import subprocess
import sys
import time

import pika
import pytest
from scripts import ROOT, environment
from tutorials import PageClient, RepositoryClient, spawn, start_server

from rpc_client import FibonacciRpcClient

ROUNDS, CALLS = 30, 50  # of round trips
LOAD_ROUNDS, LOAD_SECONDS, CLIENTS = 3, 1.0, (1, 2, 4, 8)  # of calls a second
COLOURS = '{"themeVariables": {"xyChart": {"plotColorPalette": "red, gray, blue"}}}'

FLOOR_QUEUE = {"queue": "floor_queue", "durable": True}

pytestmark = pytest.mark.timeout(600)


class FloorClient(PageClient):
    """The least that pika can do: one blocking wait, and a server that echoes."""

    name = "pika's floor"
    queue = FLOOR_QUEUE
    fib = int

    def wait(self):
        while self.response is None:
            self.connection.process_data_events(time_limit=None)


class ThisClient(FibonacciRpcClient):
    name = "this pair"


PAIRS = ThisClient, PageClient, RepositoryClient, FloorClient


def floor_server(url, queue):
    def on_request(ch, method, props, body):
        answer = pika.BasicProperties(correlation_id=props.correlation_id)
        ch.basic_publish("", props.reply_to, body, answer)

    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.basic_consume(queue, on_request, auto_ack=True)
    channel.start_consuming()


@pytest.fixture
def servers(broker, channel):
    """A server and a queue for each pair."""
    channel.queue_declare("rpc_queue", durable=True)
    for pair in PAIRS[1:]:
        channel.queue_declare(**pair.queue)
    floor = spawn.Process(target=floor_server, args=(broker.url(), "floor_queue"))
    floor.start()
    ours = subprocess.Popen(
        [sys.executable, "rpc_server.py"],
        cwd=ROOT,
        env=environment(broker.url()),
        stdout=subprocess.DEVNULL,
    )
    theirs = [start_server(broker.url(), pair.queue, pair.fib) for pair in PAIRS[1:3]]
    yield
    for process in (ours, floor, *theirs):
        process.kill()
    for pair in PAIRS[1:]:
        channel.queue_delete(pair.queue["queue"])


def round_trips(url, n, rounds=ROUNDS, calls=CALLS):
    """Return for each pair its round trips in ms, and its client's CPU seconds per second."""
    clients = [pair(url) for pair in PAIRS]
    times, cpu = {pair: [] for pair in PAIRS}, dict.fromkeys(PAIRS, 0.0)
    for client in clients * (rounds + 1):
        cpu_before, before = time.process_time(), len(times[type(client)])
        for _ in range(calls):
            start = time.perf_counter()
            client.call(n)
            times[type(client)].append((time.perf_counter() - start) * 1000)
        if before:  # the first round warms up
            cpu[type(client)] += time.process_time() - cpu_before
    for client in clients:
        client.close()
    return {p: (t[calls:], cpu[p] / sum(t[calls:]) * 1000) for p, t in times.items()}


def call_for_a_while(pair, url, n, ready, go, counts):
    client = pair(url)
    client.call(n)
    ready.put(None)
    go.wait()
    end, count = time.monotonic() + LOAD_SECONDS, 0
    while time.monotonic() < end:
        client.call(n)
        count += 1
    counts.put(count)
    client.close()


def calls_a_second(pair, url, n, clients):
    ready, go, counts = spawn.Queue(), spawn.Event(), spawn.Queue()
    args = (pair, url, n, ready, go, counts)
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


def print_table(url):
    short, long = round_trips(url, 1), round_trips(url, 30, rounds=3, calls=3)
    page, page_long = (statistics.median(times[PageClient][0]) for times in (short, long))
    print("| one client | fib(1), median | fib(1), 99 % | fib(30), median | client's CPU |")
    print("|---|---|---|---|---|")
    for pair, (times, cpu) in short.items():
        p99 = statistics.quantiles(times, n=100)[98]
        median, median_long = statistics.median(times), statistics.median(long[pair][0])
        ratios = f"{median / page:.2f} | {p99 / page:.2f} | {median_long / page_long:.3f}"
        print(f"| {pair.name} | {ratios} | {cpu:.0%} |")


def print_chart(url):
    lines = {pair: [] for pair in PAIRS[:3]}
    for clients in CLIENTS:
        rounds = [
            [calls_a_second(pair, url, 20, clients) for pair in lines] for _ in range(LOAD_ROUNDS)
        ]
        for line, counts in zip(lines.values(), zip(*rounds, strict=True), strict=True):
            line.append(round(statistics.median(counts)))
    print(f"\n```mermaid\n%%{{init: {COLOURS}}}%%\nxychart-beta")
    print(f'    x-axis "clients" [{", ".join(map(str, CLIENTS))}]')
    print(f'    y-axis "calls of fib(20) a second" 0 --> {max(map(max, lines.values()))}')
    for pair, line in lines.items():
        print(f'    line "{pair.name}" {line}')
    print("```")


def test_benchmark(broker, servers):
    with pika.BlockingConnection(pika.URLParameters(broker.url())) as connection:
        rabbitmq = connection._impl.server_properties["version"]
    versions = f"Python {platform.python_version()}, pika {pika.__version__}, RabbitMQ {rabbitmq}"
    print(f"\n\n{os.cpu_count()} cores, {versions}\n")
    print_table(broker.url())
    print_chart(broker.url())
