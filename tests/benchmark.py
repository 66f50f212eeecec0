"""This pair, on a classic queue and on a quorum queue, beside the tutorial's and an older copy.

All are measured in turn, round by round: a machine is not as fast now as it was a minute ago. n is
1: the way is compared.
"""

import multiprocessing
import os
import statistics
import time
from typing import ClassVar

import pytest
from tutorials import OLDER_QUEUE, REPOSITORY_QUEUE, OlderClient, RepositoryClient, serve

import rpc_server
from rpc_client import FibonacciRpcClient, RpcClient

ROUNDS, CALLS = 30, 50  # of round trips
LOAD_ROUNDS, LOAD_SECONDS, CLIENTS = 3, 1.0, (1, 2, 4, 8)  # of calls a second
COLOURS = '{"themeVariables": {"xyChart": {"plotColorPalette": "red, orange, blue, gray"}}}'
spawn = multiprocessing.get_context("spawn")
pytestmark = pytest.mark.timeout(600)


class ThisClient(RpcClient):
    name = "this pair, classic queue (red)"
    queue: ClassVar = {**OLDER_QUEUE, "queue": "classic_queue"}

    def __init__(self, url):
        super().__init__(self.queue["queue"], url)

    call = FibonacciRpcClient.call


class QuorumClient(ThisClient):
    name = "this pair, quorum queue (orange)"
    queue: ClassVar = {**REPOSITORY_QUEUE, "queue": "quorum_queue"}


def serve_this(url, queue):
    os.environ["AMQP_URL"] = url
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # its log
    rpc_server.serve(queue["queue"], rpc_server.compute)


THIS_PAIR = dict.fromkeys([ThisClient, QuorumClient], serve_this)
SERVERS = {**THIS_PAIR, **dict.fromkeys([RepositoryClient, OlderClient], serve)}


@pytest.fixture
def servers(broker, channel):
    """A server and a queue for each pair."""
    processes = []
    for pair, target in SERVERS.items():
        channel.queue_declare(**pair.queue)
        args = broker.url(), pair.queue
        processes.append(spawn.Process(target=target, args=args, daemon=True))
        processes[-1].start()
    yield
    for process in processes:
        process.kill()
    for pair in SERVERS:
        channel.queue_delete(pair.queue["queue"])


def round_trips(url):
    """Return for each pair its round trips in seconds, and its client's CPU seconds per second."""
    clients = [pair(url) for pair in SERVERS]
    times, cpu = {pair: [] for pair in SERVERS}, dict.fromkeys(SERVERS, 0.0)
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


def call_for_a_while(pair, url, together):
    client = pair(url)
    client.call(1)
    together.wait()
    end, count = time.monotonic() + LOAD_SECONDS, 0
    while time.monotonic() < end:
        client.call(1)
        count += 1
    client.connection.close()
    return count


def calls_a_second(pair, url, clients):
    with spawn.Manager() as manager, spawn.Pool(clients) as pool:
        each = [(pair, url, manager.Barrier(clients))] * clients
        return sum(pool.starmap(call_for_a_while, each, chunksize=1)) / LOAD_SECONDS


def test_benchmark(broker, servers):
    measured = round_trips(broker.url())
    base = measured[RepositoryClient][0]
    print("\n\n| one client | median | 99 % | client's CPU |\n|---|---|---|---|")
    for pair, (times, cpu) in measured.items():
        median = statistics.median(times) / statistics.median(base)
        p99 = statistics.quantiles(times, n=100)[98] / statistics.quantiles(base, n=100)[98]
        print(f"| {pair.name} | {median:.2f} | {p99:.2f} | {cpu:.0%} |")
    lines = {pair: [] for pair in SERVERS}
    for clients in CLIENTS:
        rates = {pair: [] for pair in lines}
        for pair in list(SERVERS) * LOAD_ROUNDS:
            rates[pair].append(calls_a_second(pair, broker.url(), clients))
        for pair, line in lines.items():
            line.append(round(statistics.median(rates[pair])))
    print(f"\n```mermaid\n%%{{init: {COLOURS}}}%%\nxychart-beta")
    print(f'    x-axis "clients" [{", ".join(map(str, CLIENTS))}]')
    print(f'    y-axis "calls a second" 0 --> {max(map(max, lines.values()))}')
    for pair, line in lines.items():
        print(f'    line "{pair.name}" {line}')
    print("```")
