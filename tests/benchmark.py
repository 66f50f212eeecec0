"""This pair beside the tutorial's and an older copy, for fib(1): the way is compared. All run in
turn, round by round, as a machine is not as fast now as it was a minute ago."""

import multiprocessing
import os
import statistics
import time
from typing import ClassVar

import pytest
from test_tutorials import OLDER_QUEUE, REPOSITORY_QUEUE, OlderClient, RepositoryClient, serve

import rpc_server
from rpc_client import FibonacciRpcClient, RpcClient

ROUNDS, SECONDS, CLIENTS = 5, 1.0, (1, 2, 4, 8)
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


def call_for_a_while(pair, url, together):
    """Return how long each call took, and the CPU seconds of the client in a second."""
    client, times = pair(url), []
    client.call(1)
    together.wait()
    cpu, end = time.process_time(), time.perf_counter() + SECONDS
    while (start := time.perf_counter()) < end:
        client.call(1)
        times.append(time.perf_counter() - start)
    client.connection.close()
    return times, (time.process_time() - cpu) / SECONDS


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
    times = {key: [time for times, _ in run for time in times] for key, run in runs.items()}
    print("\n\n| one client | median | 99 % | client's CPU |\n|---|---|---|---|")
    base = statistics.quantiles(times[RepositoryClient, 1], n=100)
    for pair in SERVERS:
        centiles = statistics.quantiles(times[pair, 1], n=100)
        median, p99 = (centiles[n] / base[n] for n in (49, 98))
        cpu = statistics.mean(cpu for _, cpu in runs[pair, 1])
        print(f"| {pair.name} | {median:.2f} | {p99:.2f} | {cpu:.0%} |")
    rates = {key: round(len(each) / ROUNDS / SECONDS) for key, each in times.items()}
    print(f"\n```mermaid\n%%{{init: {COLOURS}}}%%\nxychart-beta")
    print(f'    x-axis "clients" {list(CLIENTS)}')
    print(f'    y-axis "calls a second" 0 --> {max(rates.values())}')
    for pair in SERVERS:
        print(f'    line "{pair.name}" {[rates[pair, clients] for clients in CLIENTS]}')
    print("```")
