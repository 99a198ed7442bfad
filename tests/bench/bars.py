"""What we ask of ourselves: our CPU per request against a peer's, and two absolute bars."""

from dataclasses import dataclass

OURS = "pikaproxy"
SYSCALLS_PER_REQUEST_MAX = 2.7
IDLE_CONNECTION_BYTES_MAX = 600

# The cheapest peer that was measured. A relay neither parses nor splits, so where requests have to
# be split only proxies that do so are compared.
BEST_SHARDING = ("twemproxy", "predixy", "codis")
BEST_OF_ALL = ("haproxy",) + BEST_SHARDING


@dataclass(frozen=True)
class Bar:
    workload: str
    factor: float
    peers: tuple[str, ...]   # Several: the best of those measured.


BARS = [
    Bar("get", 1.0, ("predixy",)),
    Bar("get", 0.9, ("twemproxy",)),
    Bar("get-p16", 0.8, ("predixy",)),
    Bar("get-p16", 0.4, ("twemproxy",)),
    Bar("get-p64", 0.7, ("predixy",)),
    Bar("get-c1000", 0.95, ("predixy",)),
    Bar("set", 1.0, ("predixy",)),
    Bar("set-p16", 0.8, ("predixy",)),
    Bar("set-p64", 0.7, ("predixy",)),
    Bar("mget10", 0.85, BEST_SHARDING),
    Bar("mset10", 0.85, BEST_SHARDING),
    Bar("get-1k", 1.0, BEST_OF_ALL),
    Bar("get-16k", 1.0, BEST_OF_ALL),
    Bar("get-1m", 1.0, BEST_OF_ALL),
]


@dataclass(frozen=True)
class Verdict:
    title: str
    ours: float
    unit: str
    bar: str        # In words.
    limit: float
    passed: bool


def verdicts(result: dict) -> list[Verdict]:
    """A verdict per bar whose two sides were measured; `result` as bench.py writes it."""
    found = []
    workloads = {workload["name"]: workload for workload in result.get("workloads", [])}
    for bar in BARS:
        if bar.workload not in workloads:
            continue
        cpu = {name: cell["cpu_us"]
               for name, cell in workloads[bar.workload]["targets"].items() if "cpu_us" in cell}
        peers = [name for name in bar.peers if name in cpu]
        if OURS not in cpu or not peers:
            continue
        best = min(peers, key=cpu.get)
        limit = bar.factor * cpu[best]
        words = f"{bar.factor:g} x {best}" + (", the best" if len(bar.peers) > 1 else "")
        found.append(Verdict(workloads[bar.workload]["title"], cpu[OURS], "us CPU per request",
                             words, limit, cpu[OURS] <= limit))
    absolutes = [
        ("System calls per GET, 50 clients", "syscalls", "per_request", "calls",
         SYSCALLS_PER_REQUEST_MAX),
        ("RSS per idle connection", "idle", "bytes_per_connection", "bytes",
         IDLE_CONNECTION_BYTES_MAX)]
    for title, section, figure, unit, limit in absolutes:
        ours = result.get(section, {}).get(OURS, {}).get(figure)
        if ours is not None:
            found.append(Verdict(title, ours, unit, "fixed", limit, ours <= limit))
    return found
