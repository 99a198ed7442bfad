#!/usr/bin/env python3
"""Keys live where twemproxy puts them.

Writes keys through a real nutcracker over real redis-servers, for every hash and distribution and several
kinds of server lists, then asks ketama_place (built with the tests) for the server of each key and compares.

    ketama_test.py --place build/dev/tests/ketama_place [--pikaproxy build/dev/pikaproxy] [--all] [--seed N]

With --pikaproxy also the whole way: a proxy started from the configuration that import-twemproxy prints reads
what nutcracker wrote, and nutcracker reads what the proxy wrote.
"""

import argparse
import os
import random
import select
import socket
import subprocess
import sys
import tempfile
import time

from resp import Resp, encode
from servers import Process, RedisServer, free_port, wait_until

HASHES = ["one_at_a_time", "md5", "crc16", "crc32", "crc32a", "fnv1_64", "fnv1a_64", "fnv1_32", "fnv1a_32",
          "hsieh", "murmur", "jenkins"]
KEYS = 10_000
IO_TIMEOUT_S = 30
START_TIMEOUT_S = 20
# Requests sent before their replies are read, where nothing reads meanwhile: must fit socket buffers.
BATCH = 100


class MemcachedPortRedis(Process):
    """A redis-server on port 11211, which twemproxy leaves out of a server's name. The port is given, so the
    address is one of the loopback network's 16 million that nobody else is likely to use."""

    def __init__(self, rng):
        self.host = "127.%d.%d.%d" % (rng.randint(1, 254), rng.randint(0, 255), rng.randint(1, 254))
        self.port = 11211
        super().__init__(["redis-server", "--port", "11211", "--bind", self.host, "--save", "",
                          "--appendonly", "no"], "redis")
        wait_until(lambda: self.client().call("PING") == "PONG", START_TIMEOUT_S, "redis-server to answer")

    def client(self):
        return Resp(self.host, self.port)


class Backends:
    """Five redis-servers, one of them behind a unix socket and one on port 11211."""

    def __init__(self, rng):
        self.directory = tempfile.TemporaryDirectory(prefix="pikaproxy-ketama-")
        path = os.path.join(self.directory.name, "redis.sock")
        self.processes = []
        try:
            for _ in range(3):
                self.processes.append(RedisServer())
            self.processes.append(RedisServer("--unixsocket", path))
            self.processes.append(MemcachedPortRedis(rng))
        except BaseException:
            self.stop()
            raise
        # As nutcracker.yml has them: without weight and name.
        self.addresses = ["%s:%d" % (process.host, process.port) for process in self.processes]
        self.addresses[3] = path
        self.clients = [process.client() for process in self.processes]

    def stop(self):
        for process in self.processes:
            process.stop()
        self.directory.cleanup()

    def flush(self):
        for client in self.clients:
            assert client.call("FLUSHALL") == "OK"

    def placement(self):
        """Which server has each key."""
        return {key: index for index, client in enumerate(self.clients) for key in client.call("KEYS", "*")}


class Pool:
    """One pool of nutcracker.yml. `servers`: (index of the backend, weight, name or "")."""

    def __init__(self, name, hash, distribution, hash_tag, servers):
        self.name = name
        self.hash = hash
        self.distribution = distribution
        self.hash_tag = hash_tag
        self.servers = servers

    def yaml(self, backends, listen):
        lines = ["%s:" % self.name, "  listen: %s" % listen, "  redis: true", "  hash: %s" % self.hash,
                 "  distribution: %s" % self.distribution]
        if self.hash_tag:
            lines.append('  hash_tag: "%s"' % self.hash_tag)
        lines.append("  servers:")
        for backend, weight, name in self.servers:
            lines.append("   - %s:%d%s" % (backends.addresses[backend], weight, " " + name if name else ""))
        return "\n".join(lines) + "\n"

    def our_places(self, program, backends, keys):
        """The backends' indexes, in the order of the keys."""
        argv = [program, self.hash, self.distribution, self.hash_tag]
        for backend, weight, name in self.servers:
            address = backends.addresses[backend]
            argv += ["unix:" + address if address.startswith("/") else address, str(weight), name]
        with open(keys.hex_path, "rb") as file:
            run = subprocess.run(argv, stdin=file, text=True, capture_output=True, timeout=IO_TIMEOUT_S,
                                 check=False)
        if run.returncode != 0:
            raise RuntimeError(run.stderr)
        return [self.servers[int(line)][0] for line in run.stdout.split()]


def server_lists():
    """Names and orders are such that sorting matters: twemproxy puts shorter names first. The rings of "s177"
    and "s1469" share a point (1341884884), which must go to the server that comes first in that order."""
    names = ["s1469", "cache-10", "s177", "zz", "b"]
    weights = [1, 3, 7, 2, 10]
    return {
        "unnamed": [(i, 1, "") for i in range(5)],
        "unnamed_weights": [(i, weights[i], "") for i in (3, 0, 4, 2, 1)],
        "named": [(i, 1, names[i]) for i in (4, 2, 0, 1, 3)],
        "named_weights": [(i, weights[i], names[i]) for i in range(5)],
    }


def pools_of(hash, every_combination):
    """Every list of servers with both distributions, and with a hash tag, without, or (every_combination)
    both: otherwise they take turns, so that half of the hashes have each list with and half without."""
    pools = []
    for number, (kind, servers) in enumerate(server_lists().items(), HASHES.index(hash)):
        for distribution in ("ketama", "modula"):
            for tag in ("", "{}") if every_combination else ("{}",) if number % 2 else ("",):
                name = "%s_%s_%s%s" % (hash, distribution, kind, "_tag" if tag else "")
                pools.append(Pool(name, hash, distribution, tag, servers))
    return pools


def special_pools():
    """Where rules about rounding, lengths and single servers show."""
    lists = {
        "one_server": [(2, 5, "only")],
        "two_with_equal_points": [(0, 1, "s1469"), (2, 1, "s177")],
        "three_of_equal_weight": [(i, 7, "n%d" % i) for i in range(3)],
        "no_points_for_one": [(0, 100000, ""), (1, 1, ""), (2, 1000, "")],
        "uneven_weights": [(i, (13, 17, 29, 1, 1000003)[i], "w%d" % i) for i in range(5)],
        "names_near_the_limit": [(i, 1, chr(97 + i) * (266 + i)) for i in range(5)],
        "names_beyond_the_limit": [(i, 1, str(i) + "x" * 300) for i in range(5)],
        "names_of_other_bytes": [(0, 1, "Z\u00fcrich"), (1, 2, "\u4e1c\u4eac"), (2, 1, "a:b:c"), (3, 1, "/x"), (4, 1, "e#")],
    }
    pools = []
    for kind, servers in lists.items():
        for distribution in ("ketama", "modula"):
            pools.append(Pool("%s_%s" % (distribution, kind), "fnv1a_64", distribution, "", servers))
    named = server_lists()["named"]
    for tag_name, tag in (("dollars", "$$"), ("letters", "ab"), ("reversed", "}{")):
        pools.append(Pool("tag_of_%s" % tag_name, "murmur", "ketama", tag, named))
    return pools


class Keys(list):
    """The keys, and what every comparison needs of them, made once: SETs of each key to its index, and a file
    of the keys in hexadecimal."""

    def __init__(self, keys, directory):
        super().__init__(keys)
        self.writes = b"".join(encode(b"SET", key, index) for index, key in enumerate(keys))
        self.hex_path = os.path.join(directory, "keys%d" % len(keys))
        with open(self.hex_path, "w", encoding="ascii") as file:
            file.writelines(key.hex() + "\n" for key in keys)


def make_keys(rng):
    """Different keys: of every length up to 64, long ones, bytes above 0x7F, and tags in every state."""
    keys = {b"", b"{", b"}", b"{}", b"{}x", b"x{}", b"}{", b"{{}}", b"{a}{b}", b"{}{a}", b"a{b", b"a}b{", b"$", b"$$",
            b"$$x", b"$a$b$", b"ab", b"axb", b"ba", b"\x00", b"\r\n", b" ", b"\xff", b"\x80{\xff\x00}\x80"}
    keys.update(bytes([byte]) for byte in range(256))
    # Their fnv1a_64 lies just below the point that "s177" and "s1469" share.
    keys.update(b"key:%d" % number for number in range(64900, 64910))
    while len(keys) < KEYS:
        kind = rng.randrange(8)
        size = rng.randint(1, 64)
        if kind <= 1:
            key = b"user:%d:%s" % (rng.randrange(10**9), rng.choice([b"name", b"cart", b""]))
        elif kind <= 3:
            key = rng.randbytes(size)
        elif kind == 4:
            key = bytes(rng.randint(0x80, 0xFF) for _ in range(size))
        elif kind == 5:
            key = b"%s{%s}%s" % (rng.randbytes(rng.randrange(4)), rng.randbytes(rng.randrange(20)), rng.randbytes(4))
        elif kind == 6:
            key = bytes(rng.choice(b"{}$ab\x90") for _ in range(size))
        else:
            key = rng.randbytes(rng.randint(65, 400)) if rng.randrange(8) else rng.randbytes(rng.randint(1000, 4000))
        keys.add(key)
    keys = sorted(keys)
    rng.shuffle(keys)
    return keys


def exchange(path, payload, reply_size):
    """Sends all of `payload` while reading: a pipeline larger than any buffer. Returns the replies' bytes."""
    deadline = time.monotonic() + IO_TIMEOUT_S
    reply = bytearray()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(path)
        connection.setblocking(False)
        unsent = memoryview(payload)
        while len(reply) < reply_size:
            readable, writable, _ = select.select([connection], [connection] if unsent else [], [], 1.0)
            if writable:
                unsent = unsent[connection.send(unsent[:65536]):]
            if readable:
                data = connection.recv(262144)
                if not data:
                    raise ConnectionError("closed after %d bytes of replies: %r" % (len(reply), bytes(reply[-100:])))
                reply += data
            if time.monotonic() > deadline:
                raise TimeoutError("%d of %d bytes of replies" % (len(reply), reply_size))
    return bytes(reply)


def write_all(path, keys):
    expected = b"+OK\r\n" * len(keys)
    reply = exchange(path, keys.writes, len(expected))
    if reply != expected:
        bad = next(line for line in reply.split(b"\r\n") if line != b"+OK")
        raise AssertionError("a write was answered with %r" % bad)


def not_found(path, keys):
    """The keys that GET does not answer with their value."""
    missing = []
    with Resp(path=path, timeout=IO_TIMEOUT_S) as client:
        for start in range(0, len(keys), BATCH):
            batch = keys[start:start + BATCH]
            replies = client.call_many([(b"GET", key) for key in batch])
            missing += [key for index, (key, reply) in enumerate(zip(batch, replies), start)
                        if reply != b"%d" % index]
    return missing


class Nutcracker(Process):
    """Serves all `pools`, each on a unix socket: paths[name]."""

    def __init__(self, pools, backends):
        directory = tempfile.mkdtemp(prefix="pikaproxy-nutcracker-")
        self.paths = {pool.name: os.path.join(directory, "p%d" % index) for index, pool in enumerate(pools)}
        config = os.path.join(directory, "nutcracker.yml")
        with open(config, "w", encoding="utf-8") as file:
            file.write("\n".join(pool.yaml(backends, self.paths[pool.name]) for pool in pools))
        super().__init__(["nutcracker", "-c", config, "-a", "127.0.0.1", "-s", str(free_port()), "-v", "4"],
                         "nutcracker", directory)
        self.owns_directory = True
        try:
            wait_until(self._listens_or_died, START_TIMEOUT_S, "nutcracker to listen")
            if not self.is_running():
                raise RuntimeError("nutcracker did not start:\n" + self.log())
        except BaseException:
            self.stop()
            raise

    def _listens_or_died(self):
        # The pools are opened in the order of their names.
        return not self.is_running() or all(os.path.exists(path) for path in self.paths.values())


class Pikaproxy(Process):
    """Started from what import-twemproxy makes of the pool."""

    def __init__(self, program, pool, backends):
        directory = tempfile.mkdtemp(prefix="pikaproxy-imported-")
        self.path = os.path.join(directory, "sock")
        yaml_path = os.path.join(directory, "nutcracker.yml")
        with open(yaml_path, "w", encoding="utf-8") as file:
            file.write(pool.yaml(backends, self.path))
        config = os.path.join(directory, "pikaproxy.toml")
        imported = subprocess.run([program, "import-twemproxy", yaml_path, "--pool", pool.name], text=True,
                                  capture_output=True, timeout=IO_TIMEOUT_S, check=False)
        if imported.returncode != 0:
            raise RuntimeError("import-twemproxy failed: " + imported.stderr)
        with open(config, "w", encoding="utf-8") as file:
            # No fixed port for metrics.
            file.write(imported.stdout + "\n[admin]\nenabled = false\n")
        super().__init__([program, "--config", config], "imported", directory)
        self.owns_directory = True
        try:
            wait_until(self._answers_or_died, START_TIMEOUT_S, "pikaproxy to answer PING")
            if not self.is_running():
                raise RuntimeError("pikaproxy did not start:\n%s\n%s" % (self.log(), imported.stdout))
        except BaseException:
            self.stop()
            raise

    def _answers_or_died(self):
        if not self.is_running():
            return True
        with Resp(path=self.path, timeout=2) as client:
            return client.call("PING") == "PONG"


class Score:
    def __init__(self):
        self.passed = 0
        self.failed = 0

    def check(self, name, problem):
        """`problem`: empty if all is well."""
        if problem:
            self.failed += 1
            print("FAILED %s: %s" % (name, problem), flush=True)
        else:
            self.passed += 1


def some(keys):
    return "%d keys, such as %r" % (len(keys), keys[:3])


def compare_placement(pool, nutcracker, backends, keys, place, score):
    backends.flush()
    try:
        write_all(nutcracker.paths[pool.name], keys)
        real = backends.placement()
        ours = pool.our_places(place, backends, keys)
    except (OSError, RuntimeError, AssertionError) as error:
        score.check(pool.name, str(error))
        return
    differing = [key for key, server in zip(keys, ours) if real.get(key) != server]
    if differing:
        score.check(pool.name, "other servers for " + some(differing))
    elif len(real) != len(keys):
        score.check(pool.name, "%d keys were written, %d are there" % (len(keys), len(real)))
    else:
        score.check(pool.name, "")


def compare_data(pool, nutcracker, backends, keys, program, score):
    try:
        with Pikaproxy(program, pool, backends) as proxy:
            theirs, ours = nutcracker.paths[pool.name], proxy.path
            for writer, reader, name in ((theirs, ours, "nutcracker writes, pikaproxy reads"),
                                         (ours, theirs, "pikaproxy writes, nutcracker reads")):
                backends.flush()
                write_all(writer, keys)
                missing = not_found(reader, keys)
                score.check("%s: %s" % (pool.name, name), missing and "not found: " + some(missing))
    except (OSError, RuntimeError, AssertionError) as error:
        score.check(pool.name, str(error))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--place", required=True, help="the program ketama_place")
    parser.add_argument("--pikaproxy", help="the proxy, to compare data as well")
    parser.add_argument("--all", action="store_true", help="every combination, not every second one")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    print("seed %d" % options.seed, flush=True)
    rng = random.Random(options.seed)
    score = Score()
    backends = Backends(rng)
    try:
        keys = Keys(make_keys(rng), backends.directory.name)
        few_keys = Keys(keys[:2000], backends.directory.name)
        for number, pools in enumerate([pools_of(hash, options.all) for hash in HASHES] + [special_pools()]):
            with Nutcracker(pools, backends) as nutcracker:
                for pool in pools:
                    compare_placement(pool, nutcracker, backends, keys, options.place, score)
                if options.pikaproxy:
                    # Placement has been compared in full; here it is about the import and the wire, so one
                    # pool per hash will do, each time of another kind.
                    pool = pools[number % len(pools)]
                    compare_data(pool, nutcracker, backends, few_keys, options.pikaproxy, score)
    finally:
        backends.stop()
    print("%d passed, %d failed" % (score.passed, score.failed))
    return 1 if score.failed else 0


if __name__ == "__main__":
    sys.exit(main())
