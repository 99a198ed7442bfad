#!/usr/bin/env python3
"""Runs client libraries against pikaproxy over three groups, as applications use them.

    run.py --pikaproxy build/dev/pikaproxy [names of clients]

redis-py and hiredis come from Debian; ioredis and node-redis from npm ("npm --prefix tests/clients ci" first). Each
program prints what fails; the last line is "N passed, N failed" over all.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))

from servers import PikaProxy, RedisServer  # noqa: E402

TIMEOUT_S = 120
PASSWORD = {"auth.password": "secret"}
USERS = ({"name": "app", "password": "secret2", "admin": True},)


def compile_hiredis(directory):
    """The path of the program."""
    program = os.path.join(directory, "hiredis")
    subprocess.run(["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-D_DEFAULT_SOURCE",
                    os.path.join(HERE, "hiredis.c"), "-o", program, "-lhiredis"], check=True)
    return program


CLIENTS = {
    "redis-py": lambda directory: [sys.executable, os.path.join(HERE, "redis_py.py")],
    "hiredis": lambda directory: [compile_hiredis(directory)],
    "ioredis": lambda directory: ["node", os.path.join(HERE, "ioredis.mjs")],
    "node-redis": lambda directory: ["node", os.path.join(HERE, "node_redis.mjs")],
    "node-redis-resp3": lambda directory: ["node", os.path.join(HERE, "node_redis.mjs")],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pikaproxy", required=True, help="the program")
    parser.add_argument("names", nargs="*", choices=[[], *CLIENTS], help="clients (all)")
    options = parser.parse_args()
    passed = failed = 0
    servers = []
    try:
        for _ in range(3):
            servers.append(RedisServer())
        with PikaProxy(options.pikaproxy, servers) as proxy, \
                PikaProxy(options.pikaproxy, servers, PASSWORD, USERS) as with_password, \
                tempfile.TemporaryDirectory() as directory:
            proxy.wait_for_servers()
            with_password.wait_for_servers()
            for name in options.names or CLIENTS:
                argv = CLIENTS[name](directory) + [proxy.host, str(proxy.port), str(with_password.port)]
                if name.endswith("resp3"):
                    argv.append("3")
                done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT_S, check=False)
                text = done.stdout.decode("utf-8", "replace").rstrip()
                last = re.fullmatch(r"(\d+) passed, (\d+) failed", text.rsplit("\n", 1)[-1])
                good, bad = (int(last.group(1)), int(last.group(2))) if last else (0, 1)
                if done.returncode != 0 and bad == 0:
                    bad = 1
                print("%s\n  %s: %d passed, %d failed" % (text, name, good, bad), flush=True)
                passed += good
                failed += bad
    finally:
        for server in servers:
            server.stop()
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
