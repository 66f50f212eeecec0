"""This pair beside the tutorial's, for fib(1), in turns, as a machine's speed changes."""

import statistics
import time

import pytest

from rpc_client import RpcClient
from tests.functions.tutorial import QUORUM, REPOSITORY_QUEUE, RepositoryClient

ROUNDS, SECONDS = 5, 1.0
QUIET = "import logging, rpc_server\nlogging.disable()\n"
SERVE = QUIET + "rpc_server.serve({queue!r}, rpc_server.compute)"
SERVE_TUTORIAL = "from tests.functions.tutorial import *\nserve({url!r}, REPOSITORY_QUEUE)"


@pytest.mark.timeout(600)
def test_benchmark(broker, channel, start):
    channel.queue_declare("classic_queue", durable=True)
    channel.queue_declare("quorum_queue", durable=True, arguments=QUORUM)
    channel.queue_declare(**REPOSITORY_QUEUE)
    tutorial, base = RepositoryClient(broker.url()), "the tutorial, quorum queue"
    calls = {base: lambda: tutorial.call(1)}
    start("-c", SERVE_TUTORIAL.format(url=broker.url()))
    for kind in "classic", "quorum":
        start("-c", SERVE.format(queue=f"{kind}_queue"))
        client = RpcClient(f"{kind}_queue", broker.url())
        calls[f"this pair, {kind} queue"] = lambda client=client: int(client.ask(b"1"))
    times = {name: [] for name in calls}
    for name, call in list(calls.items()) * ROUNDS:
        call()
        end = time.perf_counter() + SECONDS
        while (begin := time.perf_counter()) < end:
            call()
            times[name].append(time.perf_counter() - begin)
    centiles = {name: statistics.quantiles(each, n=100) for name, each in times.items()}
    print("\n\n| one client | median | 99th percentile |\n|---|---|---|")
    for name, of in centiles.items():
        print(f"| {name} | {of[49] / centiles[base][49]:.2f} | {of[98] / centiles[base][98]:.2f} |")
    for queue in "classic_queue", "quorum_queue", REPOSITORY_QUEUE["queue"]:
        channel.queue_delete(queue)
