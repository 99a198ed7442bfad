"""Servers for the integration tests: each in a directory of its own under the temporary directory,
on a free port of 127.0.0.1, ended by its process id.

    with RedisServer() as server:
        server.client().call("PING")
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from resp import Resp

START_TIMEOUT_S = 20
STOP_TIMEOUT_S = 10

_given_ports = set()


def free_port():
    """A port that nobody listens on now, and that this process has not been given before. Somebody else may
    still take it before the server binds: who starts a server tries again then."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in _given_ports:
            _given_ports.add(port)
            return port


def wait_until(condition, timeout_s, what):
    """Asks `condition` until it is true; its OSErrors mean "no". Raises TimeoutError naming `what`."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if condition():
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError("waited %g s for: %s" % (timeout_s, what))
        time.sleep(0.01)


class Process:
    """A child process with a directory (kept if keep_directory) and its output in <directory>/log."""

    def __init__(self, argv, name, directory=None):
        self.name = name
        self.owns_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="pikaproxy-%s-" % name)
        self.log_path = os.path.join(self.directory, "log")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                argv, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def pid(self):
        return self.process.pid

    def is_running(self):
        return self.process.poll() is None

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def send_signal(self, number):
        """SIGSTOP and SIGCONT play a server that hangs."""
        if self.is_running():
            self.process.send_signal(number)

    def kill(self):
        """As in a power cut: SIGKILL, the directory stays."""
        self.send_signal(signal.SIGKILL)
        return self.process.wait(STOP_TIMEOUT_S)

    def stop(self):
        """Ends the process if it still runs, removes the directory; returns the exit code. May be repeated."""
        self.send_signal(signal.SIGCONT)
        self.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            code = self.kill()
        if self.owns_directory:
            shutil.rmtree(self.directory, ignore_errors=True)
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class RedisServer(Process):
    """A redis-server without persistence. `options` are further command-line words ("--requirepass", "x")."""

    ATTEMPTS = 3  # A free port can be taken before the server binds it.

    def __init__(self, *options, port=None, binary="redis-server", directory=None):
        self.host = "127.0.0.1"
        for attempt in range(1, self.ATTEMPTS + 1):
            self.port = port or free_port()
            super().__init__(
                [binary, "--port", str(self.port), "--bind", self.host, "--save", "",
                 "--appendonly", "no", "--daemonize", "no", *map(str, options)],
                "redis", directory)
            try:
                wait_until(self._answers_or_died, START_TIMEOUT_S, "redis-server to answer PING")
            except TimeoutError:
                self.stop()
                raise
            if self.is_running():
                return
            log = self.log()
            self.stop()
            if port or attempt == self.ATTEMPTS or "Address already in use" not in log:
                raise RuntimeError("redis-server did not start:\n" + log)

    @property
    def address(self):
        return "%s:%d" % (self.host, self.port)

    def client(self, **kwargs):
        return Resp(self.host, self.port, **kwargs)

    def _answers_or_died(self):
        if not self.is_running():
            return True
        with self.client(timeout=2) as client:
            # A server with a password answers -NOAUTH, which is an answer too; -LOADING is not.
            return not str(client.call("PING")).startswith("LOADING")
