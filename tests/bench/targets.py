"""The servers, and what is measured in front of them: how each proxy is configured and started.

Every proxy gets one thread that forwards and no login, listens on 127.0.0.1, and keeps no log and
no latency histogram per request where that can be left out (twemproxy: `-v 4`; predixy: no
LatencyMonitor). All other settings are its own.
"""

import json
import os
import resource
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from processes import BenchError, Child, Fleet, free_port

SLOT_COUNT = 1024
SERVER_COUNT = 3


def clients_max() -> int:
    """How many clients a process is told to take: what its open files allow, less some spare."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500


@dataclass
class Server:
    child: Child
    port: int


def start_servers(fleet: Fleet, cores: set[int] | None) -> list[Server]:
    """Redis servers that never write to disk."""
    servers = []
    for number in range(SERVER_COUNT):
        port = free_port()
        argv = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                "--appendonly", "no", "--io-threads", "1", "--maxclients", str(clients_max()),
                "--tcp-backlog", "1024", "--daemonize", "no"]
        servers.append(Server(fleet.start(f"server{number}", argv, cores), port))
    return servers


@dataclass(frozen=True)
class Setup:
    """What a proxy's configuration is made of."""
    directory: Path
    listen: int          # Port of 127.0.0.1.
    servers: list[int]   # Ports of 127.0.0.1.
    workers: int = 1     # Only ours can be given more.


@dataclass(frozen=True)
class Target:
    """One thing to measure. `command` writes the configuration and returns the command line."""
    name: str
    shards: bool                                    # Spreads keys over the servers.
    command: Callable[[Setup], list[str]] | None    # None: load goes straight to the first server.
    version_command: list[str] = field(default_factory=list)

    def version(self) -> str:
        """The first line it says about itself."""
        if not self.version_command:
            return ""
        try:
            done = subprocess.run(self.version_command, capture_output=True, text=True, timeout=5)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        lines = (done.stdout + done.stderr).strip().splitlines()
        # predixy names the path it was started by.
        words = lines[0].split() if lines else []
        return " ".join(word for word in words if not word.startswith("/"))


@dataclass
class Running:
    """A started target."""
    target: Target
    port: int
    child: Child | None   # None for direct.


def start_target(fleet: Fleet, target: Target, servers: list[Server], cores: set[int] | None,
                 workers: int = 1) -> Running:
    """Starts it; it may not serve yet."""
    if target.command is None:
        return Running(target, servers[0].port, None)
    port = free_port()
    setup = Setup(fleet.directory, port, [server.port for server in servers], workers)
    return Running(target, port, fleet.start(target.name, target.command(setup), cores))


def _write(setup: Setup, name: str, text: str) -> str:
    path = setup.directory / name
    path.write_text(text)
    return str(path)


def _haproxy(setup: Setup) -> list[str]:
    config = _write(setup, "haproxy.cfg", f"""\
global
    nbthread 1
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen redis
    bind 127.0.0.1:{setup.listen} backlog 1024
    server s0 127.0.0.1:{setup.servers[0]}
""")
    return ["haproxy", "-db", "-f", config]


def _twemproxy(setup: Setup) -> list[str]:
    servers = "".join(f"    - 127.0.0.1:{port}:1\n" for port in setup.servers)
    config = _write(setup, "twemproxy.yml", f"""\
bench:
  listen: 127.0.0.1:{setup.listen}
  redis: true
  hash: fnv1a_64
  distribution: ketama
  preconnect: true
  auto_eject_hosts: false
  timeout: 5000
  backlog: 1024
  servers:
{servers}""")
    return ["nutcracker", "-c", config, "-o", str(setup.directory / "twemproxy.out"),
            "-p", str(setup.directory / "twemproxy.pid"), "-a", "127.0.0.1",
            "-s", str(free_port()), "-v", "4"]


def _predixy(binary: str, setup: Setup) -> list[str]:
    groups = "".join(f"    Group g{number} {{\n        + 127.0.0.1:{port}\n    }}\n"
                     for number, port in enumerate(setup.servers))
    config = _write(setup, "predixy.conf", f"""\
Name bench
Bind 127.0.0.1:{setup.listen}
WorkerThreads 1
Log {setup.directory}/predixy.out
LogVerbSample 0
LogDebugSample 0
LogInfoSample 0
StandaloneServerPool {{
    Databases 16
    Hash crc16
    HashTag "{{}}"
    Distribution modula
    RefreshMethod fixed
{groups}}}
""")
    return [binary, config]


def _codis(binary: str, setup: Setup) -> list[str]:
    slots = []
    for slot in range(SLOT_COUNT):
        group = slot * len(setup.servers) // SLOT_COUNT
        slots.append({"id": slot, "backend_addr": f"127.0.0.1:{setup.servers[group]}",
                      "backend_addr_group_id": group + 1})
    slots_file = _write(setup, "codis_slots.json", json.dumps(slots))
    config = _write(setup, "codis.toml", f"""\
product_name = "bench"
admin_addr = "127.0.0.1:{free_port()}"
proto_type = "tcp4"
proxy_addr = "127.0.0.1:{setup.listen}"
proxy_max_clients = {clients_max()}
""")
    return [binary, "--ncpu=1", "--max-ncpu=1", f"--config={config}", f"--fillslots={slots_file}"]


def _pikaproxy(binary: str, setup: Setup) -> list[str]:
    count = len(setup.servers)
    groups = ""
    for number, port in enumerate(setup.servers):
        first, last = SLOT_COUNT * number // count, SLOT_COUNT * (number + 1) // count - 1
        groups += (f'\n[[group]]\nname = "g{number}"\nserver = "127.0.0.1:{port}"\n'
                   f'slots = "{first}-{last}"\n')
    config = _write(setup, "pikaproxy.toml", f"""\
[proxy]
listen = ["127.0.0.1:{setup.listen}"]
workers = {setup.workers}
max_clients = {clients_max()}

[admin]
enabled = false
{groups}""")
    return [binary, "--config", config]


def _binary(path: str, what: str) -> str:
    found = shutil.which(path)
    if not found:
        raise BenchError(f"{what} names {path}, which is not a program that can be run.")
    return str(Path(found).resolve())


def available_targets(pikaproxy: str | None) -> dict[str, Target]:
    """By name, in the order of the tables: what is installed or named, ours last."""
    targets = [Target("direct", False, None, ["redis-server", "--version"])]
    if shutil.which("haproxy"):
        targets.append(Target("haproxy", False, _haproxy, ["haproxy", "-v"]))
    if shutil.which("nutcracker"):
        targets.append(Target("twemproxy", True, _twemproxy, ["nutcracker", "-V"]))
    if path := os.environ.get("PREDIXY"):
        predixy = _binary(path, "PREDIXY")
        targets.append(Target("predixy", True, lambda setup: _predixy(predixy, setup),
                              [predixy, "--version"]))
    if path := os.environ.get("CODIS_PROXY"):
        codis = _binary(path, "CODIS_PROXY")
        targets.append(Target("codis", True, lambda setup: _codis(codis, setup),
                              [codis, "--version"]))
    if pikaproxy:
        ours = _binary(pikaproxy, "--pikaproxy")
        targets.append(Target("pikaproxy", True, lambda setup: _pikaproxy(ours, setup),
                              [ours, "--version"]))
    return {target.name: target for target in targets}
