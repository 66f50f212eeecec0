"""This pair beside the tutorial's, an older copy and pika's floor, in one run on the test broker.

    pytest -s tests/benchmark.py

All are measured in turn, round by round, since a machine is not as fast now as it was a minute ago:
what counts are the ratios. The floor is a pair that neither computes nor acknowledges nor checks.
It is the way that is compared, and not fib(): n is 1.
"""

import multiprocessing
import statistics
import subprocess
import sys
import time
from subprocess import DEVNULL

import pika
import pytest
from scripts import ROOT, environment
from tutorials import OlderClient, RepositoryClient, serve

from rpc_client import FibonacciRpcClient

ROUNDS, CALLS = 30, 50  # of round trips
LOAD_ROUNDS, LOAD_SECONDS, CLIENTS = 3, 1.0, (1, 2, 4, 8)  # of calls a second
COLOURS = '{"themeVariables": {"xyChart": {"plotColorPalette": "red, blue, gray"}}}'

FLOOR_QUEUE = {"queue": "floor_queue", "durable": True}
spawn = multiprocessing.get_context("spawn")

pytestmark = pytest.mark.timeout(600)


class FloorClient(RepositoryClient):
    """The least that pika can do: the tutorial's client, and a server that echoes."""

    name = "pika's floor"
    queue = FLOOR_QUEUE


class ThisClient(FibonacciRpcClient):
    name = "this pair"


PAIRS = ThisClient, RepositoryClient, OlderClient, FloorClient


def serve_floor(url, queue):
    def on_request(ch, method, props, body):
        answer = pika.BasicProperties(correlation_id=props.correlation_id)
        ch.basic_publish("", props.reply_to, body, answer)

    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.basic_consume(queue["queue"], on_request, auto_ack=True)
    channel.start_consuming()


@pytest.fixture
def servers(broker, channel):
    """A server and a queue for each pair."""
    channel.queue_declare("rpc_queue", durable=True)
    for pair in PAIRS[1:]:
        channel.queue_declare(**pair.queue)
    env = environment(broker.url())
    ours = subprocess.Popen([sys.executable, "rpc_server.py"], cwd=ROOT, env=env, stdout=DEVNULL)
    targets = {RepositoryClient: serve, OlderClient: serve, FloorClient: serve_floor}
    theirs = [
        spawn.Process(target=target, args=(broker.url(), pair.queue), daemon=True)
        for pair, target in targets.items()
    ]
    for process in theirs:
        process.start()
    yield
    for process in (ours, *theirs):
        process.kill()
    for pair in PAIRS[1:]:
        channel.queue_delete(pair.queue["queue"])


def round_trips(url):
    """Return for each pair its round trips in seconds, and its client's CPU seconds per second."""
    clients = [pair(url) for pair in PAIRS]
    times, cpu = {pair: [] for pair in PAIRS}, dict.fromkeys(PAIRS, 0.0)
    for client in clients * (ROUNDS + 1):
        cpu_before, before = time.process_time(), len(times[type(client)])
        for _ in range(CALLS):
            start = time.perf_counter()
            client.call(1)
            times[type(client)].append(time.perf_counter() - start)
        if before:  # the first round warms up
            cpu[type(client)] += time.process_time() - cpu_before
    for client in clients:
        client.connection.close()
    return {pair: (t[CALLS:], cpu[pair] / sum(t[CALLS:])) for pair, t in times.items()}


def call_for_a_while(pair, url, together, counts):
    client = pair(url)
    client.call(1)
    together.wait()
    end, count = time.monotonic() + LOAD_SECONDS, 0
    while time.monotonic() < end:
        client.call(1)
        count += 1
    counts.put(count)
    client.connection.close()


def calls_a_second(pair, url, clients):
    counts = spawn.Queue()
    args = (pair, url, spawn.Barrier(clients), counts)
    processes = [spawn.Process(target=call_for_a_while, args=args) for _ in range(clients)]
    for process in processes:
        process.start()
    total = sum(counts.get() for _ in processes)
    for process in processes:
        process.join()
    return total / LOAD_SECONDS


def print_table(url):
    measured = round_trips(url)
    base = measured[RepositoryClient][0]
    print("\n\n| one client | median | 99 % | client's CPU |\n|---|---|---|---|")
    for pair, (times, cpu) in measured.items():
        median = statistics.median(times) / statistics.median(base)
        p99 = statistics.quantiles(times, n=100)[98] / statistics.quantiles(base, n=100)[98]
        print(f"| {pair.name} | {median:.2f} | {p99:.2f} | {cpu:.0%} |")


def print_chart(url):
    lines = {pair: [] for pair in PAIRS[:3]}
    for clients in CLIENTS:
        rounds = [
            [calls_a_second(pair, url, clients) for pair in lines] for _ in range(LOAD_ROUNDS)
        ]
        for line, counts in zip(lines.values(), zip(*rounds, strict=True), strict=True):
            line.append(round(statistics.median(counts)))
    print(f"\n```mermaid\n%%{{init: {COLOURS}}}%%\nxychart-beta")
    print(f'    x-axis "clients" [{", ".join(map(str, CLIENTS))}]')
    print(f'    y-axis "calls a second" 0 --> {max(map(max, lines.values()))}')
    for pair, line in lines.items():
        print(f'    line "{pair.name}" {line}')
    print("```")


def test_benchmark(broker, servers):
    print_table(broker.url())
    print_chart(broker.url())
