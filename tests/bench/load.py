"""The workloads, the data they need, and redis-benchmark, which makes the load."""

import csv
import io
import os
import socket
import subprocess
import time
from dataclasses import dataclass

from processes import BenchError

# Values of a size have keys of their own, and few of them where they are large: the servers' memory
# stays below 150 MiB each.
KEYS_BY_VALUE_BYTES = {64: 100_000, 1 << 10: 20_000, 16 << 10: 2_000, 1 << 20: 32}
RUN_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Workload:
    name: str
    title: str
    verb: str
    clients: int = 50
    pipeline: int = 1
    value_bytes: int = 64
    keys: int = 1            # Keys per request.
    probe: int = 4000        # Requests of the run that finds out how fast a target is.

    def arguments(self) -> list[str]:
        """The command for redis-benchmark, which fills in each __rand_int__ separately."""
        key = f"key:__rand_int__:{self.value_bytes}"
        value = ["x" * self.value_bytes] if self.verb in ("SET", "MSET") else []
        return [self.verb] + ([key] + value) * self.keys


WORKLOADS = [
    Workload("get", "GET 64 B, 50 clients", "GET"),
    Workload("get-p16", "GET 64 B, -P 16", "GET", pipeline=16, probe=16000),
    Workload("get-p64", "GET 64 B, -P 64", "GET", pipeline=64, probe=32000),
    Workload("get-c1000", "GET 64 B, 1000 clients", "GET", clients=1000),
    Workload("set", "SET 64 B, 50 clients", "SET"),
    Workload("set-p16", "SET 64 B, -P 16", "SET", pipeline=16, probe=16000),
    Workload("set-p64", "SET 64 B, -P 64", "SET", pipeline=64, probe=32000),
    Workload("mget10", "MGET of 10 keys", "MGET", keys=10, probe=2000),
    Workload("mset10", "MSET of 10 keys", "MSET", keys=10, probe=2000),
    Workload("get-1k", "GET 1 KiB", "GET", value_bytes=1 << 10),
    Workload("get-16k", "GET 16 KiB", "GET", value_bytes=16 << 10, probe=2000),
    Workload("get-1m", "GET 1 MiB", "GET", value_bytes=1 << 20, probe=200),
]


@dataclass
class Run:
    """What redis-benchmark saw."""
    requests: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    load_cpu_share: float    # Of one core, by redis-benchmark: near 1 it is the limit itself.


def key_name(value_bytes: int, number: int) -> str:
    """The key that redis-benchmark makes of Workload.arguments() when it draws `number`.

    The number is not at the end: FNV-1a, twemproxy's hash, scatters only what more bytes follow,
    and 32 keys that differ in their last bytes all went to one server.
    """
    return f"key:{number:012d}:{value_bytes}"


def preload(port: int, value_bytes: int):
    """Puts every key of this value size on one server.

    Each server gets all of them: each proxy finds its keys, however it spreads them.
    """
    value = b"x" * value_bytes
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n")
        batch = bytearray()
        for number in range(KEYS_BY_VALUE_BYTES[value_bytes]):
            key = key_name(value_bytes, number).encode()
            batch += b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (
                len(key), key, value_bytes, value)
            if len(batch) > 1 << 20:
                connection.sendall(batch)
                batch.clear()
        connection.sendall(batch + b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$2\r\nON\r\n")
        answer = connection.recv(64)
        if answer != b"+OK\r\n":
            raise BenchError(f"the server at port {port} answered {answer!r} while it was filled.")


def run_load(workload: Workload, port: int, requests: int, cores: set[int] | None,
             timeout_s: float = RUN_TIMEOUT_S) -> Run:
    """One run of redis-benchmark. Errors: BenchError, with what redis-benchmark said."""
    argv = ["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-c", str(workload.clients),
            "-n", str(requests), "-P", str(workload.pipeline),
            "-r", str(KEYS_BY_VALUE_BYTES[workload.value_bytes]), "--precision", "3", "--csv",
            *workload.arguments()]
    before, start = os.times(), time.monotonic()
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=timeout_s, start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores) if cores else None)
    except FileNotFoundError as error:
        raise BenchError("redis-benchmark is missing; install redis-tools.") from error
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{requests} requests were not answered in {timeout_s:.0f} s") from error
    elapsed, after = time.monotonic() - start, os.times()
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    if done.returncode != 0 or not rows:
        said = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
        raise BenchError(f"redis-benchmark ended with {done.returncode}: {said}")
    cpu = (after.children_user - before.children_user
           + after.children_system - before.children_system)
    row = rows[-1]
    return Run(requests, float(row["rps"]), float(row["p50_latency_ms"]),
               float(row["p99_latency_ms"]), cpu / elapsed)


def calibrate(workload: Workload, port: int, seconds: float, cores: set[int] | None) -> int:
    """How many requests take about `seconds`; warms the target up on the way."""
    requests = max(workload.probe, workload.clients * workload.pipeline * 2)
    run = run_load(workload, port, requests, cores)
    if requests / run.requests_per_s < 0.15:  # Too short to be a measure.
        run = run_load(workload, port, requests * 4, cores)
    return max(requests, int(run.requests_per_s * seconds))
