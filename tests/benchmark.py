"""This pair beside the tutorial's, for fib(1): the way is compared. All run in turn, round by
round, as a machine is not as fast now as it was a minute ago."""

import itertools
import multiprocessing
import os
import statistics
import time
from typing import ClassVar

import pytest
from test_tutorials import REPOSITORY_QUEUE, RepositoryClient, serve

import rpc_server
from rpc_client import FibonacciRpcClient, RpcClient

ROUNDS, SECONDS, CLIENTS = 5, 1.0, (1, 2, 4, 8)
COLOURS = '{"themeVariables": {"xyChart": {"plotColorPalette": "red, orange, blue"}}}'
spawn = multiprocessing.get_context("spawn")
pytestmark = pytest.mark.timeout(600)


class ThisClient(RpcClient):
    name = "this pair, classic queue (red)"
    queue: ClassVar = {"queue": "classic_queue", "durable": True}

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


SERVERS = {ThisClient: serve_this, QuorumClient: serve_this, RepositoryClient: serve}


def call_for_a_while(pair, url, together):
    """Return how long each call took."""
    client, times = pair(url), []
    client.call(1)
    together.wait()
    end = time.perf_counter() + SECONDS
    while (start := time.perf_counter()) < end:
        client.call(1)
        times.append(time.perf_counter() - start)
    return times


def test_benchmark(broker, channel):
    for pair, run in SERVERS.items():
        channel.queue_declare(**pair.queue)
        spawn.Process(target=run, args=(broker.url(), pair.queue), daemon=True).start()
    runs = {(pair, clients): [] for clients in CLIENTS for pair in SERVERS}
    for pair, clients in list(runs) * ROUNDS:
        with spawn.Manager() as manager, spawn.Pool(clients) as pool:
            each = [(pair, broker.url(), manager.Barrier(clients))] * clients
            runs[pair, clients] += pool.starmap(call_for_a_while, each, chunksize=1)
    for process in spawn.active_children():
        process.kill()
    for pair in SERVERS:
        channel.queue_delete(pair.queue["queue"])
    times = {key: list(itertools.chain(*run)) for key, run in runs.items()}
    print("\n\n| one client | median | 99th percentile |\n|---|---|---|")
    base = statistics.quantiles(times[RepositoryClient, 1], n=100)
    for pair in SERVERS:
        centiles = statistics.quantiles(times[pair, 1], n=100)
        median, p99 = (centiles[n] / base[n] for n in (49, 98))
        print(f"| {pair.name} | {median:.2f} | {p99:.2f} |")
    rates = {key: round(len(each) / ROUNDS / SECONDS) for key, each in times.items()}
    print(f"\n```mermaid\n%%{{init: {COLOURS}}}%%\nxychart-beta")
    print(f'    x-axis "clients" {list(CLIENTS)}')
    print(f'    y-axis "calls a second" 0 --> {max(rates.values())}')
    for pair in SERVERS:
        print(f'    line "{pair.name}" {[rates[pair, clients] for clients in CLIENTS]}')
    print("```")
