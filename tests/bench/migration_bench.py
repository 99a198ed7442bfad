#!/usr/bin/env python3
"""What moving slots costs: moves all 1,024 slots of a group full of small keys to an empty one and
back, while clients work, and prints keys per second and what the clients noticed.

    tests/bench/migration_bench.py --pikaproxy build/release/pikaproxy [--keys 1000000]
                                   [--mover migrate|copy] [--rate 0]

Two redis-servers and the proxy run on loopback and end with the script. The load is redis-benchmark,
GET and SET of random keys, the same before, during and after the move.
"""

import argparse
import csv
import io
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

from admin_api import AdminApi
from resp import Resp
from servers import RedisServer, free_port, wait_until

FILL = """for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do
            redis.call('SET', string.format('key:%012d', i), ARGV[3])
          end"""
VALUE = "v" * 64
CLIENTS = 20


class Load:
    """redis-benchmark for about so long; p99 and errors of what it saw."""

    def __init__(self, port, keys, requests):
        self.commands = []
        for words in (["GET", "key:__rand_int__"], ["SET", "key:__rand_int__", VALUE]):
            self.commands.append(subprocess.Popen(
                ["redis-benchmark", "-p", str(port), "-c", str(CLIENTS // 2), "-n", str(requests),
                 "-r", str(keys), "--csv", *words],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))

    def is_running(self):
        return any(command.poll() is None for command in self.commands)

    def stop(self):
        for command in self.commands:
            command.terminate()
        for command in self.commands:
            command.communicate()

    def results(self):
        rows = []
        for command in self.commands:
            text = command.communicate()[0]
            if "rror" in text:
                rows.append({"error": text.strip().splitlines()[-1]})
                continue
            rows.append(list(csv.DictReader(io.StringIO(text[text.index('"test"'):])))[0])
        return rows


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def report(name, rows):
    for row in rows:
        if "error" in row:
            print("  %-8s ERROR %s" % (name, row["error"]))
        else:
            print("  %-8s %-4s %9s req/s  p50 %7s ms  p99 %7s ms  max %8s ms" %
                  (name, row["test"][:4], row["rps"], row["p50_latency_ms"], row["p99_latency_ms"],
                   row["max_latency_ms"]))
    sys.stdout.flush()


def fill(server, keys):
    with server.client(timeout=120) as client:
        for first in range(0, keys, 100_000):
            client.call("EVAL", FILL, "0", str(first), str(min(first + 100_000, keys) - 1), VALUE)


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    options.add_argument("--pikaproxy", required=True)
    options.add_argument("--keys", type=int, default=1_000_000)
    options.add_argument("--mover", choices=("migrate", "copy", "copy-by-type"), default="migrate")
    options.add_argument("--rate", type=int, default=0, help="keys per second; 0 = unlimited")
    options.add_argument("--load-requests", type=int, default=150_000)
    options.add_argument("--no-load", action="store_true")
    arguments = options.parse_args()
    renamed = {"migrate": (), "copy": ("MIGRATE",), "copy-by-type": ("MIGRATE", "DUMP", "RESTORE")}
    words = [word for name in renamed[arguments.mover]
             for word in ("--rename-command", name, "")]
    with tempfile.TemporaryDirectory() as data, RedisServer(*words) as a, RedisServer(*words) as b:
        fill(a, arguments.keys)
        port, admin_port = free_port(), free_port()
        proxy = subprocess.Popen(
            [os.path.abspath(arguments.pikaproxy), "--proxy.listen", "127.0.0.1:%d" % port,
             "--admin.listen", "127.0.0.1:%d" % admin_port, "--dashboard.data_dir", data],
            cwd=data, stdout=subprocess.DEVNULL, stderr=open(os.path.join(data, "log"), "w"))
        try:
            password = os.path.join(data, "admin-password")
            api = AdminApi("http://127.0.0.1:%d" % admin_port)
            wait_until(lambda: os.path.exists(password) and api.request, 20, "the dashboard")

            def log_in():
                api.log_in("admin", open(password).read().strip())
                return True

            wait_until(log_in, 20, "the admin port")
            source = api.add_group([a.address])
            target = api.add_group([b.address])
            api.assign(0, 1023, source)
            wait_until(lambda: Resp("127.0.0.1", port).call("PING") == "PONG", 20, "the proxy")
            if not arguments.no_load:
                load = Load(port, arguments.keys, arguments.load_requests)
                report("before", load.results())
            for direction, group in (("there", target), ("back", source)):
                load = None
                if not arguments.no_load:
                    # More than it will get done: ended when the slots have moved.
                    load = Load(port, arguments.keys, 100_000_000)
                cpu = cpu_seconds(proxy.pid)
                started = time.monotonic()
                fields = {"rate_limit_keys_per_second": arguments.rate} if arguments.rate else {}
                migration = api.migrate(0, 1023, group, **fields)
                document = api.await_migration(migration, timeout=1200)
                seconds = time.monotonic() - started
                print("%s: %d keys in %.1f s, %.0f keys/s, mover %s, proxy CPU %.1f s" %
                      (direction, document["keys_moved"], seconds, arguments.keys / seconds,
                       document["mover"], cpu_seconds(proxy.pid) - cpu))
                if load is not None:
                    load.stop()
            if not arguments.no_load:
                load = Load(port, arguments.keys, arguments.load_requests)
                migration = api.migrate(0, 1023, target)
                report("during", load.results())
                api.await_migration(migration, timeout=1200)
                load = Load(port, arguments.keys, arguments.load_requests)
                report("after", load.results())
            with b.client() as client:
                print("keys at the target:", client.call("DBSIZE"))
        finally:
            proxy.terminate()
            proxy.wait(20)


if __name__ == "__main__":
    main()
