"""The two scripts as processes, started and stopped as a user does."""

import os
import sys
from pathlib import Path

from pexpect.popen_spawn import PopenSpawn

ROOT = Path(__file__).parent.parent
WAIT_SECONDS = 30


def environment(url):
    return {**os.environ, "AMQP_URL": url, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}


class Script(PopenSpawn):
    """A running script, and what it prints on stdout and stderr."""

    def __init__(self, *argv, url, cwd=ROOT, interpreter=sys.executable):
        options = {"cwd": cwd, "env": environment(url), "encoding": "utf-8"}
        super().__init__([interpreter, *map(str, argv)], timeout=WAIT_SECONDS, **options)

    def __str__(self):
        return f"It printed: {self.before!r}"  # where pexpect waits in vain

    def awaits_requests(self):
        self.expect_exact(" [x] Awaiting RPC requests")
        return self

    def kill_and_read(self):
        self.proc.kill()
        return self.read()

    def ends(self, *signals):
        """Send signals, and return the exit status."""
        for signum in signals:
            self.kill(signum)
        return self.proc.wait(timeout=WAIT_SECONDS)
