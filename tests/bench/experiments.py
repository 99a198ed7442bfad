"""Measures beside the main table: system calls, idle connections, more workers."""

import os
import resource
import socket
import time
from dataclasses import asdict
from pathlib import Path

import measure
from load import WORKLOADS, calibrate, key_name, run_load
from processes import BenchError, Fleet, wait_until_serving
from targets import Server, Target, start_target

SYSCALL_REQUESTS = 20_000
TRACED_TIMEOUT_S = 180.0   # Under strace a busy machine is slow indeed.
IDLE_CONNECTIONS = 10_000
IDLE_GROUP = 50   # Connections opened before the first of them is waited for.
SCALING_WORKLOADS = ("get", "get-p16", "get-p64")
PROBE_KEYS = [key_name(64, number) for number in range(30)]


def system_calls(target: Target, servers: list[Server], directory: Path, proxy_cores: set[int],
                 load_cores: set[int]) -> dict:
    """Calls per GET at 50 clients without pipelining, in all and by name."""
    workload = next(workload for workload in WORKLOADS if workload.name == "get")
    with Fleet(directory) as fleet:
        running = start_target(fleet, target, servers, proxy_cores)
        wait_until_serving(running.child, running.port, PROBE_KEYS)
        calls = measure.count_system_calls(
            running.child.pid, directory, load_cores,
            lambda: run_load(workload, running.port, SYSCALL_REQUESTS, load_cores,
                             timeout_s=TRACED_TIMEOUT_S))
    per_call = {name: count / SYSCALL_REQUESTS
                for name, count in sorted(calls.items(), key=lambda item: -item[1])
                if count >= SYSCALL_REQUESTS / 100}
    return {"requests": SYSCALL_REQUESTS, "per_request": sum(calls.values()) / SYSCALL_REQUESTS,
            "by_name": per_call}


def idle_connections(target: Target, servers: list[Server], directory: Path,
                     proxy_cores: set[int]) -> dict:
    """RSS that a connection costs which did one GET and now says nothing."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A relay needs two descriptors per client; ours and the others one.
    count = min(IDLE_CONNECTIONS, (soft - 500) // (1 if target.shards else 2))
    with Fleet(directory) as fleet:
        running = start_target(fleet, target, servers, proxy_cores)
        wait_until_serving(running.child, running.port, PROBE_KEYS)
        pid = running.child.pid
        # What the first clients make it allocate once and for all is not the connections' cost.
        _close(_open_clients(running.port, 50))
        before = measure.rss_bytes(pid)
        clients = _open_clients(running.port, count)
        after = measure.rss_bytes(pid)
        _close(clients)
    return {"connections": count, "rss_before": before, "rss_after": after,
            "bytes_per_connection": (after - before) / count}


def _open_clients(port: int, count: int) -> list[socket.socket]:
    """Connections that each had one GET answered."""
    clients: list[socket.socket] = []
    try:
        while len(clients) < count:
            group = []
            for _ in range(min(IDLE_GROUP, count - len(clients))):
                client = socket.create_connection(("127.0.0.1", port), timeout=10)
                clients.append(client)
                group.append(client)
                key = PROBE_KEYS[len(clients) % len(PROBE_KEYS)].encode()
                client.sendall(b"*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n" % (len(key), key))
            for client in group:
                _read_reply(client)
    except OSError as error:
        _close(clients)
        raise BenchError(f"client {len(clients)} of {count} failed: {error}") from error
    return clients


def _read_reply(client: socket.socket):
    missing = len(b"$64\r\n") + 64 + len(b"\r\n")
    while missing:
        part = client.recv(missing)
        if not part:
            raise ConnectionError("it was disconnected before the reply was complete")
        missing -= len(part)


def _close(clients: list[socket.socket]):
    for client in clients:
        client.close()


def worker_scaling(target: Target, servers: list[Server], directory: Path, workers: int,
                   seconds: float) -> list[dict]:
    """Our throughput and CPU with one worker and with several; nothing is pinned.

    Servers and load share the machine with the workers, so `machine_busy` (share of all cores in
    use) belongs to every figure: where it is near 1, more workers could not have been faster.
    """
    every_core = os.sched_getaffinity(0)
    for server in servers:
        _let_run_on(server.child.pid, every_core)
    rows = []
    for count in (1, workers):
        with Fleet(directory) as fleet:
            running = start_target(fleet, target, servers, every_core, workers=count)
            wait_until_serving(running.child, running.port, PROBE_KEYS)
            pid = running.child.pid
            for workload in WORKLOADS:
                if workload.name not in SCALING_WORKLOADS:
                    continue
                requests = calibrate(workload, running.port, seconds, None)
                threads_before, idle_before = measure.thread_cpu_ns(pid), _idle_s()
                start = time.monotonic()
                run = run_load(workload, running.port, requests, None)
                elapsed = time.monotonic() - start
                threads = {tid: used - threads_before.get(tid, 0)
                           for tid, used in measure.thread_cpu_ns(pid).items()}
                busy = 1 - (_idle_s() - idle_before) / (elapsed * len(every_core))
                total = sum(threads.values())
                rows.append({"workload": workload.name, "title": workload.title, "workers": count,
                             "cpu_us": total / 1000 / requests,
                             "busiest_thread_share": max(threads.values()) / total,
                             "machine_busy": max(0.0, busy), **asdict(run)})
    return rows


def _let_run_on(pid: int, cores: set[int]):
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


def _idle_s() -> float:
    """Idle seconds of all cores since boot."""
    return float(Path("/proc/uptime").read_text().split()[1])
