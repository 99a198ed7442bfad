#!/usr/bin/python3
"""Every command of docs/operations.md works as written, from an empty store to a drained group."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

from checks import run_tests
from servers import Process, RedisServer, free_port, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
DOCUMENT = os.path.join(HERE, "..", "..", "docs", "operations.md")
RUN_TIMEOUT_S = 180


def blocks():
    with open(DOCUMENT, encoding="utf-8") as document:
        return re.findall(r"^```sh\n(.*?)^```", document.read(), re.S | re.M)


def test_operations(t):
    directory = tempfile.mkdtemp(prefix="pikaproxy-operations-")
    ports = {"19000": free_port(), "19001": free_port()}
    servers = []
    try:
        for name in ("7001", "7002", "7003"):
            servers.append(RedisServer())
            ports[name] = servers[-1].port
        servers.append(RedisServer("--replicaof", "127.0.0.1", ports["7001"]))
        ports["7011"] = servers[-1].port
        proxy = Process([os.path.abspath(t.pikaproxy), "--proxy.listen", "127.0.0.1:%d" % ports["19000"],
                         "--admin.listen", "127.0.0.1:%d" % ports["19001"], "--dashboard.data_dir", "data"],
                        "operations", directory)
        servers.append(proxy)
        wait_until(lambda: "admin port open" in proxy.log(), 30, "the admin port")
        # One shell for all, since later blocks use the names that earlier ones set. What a block prints stands
        # behind its number.
        script = "set -e -o pipefail\n"
        commands = blocks()
        for number, block in enumerate(commands):
            script += "echo \"== block %d\"\n%s" % (number, block)
        for name, port in ports.items():
            script = re.sub(r"\b%s\b" % name, str(port), script)
        run = subprocess.run(["bash", "-c", script], cwd=directory, timeout=RUN_TIMEOUT_S, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        t.check(len(commands) > 10, "the document has commands")
        t.equal(run.returncode, 0, "all of them succeed; the output ends with: %s" % run.stdout[-600:])
        parts = run.stdout.split("== block ")
        for number in range(len(commands)):
            shown = [part for part in parts if part.startswith("%d\n" % number)]
            t.check(shown, "block %d was reached" % number)
            if shown:
                t.check('"status":4' not in shown[0] and '"status":5' not in shown[0],
                        "block %d has no problem in its answers" % number, shown[0][-600:])
        with servers[1].client() as second:
            t.equal(second.call("DBSIZE"), 0, "the drained group holds nothing")
        with servers[3].client() as promoted:
            t.equal(promoted.call("ROLE")[0], b"master", "the replica is the master")
    finally:
        for server in reversed(servers):
            server.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
