"""A program with a thread for each call, and one call in its main thread.

It ends with or without close(), and reports how many connections it has had at most.
"""

import gc
import sys
import threading

import psutil

from rpc_client import FibonacciRpcClient

gc.disable()  # Connections are closed without it.
client, most = FibonacciRpcClient(), 0
for n in range(30):
    thread = threading.Thread(target=client.call, args=[n])
    thread.start()
    thread.join()
    most = max(most, len(psutil.Process().net_connections("tcp")))
assert "Dummy" not in str(threading.enumerate())  # No thread is registered again at its end.
assert client.call(30) == 832040
if "close" in sys.argv:
    client.close()
print("a handful" if most < 15 else most)
