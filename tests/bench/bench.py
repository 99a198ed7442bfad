#!/usr/bin/env python3
"""Measures pikaproxy beside other proxies, in front of real Redis servers on this machine.

One worker: the proxy and the servers share one core, the load has another, so what a proxy costs is
CPU time per request. docs/performance.md says how to read the figures.

  tests/bench/bench.py --pikaproxy build/release/pikaproxy            the main table
  tests/bench/bench.py --pikaproxy build/release/pikaproxy --all      and the three experiments
  tests/bench/bench.py --quick --targets twemproxy,pikaproxy --workloads get,get-p16

haproxy and twemproxy (nutcracker) take part when installed; predixy and codis-proxy when the
environment variables PREDIXY and CODIS_PROXY name their binaries.
"""

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import platform
import shlex
import signal
import statistics
import sys
import tempfile
from pathlib import Path

import bars
import experiments
import report
from load import WORKLOADS, Workload, calibrate, preload, run_load
from measure import Meter, peak_rss_bytes
from processes import BenchError, Fleet, raise_open_files_limit, wait_until_serving
from targets import Running, Server, Target, available_targets, start_servers, start_target

OPEN_FILES = 65536
MEDIANS = ("requests_per_s", "p50_ms", "p99_ms", "load_cpu_share", "server_cpu_us")
PROXY_MEDIANS = ("cpu_us", "cpu_us_by_ticks", "sleeps")


def one_round(running: Running, servers: list[Server], workload: Workload, requests: int,
              load_cores: set[int]) -> dict:
    """One measured run of one target."""
    server_pids = [server.child.pid for server in servers]
    proxy_pids = [running.child.pid] if running.child else []
    meter = Meter(server_pids + proxy_pids)
    try:
        run = run_load(workload, running.port, requests, load_cores)
    except BenchError as error:
        if running.child and not running.child.alive():
            raise BenchError(f"{running.child.name} exited with {running.child.process.returncode} "
                             f"under load:\n{running.child.last_words()}") from error
        raise
    server_ns = [meter.usage(pid).cpu_ns for pid in server_pids]
    figures = {**dataclasses.asdict(run), "server_cpu_us": sum(server_ns) / 1000 / requests,
               "busiest_server_share": max(server_ns) / sum(server_ns)}
    if running.child:
        usage = meter.usage(running.child.pid)
        figures |= {"cpu_us": usage.cpu_ns / 1000 / requests,
                    "cpu_us_by_ticks": usage.cpu_ns_by_ticks / 1000 / requests,
                    "sleeps": usage.context_switches / requests,
                    "peak_rss_bytes": peak_rss_bytes(running.child.pid)}
    return figures


def summary(rounds: list[dict]) -> dict:
    """The medians of the rounds; of memory the peak."""
    cell = {"rounds": rounds}
    names = MEDIANS + (PROXY_MEDIANS if "cpu_us" in rounds[0] else ())
    cell |= {name: statistics.median(figures[name] for figures in rounds) for name in names}
    if "cpu_us" in cell:
        costs = [figures["cpu_us"] for figures in rounds]
        cell["cpu_spread"] = (max(costs) - min(costs)) / cell["cpu_us"]
        cell["peak_rss_bytes"] = max(figures["peak_rss_bytes"] for figures in rounds)
    return cell


def measure_workload(workload: Workload, targets: list[Target], servers: list[Server],
                     directory: Path, args: argparse.Namespace) -> dict:
    """All targets under one workload, their rounds interleaved.

    Proxies are started anew, so that peak memory is this workload's. A target that fails is
    reported as failed and leaves the others alone.
    """
    proxy_cores, load_cores = {args.proxy_core}, {args.load_core}
    cells: dict[str, dict] = {target.name: {} for target in targets}
    rounds: dict[str, list[dict]] = {target.name: [] for target in targets}
    with Fleet(directory) as fleet:
        ready: list[tuple[Running, int]] = []
        for target in targets:
            with failure_noted(cells[target.name]):
                running = start_target(fleet, target, servers, proxy_cores)
                wait_until_serving(running.child or servers[0].child, running.port,
                                   experiments.PROBE_KEYS)
                ready.append((running, calibrate(workload, running.port, args.seconds,
                                                 load_cores)))
        for number in range(args.rounds):
            # Each round starts with another target: nobody always follows the same neighbour.
            turn = number % len(ready) if ready else 0
            for running, requests in ready[turn:] + ready[:turn]:
                name = running.target.name
                if "error" in cells[name]:
                    continue
                with failure_noted(cells[name]):
                    rounds[name].append(one_round(running, servers, workload, requests,
                                                  load_cores))
    for name, figures in rounds.items():
        if "error" not in cells[name]:
            cells[name] = summary(figures)
    return {"name": workload.name, "title": workload.title, "targets": cells}


@contextlib.contextmanager
def failure_noted(cell: dict):
    """Keeps the text of a BenchError in `cell` instead of ending the whole benchmark."""
    try:
        yield
    except BenchError as error:
        cell["error"] = str(error)


def describe_machine() -> dict:
    cpu = next((line.partition(":")[2].strip() for line in open("/proc/cpuinfo")
                if line.startswith("model name")), platform.machine())
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {"cpu": cpu, "cores": os.cpu_count(), "memory_gib": round(pages / (1 << 30)),
            "kernel": platform.release(),
            "load_average": ", ".join(f"{load:.1f}" for load in os.getloadavg())}


def run_benchmark(args: argparse.Namespace, targets: list[Target]) -> dict:
    """Everything asked for, printed as it is found. Leaves no process behind."""
    result = {
        "command": shown_command(), "date": datetime.date.today().isoformat(),
        "machine": describe_machine(),
        "versions": {target.name: target.version() for target in targets},
        "settings": {"rounds": args.rounds, "seconds": args.seconds,
                     "proxy_core": args.proxy_core, "load_core": args.load_core},
    }
    proxies = [target for target in targets if target.command]
    proxy_cores, load_cores = {args.proxy_core}, {args.load_core}
    with tempfile.TemporaryDirectory(prefix="pikaproxy-bench-") as name:
        directory = Path(name)
        with Fleet(directory) as fleet:
            servers = start_servers(fleet, proxy_cores)
            sizes = {64} | {workload.value_bytes for workload in args.workloads if args.table}
            for server in servers:
                fill(server, sorted(sizes))
            if args.table:
                result["workloads"] = []
                for workload in args.workloads:
                    cell = measure_workload(workload, targets, servers, directory, args)
                    result["workloads"].append(cell)
                    print(report.workload_table(cell) + "\n", flush=True)
            if args.syscalls:
                result["syscalls"] = by_target(proxies, lambda target: experiments.system_calls(
                    target, servers, directory, proxy_cores, load_cores))
            if args.idle:
                result["idle"] = by_target(proxies, lambda target: experiments.idle_connections(
                    target, servers, directory, proxy_cores))
            ours = next((target for target in targets if target.name == bars.OURS), None)
            if args.workers and ours:
                result["workers"] = by_target([ours], lambda target: {
                    "rows": experiments.worker_scaling(target, servers, directory, args.workers,
                                                       args.seconds)})
    print(report.closing_tables(result))
    return result


def fill(server: Server, sizes: list[int]):
    """Waits for a fresh server and gives it the keys of these value sizes."""
    wait_until_serving(server.child, server.port, [])
    for size in sizes:
        preload(server.port, size)


def by_target(targets: list[Target], experiment) -> dict[str, dict]:
    """`experiment(target)` for each; a failure becomes that target's {"error": text}."""
    cells: dict[str, dict] = {}
    for target in targets:
        cell: dict = {}
        with failure_noted(cell):
            cell = experiment(target)
        cells[target.name] = cell
    return cells


def shown_command() -> str:
    """The command as typed, with what the environment added to it."""
    variables = [f"{name}={shlex.quote(Path(os.environ[name]).name)}"
                 for name in ("PREDIXY", "CODIS_PROXY") if os.environ.get(name)]
    arguments = [Path(word).name if word.startswith("/") else word for word in sys.argv[1:]]
    return " ".join(variables + ["tests/bench/bench.py", *map(shlex.quote, arguments)])


def chosen(names: str, known: list[str], what: str) -> list[str]:
    """The names of a comma-separated list, in the order of `known`."""
    wanted = [name.strip() for name in names.split(",")]
    if unknown := [name for name in wanted if name not in known]:
        raise BenchError(f"unknown {what} {', '.join(unknown)}; there are: {', '.join(known)}.")
    return [name for name in known if name in wanted]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pikaproxy", metavar="PATH", help="our binary; without it only peers")
    parser.add_argument("--targets", help="comma-separated; default: all there are")
    parser.add_argument("--workloads", help="comma-separated; default: all of "
                        + ",".join(workload.name for workload in WORKLOADS))
    parser.add_argument("--rounds", type=int, default=3, help="per target and workload (3)")
    parser.add_argument("--seconds", type=float, default=2.2, help="length of a run (2.2)")
    parser.add_argument("--quick", action="store_true", help="one round of 0.4 s: a rough look")
    parser.add_argument("--proxy-core", type=int, default=0, help="of proxy and servers (0)")
    parser.add_argument("--load-core", type=int, default=1, help="of redis-benchmark (1)")
    parser.add_argument("--syscalls", action="store_true",
                        help="system calls per request, instead of the main table")
    parser.add_argument("--idle", action="store_true",
                        help="memory per idle connection, instead of the main table")
    parser.add_argument("--workers", type=int, metavar="N",
                        help="N of our workers beside one, instead of the main table")
    parser.add_argument("--all", action="store_true",
                        help="the main table and the three experiments (--workers 2)")
    parser.add_argument("--json", type=Path, default=Path(".run/bench.json"),
                        help="where all figures go (.run/bench.json)")
    parser.add_argument("--markdown", type=Path, metavar="FILE",
                        help="replace the measured part of this document")
    parser.add_argument("--render", type=Path, metavar="JSON",
                        help="measure nothing: show (and write to --markdown) an earlier result")
    args = parser.parse_args()
    args.table = args.all or not (args.syscalls or args.idle or args.workers)
    if args.all:
        args.syscalls = args.idle = True
        args.workers = args.workers or 2
    if args.quick:
        args.rounds, args.seconds = 1, 0.4
    by_name = {workload.name: workload for workload in WORKLOADS}
    args.workloads = [by_name[name] for name in chosen(args.workloads, list(by_name), "workload")
                      ] if args.workloads else WORKLOADS
    return args


def check_document(path: Path):
    """Before minutes of measuring: can the result be written there?"""
    if not path.is_file() or not report.has_marks(path.read_text()):
        raise BenchError(f"{path} has no lines {report.BEGIN_MARK} and {report.END_MARK} for the "
                         "result to stand between; add them.")


def measured(args: argparse.Namespace) -> dict:
    """Runs the benchmark as asked and saves its result."""
    known = available_targets(args.pikaproxy)
    names = chosen(args.targets, list(known), "or missing target") if args.targets else list(known)
    missing = {args.proxy_core, args.load_core} - os.sched_getaffinity(0)
    if missing:
        raise BenchError(f"this process may not use core {min(missing)}; "
                         "choose with --proxy-core and --load-core.")
    if args.workers and not args.pikaproxy and not args.all:
        raise BenchError("--workers measures our own proxy; name it with --pikaproxy.")
    raise_open_files_limit(OPEN_FILES)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    result = run_benchmark(args, [known[name] for name in names])
    args.json.write_text(json.dumps(result, indent=1) + "\n")
    return result


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # Unwinds, so everything is stopped.
    try:
        args = parse_arguments()
        if args.markdown:
            check_document(args.markdown)
        if args.render:
            result = json.loads(args.render.read_text())
            for workload in result.get("workloads", []):
                print(report.workload_table(workload) + "\n")
            print(report.closing_tables(result))
        else:
            result = measured(args)
        if args.markdown:
            args.markdown.write_text(report.replace_measured_part(args.markdown.read_text(),
                                                                  result))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted; everything it started is stopped.", file=sys.stderr)
        return 130
    failed = [cell for section in ("syscalls", "idle", "workers")
              for cell in result.get(section, {}).values()]
    failed += [cell for workload in result.get("workloads", [])
               for cell in workload["targets"].values()]
    return 1 if any("error" in cell for cell in failed) else 0


if __name__ == "__main__":
    sys.exit(main())
