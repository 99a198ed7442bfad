"""What a process used: CPU, memory, context switches, system calls. All from /proc and strace."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from processes import BenchError

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def cpu_ns(pid: int) -> int:
    """CPU time of all living threads, user and system, in ns; in clock ticks without schedstat."""
    total = sum(thread_cpu_ns(pid).values())
    return total or cpu_ns_by_ticks(pid)


def thread_cpu_ns(pid: int) -> dict[int, int]:
    """CPU time in ns by thread id; empty where the kernel has no schedstat."""
    times = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            times[int(task.name)] = int((task / "schedstat").read_text().split()[0])
        except OSError:
            pass  # The thread ended meanwhile, or there is no schedstat.
    return times


def cpu_ns_by_ticks(pid: int) -> int:
    """utime + stime, threads that ended included. Coarse (10 ms as a rule), so a cross-check."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_NS


def _status(path: Path, field: str) -> int:
    match = re.search(rf"^{field}:\s+(\d+)", path.read_text(), re.MULTILINE)
    return int(match.group(1)) if match else 0


def rss_bytes(pid: int) -> int:
    return _status(Path(f"/proc/{pid}/status"), "VmRSS") * 1024


def peak_rss_bytes(pid: int) -> int:
    return _status(Path(f"/proc/{pid}/status"), "VmHWM") * 1024


def context_switches(pid: int) -> int:
    """How often its threads went to sleep of their own accord."""
    return sum(_status(task / "status", "voluntary_ctxt_switches")
               for task in Path(f"/proc/{pid}/task").iterdir())


@dataclass
class Usage:
    """Used between two moments by one process."""
    cpu_ns: int
    cpu_ns_by_ticks: int
    context_switches: int


class Meter:
    """Takes readings of processes now; `usage` tells what each used since."""

    def __init__(self, pids: list[int]):
        self._start = {pid: self._read(pid) for pid in pids}

    @staticmethod
    def _read(pid: int) -> Usage:
        return Usage(cpu_ns(pid), cpu_ns_by_ticks(pid), context_switches(pid))

    def usage(self, pid: int) -> Usage:
        start, now = self._start[pid], self._read(pid)
        return Usage(now.cpu_ns - start.cpu_ns, now.cpu_ns_by_ticks - start.cpu_ns_by_ticks,
                     now.context_switches - start.context_switches)


def count_system_calls(pid: int, directory: Path, cores: set[int],
                       load: Callable[[], None]) -> dict[str, int]:
    """System calls of all threads of `pid` while `load()` runs, by name.

    strace stops the process at each call, so it slows it several times over: counts only.
    """
    if not shutil.which("strace"):
        raise BenchError("--syscalls needs strace; install it.")
    summary = directory / "strace.txt"
    tracer = subprocess.Popen(
        ["strace", "-c", "-f", "-p", str(pid), "-o", str(summary)], stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores))
    try:
        _wait_until_traced(pid, tracer)
        load()
    finally:
        tracer.send_signal(signal.SIGINT)  # strace lets go of the process and writes its table.
        tracer.wait(10)
    return parse_strace_summary(summary.read_text())


def _wait_until_traced(pid: int, tracer: subprocess.Popen, timeout_s: float = 5.0):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and tracer.poll() is None:
        if all(_status(task / "status", "TracerPid") for task in
               Path(f"/proc/{pid}/task").iterdir()):
            return
        time.sleep(0.01)
    raise BenchError(f"strace could not attach to process {pid}. Run as root, or allow ptrace.")


def parse_strace_summary(text: str) -> dict[str, int]:
    """The calls column of `strace -c`: "% time, seconds, usecs/call, calls, [errors,] syscall"."""
    calls = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) in (5, 6) and fields[3].isdigit() and fields[-1] != "total":
            calls[fields[-1]] = int(fields[3])
    return calls
