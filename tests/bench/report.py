"""Turns a result (the dict that bench.py saves as JSON) into tables for terminal and docs."""

import statistics

import bars

BEGIN_MARK = "<!-- measured: begin (written by tests/bench/bench.py --markdown) -->"
END_MARK = "<!-- measured: end -->"


def _grid(header: list[str], rows: list[list[str]]) -> str:
    """Columns aligned by spaces: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [header] + rows) for column in range(len(header))]
    lines = []
    for row in [header, ["-" * width for width in widths]] + rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _markdown_grid(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def _figure(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _rate(cell: dict) -> str:
    rate = cell["requests_per_s"]
    return f"{rate / 1000:,.1f}k" if rate >= 10_000 else f"{rate:,.0f}"


def _mib(size: float) -> str:
    return f"{size / (1 << 20):,.1f}"


def workload_table(workload: dict) -> str:
    """One workload, a line per target, for the terminal."""
    ours = workload["targets"].get(bars.OURS, {}).get("cpu_us")
    rows = []
    for name, cell in workload["targets"].items():
        if "error" in cell:
            rows.append([name, "failed"] + [""] * 8)
            continue
        cpu = cell.get("cpu_us")
        rows.append([
            name, _rate(cell), _figure(cell["p50_ms"], 3), _figure(cell["p99_ms"], 3),
            _figure(cpu), _figure(cell["server_cpu_us"]),
            f"{cell['cpu_spread']:.0%}" if cpu else "-",
            _mib(cell["peak_rss_bytes"]) if cpu else "-",
            _figure(cell["load_cpu_share"]),
            _figure(ours / cpu) if ours and cpu else "-"])
    header = [workload["title"], "req/s", "p50 ms", "p99 ms", "CPU us", "server us", "spread",
              "peak MiB", "load core", "ours/it"]
    text = _grid(header, rows)
    for name, cell in workload["targets"].items():
        if "error" in cell:
            text += f"\n{name} failed: {cell['error']}"
    return text


def _verdict_rows(result: dict) -> tuple[list[str], list[list[str]]]:
    header = ["Bar", "ours", "limit", "which is", "verdict"]
    rows = [[verdict.title, f"{verdict.ours:,.2f} {verdict.unit}", f"{verdict.limit:,.2f}",
             verdict.bar, "pass" if verdict.passed else "FAIL"]
            for verdict in bars.verdicts(result)]
    return header, rows


def _syscall_rows(result: dict) -> tuple[list[str], list[list[str]]]:
    rows = []
    for name, cell in result["syscalls"].items():
        if "error" in cell:
            rows.append([name, "failed", cell["error"].splitlines()[0]])
            continue
        names = ", ".join(f"{call} {count:.2f}" for call, count in cell["by_name"].items())
        rows.append([name, _figure(cell["per_request"]), names])
    return ["System calls per GET", "calls", "of which"], rows


def _idle_rows(result: dict) -> tuple[list[str], list[list[str]]]:
    rows = []
    for name, cell in result["idle"].items():
        if "error" in cell:
            rows.append([name, "failed", cell["error"].splitlines()[0]])
            continue
        rows.append([name, _figure(cell["bytes_per_connection"], 0), f"{cell['connections']:,}"])
    return ["Idle connections", "bytes RSS each", "connections"], rows


def _worker_rows(result: dict) -> tuple[list[str], list[list[str]]]:
    rows = []
    for name, cell in result["workers"].items():
        if "error" in cell:
            rows.append([name, "failed", cell["error"].splitlines()[0], "", "", ""])
        rows += [[row["title"], str(row["workers"]), _rate(row), _figure(row["cpu_us"]),
                  f"{row['busiest_thread_share']:.0%}", f"{row['machine_busy']:.0%}"]
                 for row in cell.get("rows", [])]
    return ["Workers, nothing pinned", "workers", "req/s", "CPU us", "busiest thread",
            "machine busy"], rows


def _sections(result: dict):
    """The tables besides the workloads that this result has."""
    if result.get("syscalls"):
        yield _syscall_rows(result)
    if result.get("idle"):
        yield _idle_rows(result)
    if result.get("workers"):
        yield _worker_rows(result)
    header, rows = _verdict_rows(result)
    if rows:
        yield header, rows


def closing_tables(result: dict) -> str:
    """What follows the workloads on the terminal."""
    return "\n\n".join(_grid(*section) for section in _sections(result))


def _matrix(result: dict, show) -> str:
    """Workloads down, targets across."""
    names = list(dict.fromkeys(name for workload in result["workloads"]
                               for name in workload["targets"]))
    rows = []
    for workload in result["workloads"]:
        row = [workload["title"]]
        for name in names:
            cell = workload["targets"].get(name)
            if cell is None:
                row.append("-")
            else:
                row.append("failed" if "error" in cell else show(cell))
        rows.append(row)
    return _markdown_grid(["Workload"] + names, rows)


def _spread_sentence(result: dict) -> str:
    """How far to trust the CPU figures."""
    spreads = [cell["cpu_spread"] for workload in result["workloads"]
               for cell in workload["targets"].values() if "cpu_spread" in cell]
    if not spreads or result["settings"]["rounds"] < 2:
        return ""
    return (f"From its cheapest to its dearest round a CPU figure differed by "
            f"{statistics.median(spreads):.0%} in the median and {max(spreads):.0%} at worst.")


def markdown(result: dict) -> str:
    """The measured part of docs/performance.md."""
    machine, settings = result["machine"], result["settings"]
    parts = [
        f"Measured on {result['date']} with `{result['command']}`.",
        f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"Linux {machine['kernel']}. Load average before the start: {machine['load_average']}.",
        "Versions: " + "; ".join(f"{name}: {version}" for name, version
                                 in result["versions"].items() if version) + ".",
    ]
    if result.get("workloads"):
        parts += [
            f"Medians of {settings['rounds']} rounds of about {settings['seconds']:g} s. "
            + _spread_sentence(result),
            "### CPU of the proxy, microseconds per request",
            _matrix(result, lambda cell: _figure(cell.get("cpu_us"))),
            "### CPU of the three servers, microseconds per request",
            _matrix(result, lambda cell: _figure(cell["server_cpu_us"])),
            "### Requests per second",
            _matrix(result, _rate),
            "### Latency, p50 / p99 in ms",
            _matrix(result, lambda cell: f"{cell['p50_ms']:.2f} / {cell['p99_ms']:.2f}"),
            "### Peak RSS of the proxy, MiB",
            _matrix(result, lambda cell: _mib(cell["peak_rss_bytes"])
                    if "peak_rss_bytes" in cell else "-"),
        ]
    titles = {"System calls per GET": "System calls", "Idle connections": "Idle connections",
              "Workers, nothing pinned": "More workers", "Bar": "Bars"}
    for header, rows in _sections(result):
        parts += [f"### {titles[header[0]]}", _markdown_grid(header, rows)]
    return "\n\n".join(parts) + "\n"


def has_marks(document: str) -> bool:
    """Whether there is a measured part to replace."""
    return BEGIN_MARK in document and END_MARK in document.partition(BEGIN_MARK)[2]


def replace_measured_part(document: str, result: dict) -> str:
    """`document`, which has_marks(), with what stands between the two marks replaced."""
    before, _, rest = document.partition(BEGIN_MARK)
    after = rest.partition(END_MARK)[2]
    return f"{before}{BEGIN_MARK}\n\n{markdown(result)}\n{END_MARK}{after}"
