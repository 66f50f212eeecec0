"""A server that gives an attempt to connect two seconds, and tries again at once."""

import rpc_server

rpc_server.TIMEOUT_SECONDS = 2
rpc_server.MIN_PAUSE_SECONDS = rpc_server.MAX_PAUSE_SECONDS = 0.1
rpc_server.serve("rpc_queue", rpc_server.compute)
