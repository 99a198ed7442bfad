"""Child processes: pinned to cores, awaited until they serve, and always stopped, by pid."""

import ctypes
import os
import random
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
STOP_TIMEOUT_S = 5.0
_libc = ctypes.CDLL(None, use_errno=True)


class BenchError(Exception):
    """Something the person at the terminal has to know; printed without a traceback."""


class Child:
    """One running process. `cores` is a set of core numbers, or None for all of them."""

    def __init__(self, name: str, argv: list[str], log: Path, cores: set[int] | None):
        self.name = name
        self.log = log

        def before_exec():
            if cores:
                os.sched_setaffinity(0, cores)
            # Should this benchmark be killed outright, the kernel ends its children.
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

        with log.open("wb") as out:
            # A session of its own: Ctrl-C reaches the benchmark only, which then stops the rest.
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                cwd=log.parent, start_new_session=True, preexec_fn=before_exec)
        self.pid = self.process.pid

    def alive(self) -> bool:
        return self.process.poll() is None

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join("    " + line for line in lines[-8:]) or "    (no output)"

    def stop(self):
        if not self.alive():
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Fleet:
    """The processes of one part of a run; leaving the `with` block stops them all."""

    def __init__(self, directory: Path):
        self.directory = directory
        self._children: list[Child] = []

    def __enter__(self) -> "Fleet":
        return self

    def __exit__(self, *_):
        # Proxies were started after the servers they talk to, so they go first.
        for child in reversed(self._children):
            child.stop()

    def start(self, name: str, argv: list[str], cores: set[int] | None) -> Child:
        try:
            child = Child(name, argv, self.directory / f"{name}.log", cores)
        except OSError as error:
            raise BenchError(f"cannot start {name} as {argv[0]}: {error.strerror}. "
                             "Install it or name the right path.") from error
        self._children.append(child)
        return child


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on.

    Taken from below the kernel's ephemeral range: a proxy is started again and again on its port,
    and an outgoing connection of another process must not sit on it meanwhile.
    """
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(1000):
        port = random.randrange(10000, low)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise BenchError(f"found no free port between 10000 and {low}; close some listeners.")


def wait_until_serving(child: Child, port: int, probe_keys: list[str], timeout_s: float = 15.0):
    """Returns when a GET of every probe key got a value through `port`, so all groups are there.

    Without probe keys: when somebody listens.
    """
    request = b"".join(b"*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n" % (len(key), key.encode())
                       for key in probe_keys)
    deadline = time.monotonic() + timeout_s
    problem = "nothing was tried"
    while time.monotonic() < deadline:
        if not child.alive():
            raise BenchError(f"{child.name} exited with {child.process.returncode} at start:\n"
                             f"{child.last_words()}")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
                connection.sendall(request)
                with connection.makefile("rb") as replies:
                    for _ in probe_keys:
                        head = replies.readline()
                        if head[:1] != b"$" or head[:2] == b"$-":
                            raise ConnectionError(f"the answer to GET was {head!r}")
                        replies.read(int(head[1:]) + 2)
            return
        except OSError as error:
            problem = str(error)
            time.sleep(0.02)
    raise BenchError(f"{child.name} did not serve within {timeout_s:.0f} s ({problem}):\n"
                     f"{child.last_words()}")


def raise_open_files_limit(wanted: int) -> int:
    """Raises the limit of open files, which children inherit; returns what was reached."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return wanted
        except (ValueError, OSError):
            pass  # Only root may go past the hard limit.
    reached = max(soft, min(wanted, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (reached, hard))
    return reached
