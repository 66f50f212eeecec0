"""A TCP relay to the broker that may go dead after so many answers, as in a partition."""

import contextlib
import socket
import subprocess
import threading
import time

import pika
import pytest
from brokers import OwnBroker, afterwards, free_port, run

CLIENT_HANDSHAKE = 6  # answers, each in one piece: Start, Tune, two Open-, Declare-, Consume-Ok
NEVER_DEAD = 10**6
CONNECTION_CLOSE = pika.spec.Connection.Close.INDEX.to_bytes(4, "big")


class Relay:
    """Passes `answers`, then none until `revived` is set; `last` went to the broker last."""

    def __init__(self, broker):
        self.address, self.answers, self.delay_seconds = broker.address, NEVER_DEAD, 0
        self.dead, self.revived = threading.Event(), threading.Event()
        self.kilobytes_per_second = None  # for requests; no limit
        self.sockets, self.connections = [], 0
        self.listen(free_port())  # The kernel gives these to nobody.
        self.url = OwnBroker(self.listener.getsockname()[1]).base_url

    def listen(self, port):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)  # else megabytes
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):  # closed: the test is over
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(self.address)
                self.sockets += near, far
                self.connections += 1
                threading.Thread(target=self.ask, args=(near, far), daemon=True).start()
                threading.Thread(target=self.answer, args=(far, near), daemon=True).start()

    def ask(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                if self.kilobytes_per_second:
                    time.sleep(len(data) / 1000 / self.kilobytes_per_second)
                self.last = data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def answer(self, source, sink):
        with contextlib.suppress(OSError):
            answers = 0
            while answer := source.recv(4096):
                answers += 1
                if answers > self.answers:
                    self.dead.set()
                    self.revived.wait()
                time.sleep(self.delay_seconds)
                sink.sendall(answer)
            sink.shutdown(socket.SHUT_WR)

    def cut(self):
        """Break the connections that there are; new ones may come."""
        for sock in self.sockets:
            with contextlib.suppress(OSError):  # the other end was first
                sock.shutdown(socket.SHUT_RDWR)

    def refuse(self):
        """Break the connections and take no new ones."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.cut()

    def take_again(self):
        """Take connections again, after refuse()."""
        port = self.listener.getsockname()[1]
        self.listener.close()
        self.listen(port)

    def closed(self):
        """The peer at this end closed its connection in order."""
        return CONNECTION_CLOSE in self.last

    def dark(self):
        """The packets from and to this end are dropped, as if its machine were down."""
        port = self.listener.getsockname()[1]
        rule = f"INPUT -p tcp -m multiport --ports {port} -j DROP".split()
        try:
            run("iptables", "-w", "-I", *rule, stderr=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("only root can drop packets, with iptables")
        return afterwards(run, "iptables", "-w", "-D", *rule)

    def close(self):
        self.revived.set()
        self.cut()  # a socket that a thread reads stays open when it is merely closed
        for sock in (self.listener, *self.sockets):
            sock.close()
