#!/usr/bin/python3
"""CLIENT TRACKING: who has read a key is told when it changes, behind the value that was read and never too early,
whatever happens to servers and slots meanwhile."""

import collections
import random
import re
import signal
import sys
import threading

from checks import Background, run_tests
from moving_clients_test import Moving
from resp import Push, RespError, encode
from resp3_test import Bed, Raw, requests_of
from servers import wait_until

# Sent over one connection each to a redis-server and to the proxy.
SEQUENCES = """CLIENT TRACKINGINFO|CLIENT GETREDIR|CLIENT CACHING YES|CLIENT TRACKING ON|CLIENT TRACKINGINFO|CLIENT GETREDIR
CLIENT TRACKING x|CLIENT TRACKING ON x|CLIENT TRACKING ON PREFIX a|CLIENT TRACKING ON BCAST OPTIN|CLIENT TRACKING OFF x
CLIENT TRACKING ON OPTIN OPTOUT|CLIENT TRACKING ON REDIRECT|CLIENT TRACKING ON REDIRECT x|CLIENT TRACKING ON REDIRECT 99999999
CLIENT TRACKING ON OPTIN|CLIENT CACHING YES|CLIENT TRACKINGINFO|CLIENT CACHING NO
CLIENT TRACKING ON OPTIN|CLIENT TRACKING ON OPTOUT|CLIENT TRACKING ON BCAST|CLIENT CACHING x|CLIENT TRACKINGINFO
CLIENT TRACKING ON OPTIN|CLIENT CACHING YES|GET {t}a|CLIENT TRACKINGINFO|CLIENT CACHING YES|PING|CLIENT TRACKINGINFO
CLIENT TRACKING ON OPTOUT NOLOOP|CLIENT CACHING NO|CLIENT TRACKINGINFO|CLIENT CACHING YES|CLIENT TRACKING OFF|CLIENT TRACKINGINFO
CLIENT TRACKING ON BCAST PREFIX a PREFIX b|CLIENT TRACKINGINFO|CLIENT TRACKING ON BCAST PREFIX ab|CLIENT TRACKING ON
CLIENT TRACKING ON BCAST PREFIX a PREFIX aa|CLIENT TRACKING ON BCAST PREFIX a PREFIX b PREFIX c|CLIENT TRACKING OFF|RESET
CLIENT TRACKING ON|RESET|CLIENT TRACKINGINFO|CLIENT CACHING""".split("\n")


def tracking(process, *options, version=3):
    client = Raw(process.host, process.port)
    client.call("HELLO", version)
    answer = client.call("CLIENT", "TRACKING", "ON", *options)
    if answer != "OK":
        raise RuntimeError("CLIENT TRACKING ON: %s" % answer)
    return client


def told_of(client):
    """The next message: the keys, None for all of them."""
    message = client.read()
    if not isinstance(message, Push) or message[0] != b"invalidate":
        raise ValueError("not an invalidation: %r" % (message,))
    return message[1]


def nothing_comes(t, client, what):
    """What was to come would be here before the answer to the next request."""
    t.equal(client.call("PING"), "PONG", what)


def await_flush(client):
    """What comes until all keys are told of."""
    while told_of(client) is not None:
        pass


def test_as_redis(t):
    with Bed(t) as bed:
        for version in (3, 2):
            for sequence in SEQUENCES:
                with Raw(bed.plain.host, bed.plain.port) as plain, Raw(bed.proxy.host, bed.proxy.port) as ours:
                    plain.call("HELLO", version), ours.call("HELLO", version)
                    for _, request in requests_of(sequence):
                        t.equal(ours.raw_call(*request), plain.raw_call(*request),
                                "RESP%d: %s" % (version, " ".join(request)))
        with tracking(bed.proxy, "BCAST") as client:
            line = client.call("CLIENT", "INFO").decode()
            t.check("flags=tB " in line and " redir=0 " in line, "CLIENT INFO shows it", line)
            t.check(b"tracking_clients:1" in client.call("INFO", "clients"), "so does INFO")
            t.error(client.call("HELLO", "2"), "ERR CLIENT TRACKING is on", "the protocol stays")
        wait_until(lambda: b"tracking_clients:0" in bed.proxy.client().call("INFO", "clients"), 20, "the count to fall")


def test_told(t):
    with Bed(t) as bed, bed.proxy.client() as writer:
        with tracking(bed.proxy) as client:
            keys = ["k%d" % number for number in range(20)]
            for key in keys:
                writer.call("SET", key, "1")
            t.equal(client.call("MGET", *keys), [b"1"] * len(keys), "keys of all groups")
            for key in keys:
                writer.call("SET", key, "2")
                t.equal(told_of(client), [key.encode()], "a write by somebody else")
            writer.call("SET", keys[0], "3")
            nothing_comes(t, client, "who has been told is told again after the next read only")
            changes = (["APPEND", "x"], ["DEL"], ["EXPIRE", "0"], ["RENAME", "{k0}y"])
            for change in changes:
                writer.call("SET", "{k0}", "1")
                client.call("GET", "{k0}")
                writer.call(change[0], "{k0}", *change[1:])
                t.equal(told_of(client), [b"{k0}"], change[0])
            t.equal(client.call("GET", "none"), None, "a key that is not there")
            writer.call("SET", "none", "1")
            t.equal(told_of(client), [b"none"], "and then is")
            client.call("GET", "own")
            t.equal(client.call("SET", "own", "1"), "OK", "its own write")
            t.equal(told_of(client), [b"own"], "is told of, too")
            writer.call("HSET", "h", "a", "1")
            t.equal(client.call_many([["MULTI"], ["HGETALL", "h"], ["EXEC"]]), ["OK", "QUEUED", [{b"a": b"1"}]], "EXEC")
            writer.call("HSET", "h", "a", "2")
            t.equal(told_of(client), [b"h"], "keys read by a transaction")
            script = "return redis.call('get', KEYS[1])"
            client.call("EVAL", script, 1, "s")
            writer.call("SET", "s", "1")
            t.equal(told_of(client), [b"s"], "keys read by a script")
            sha = client.call("SCRIPT", "LOAD", script)
            client.call("EVALSHA", sha.decode(), 1, "s")
            writer.call("SET", "s", "2")
            t.equal(told_of(client), [b"s"], "and by EVALSHA")
            client.call("WATCH", "w")
            client.call_many([["MULTI"], ["GET", "w"]])
            t.equal(client.call("EXEC"), [None], "a read over a connection of the client's own")
            t.equal(told_of(client), [b"w"], "is told of at once")
            client.call("GET", "{k0}")
            writer.call("FLUSHALL")
            t.equal(told_of(client), None, "FLUSHALL: all keys")
            client.call("SELECT", "3")
            client.call("GET", "other")
            writer.call("SELECT", "3")
            writer.call("SET", "other", "1")
            t.equal(told_of(client), [b"other"], "a key of another database")
            writer.call("SELECT", "0")
            client.call("GET", "off")
            t.equal(client.call("CLIENT", "TRACKING", "OFF"), "OK", "off")
            writer.call("SET", "off", "1")
            nothing_comes(t, client, "and nothing is told")


def test_choice(t):
    with Bed(t) as bed, bed.proxy.client() as writer:
        with tracking(bed.proxy, "OPTIN") as client:
            client.call("GET", "a")
            client.call("CLIENT", "CACHING", "YES")
            client.call("GET", "b")
            client.call("GET", "c")
            client.call("CLIENT", "CACHING", "YES")
            client.call_many([["MULTI"], ["GET", "{d}1"], ["GET", "{d}2"], ["EXEC"]])
            for key in ("a", "b", "c", "{d}1", "{d}2"):
                writer.call("SET", key, "1")
            t.equal([told_of(client)[0] for _ in range(3)], [b"b", b"{d}1", b"{d}2"], "OPTIN: what was asked for")
            nothing_comes(t, client, "and no other")
        with tracking(bed.proxy, "OPTOUT") as client:
            client.call("GET", "a")
            client.call("CLIENT", "CACHING", "NO")
            client.call("GET", "b")
            client.call("CLIENT", "CACHING", "NO")
            client.call("PING")
            client.call("GET", "c")
            for key in ("a", "b", "c"):
                writer.call("SET", key, "2")
            t.equal([told_of(client)[0] for _ in range(2)], [b"a", b"c"], "OPTOUT: what was not")
            nothing_comes(t, client, "and no other")


def test_no_loop(t):
    """With NOLOOP a client is not told of what it is certain to have changed itself, and of everything else."""
    with Bed(t) as bed, tracking(bed.proxy, "NOLOOP") as client, tracking(bed.proxy) as reader, \
            bed.proxy.client() as writer:
        changes = ["SET k v|SET k w", "SET k 1|INCR k", "DEL k|SET k v EX 100", "HSET h f v|HDEL h f", "SADD s a|SADD s b",
                   "RPUSH l a|LPUSH l b", "ZADD z 1 a|ZREM z a", "SET k v|EXPIRE k 100", "SET k v|DEL k", "DEL h|HSET h f v"]
        for line in changes:
            before, change = (words.split(" ") for words in line.split("|"))
            key = change[1]
            writer.call(*before)
            for each in (client, reader):
                each.call("EXISTS", key)
            client.call(*change)
            t.equal(told_of(reader), [key.encode()], "another client is told of %s" % change)
            nothing_comes(t, client, "nothing comes for %s" % change)
            client.call("EXISTS", key)
            writer.call("SET", key, "other")
            t.equal(told_of(client), [key.encode()], "a change by another client, after %s" % change)
            writer.call("DEL", key)
        # What changes nothing must not make the proxy forget.
        for line in ("SET k v|SET k w NX", "SET k v|HSET k f v", "SADD s a|SADD s a", "SET k v|SETNX k x", "HSET h f v|HDEL h g",
                     "DEL k|EXPIRE k 100", "SADD s a|SREM s b"):
            before, change = (words.split(" ") for words in line.split("|"))
            key = change[1]
            writer.call("DEL", key)
            writer.call(*before)
            client.call("EXISTS", key)
            client.call(*change)
            nothing_comes(t, client, "%s changes nothing" % change)
            writer.call("SET", key, "changed")
            t.equal(told_of(client), [key.encode()], "what another client changes after %s" % change)
            writer.call("DEL", key)


def test_no_loop_at_random(t):
    """Two that write the same keys: what one has read and the other has changed since, it is told of."""
    rng = t.rng()
    with Bed(t) as bed, tracking(bed.proxy, "NOLOOP") as client, bed.proxy.client() as writer:
        keys = ["k%d" % number for number in range(6)]
        cache = {}
        asked = collections.deque()

        def take(reply):
            if isinstance(reply, Push):
                for key in cache if reply[1] is None else reply[1]:
                    cache.pop(key, None)
                return
            what, key = asked.popleft()
            if what == "GET":
                cache[key] = reply
            else:  # A value that it has written itself is none that it has read.
                cache.pop(key, None)

        for round in range(400):
            others = Background(lambda: [writer.call("SET", key, "w%d" % round) for key in rng.sample(keys, 2)])
            for _ in range(8):
                key = rng.choice(keys)
                what = rng.choice(("GET", "GET", "SET"))
                asked.append((what, key.encode()))
                client.send(what, key, *(["c%d" % round] if what == "SET" else []))
            while asked:
                take(client.read())
            others.result()
        # Whatever is on its way comes before the answer to a request to each server.
        for key in keys * 3:
            client.send("STRLEN", key)
            while isinstance(reply := client.read(), Push):
                take(reply)
        wait_until(lambda: not drained(client, take), 20, "nothing more to come")
        values = {key.encode(): writer.call("GET", key) for key in keys}
        t.equal({key: value for key, value in cache.items() if value != values[key]}, {}, "no old value is left")


def drained(client, take):
    """Whether something came before the answer to a PING."""
    client.send("PING")
    came = False
    while isinstance(reply := client.read(), Push):
        came = True
        take(reply)
    return came


def test_memory(t):
    """The keys that are remembered count as queued bytes, and there is a bound."""
    with Bed(t) as bed, bed.proxy.client() as other:
        def queued():
            return int(re.search(rb"queued_bytes:(\d+)", other.call("INFO", "memory")).group(1))

        before = queued()
        with tracking(bed.proxy) as client:
            for number in range(2000):
                client.send("GET", "%d" % number + "x" * 1000)
            for number in range(2000):
                client.read()
            wait_until(lambda: queued() > before + 2_000_000, 20, "the keys to be counted")
        with tracking(bed.proxy) as client:  # The last one to have tracking gives everything back.
            pass
        wait_until(lambda: queued() < before + 500_000, 20, "them to be forgotten")


def test_broadcast(t):
    with Bed(t) as bed, bed.proxy.client() as writer:
        with tracking(bed.proxy, "BCAST", "PREFIX", "u:", "PREFIX", "v:") as some, tracking(bed.proxy, "BCAST") as all_:
            writer.call("SET", "u:1", "1")
            writer.call("SET", "x:1", "1")
            writer.call("MSET", "v:1", "1", "y:1", "1")
            t.equal(sorted(told_of(some) + told_of(some)), [b"u:1", b"v:1"], "keys with the prefixes")
            got = []
            while len(got) < 4:
                got += told_of(all_)
            t.equal(sorted(got), [b"u:1", b"v:1", b"x:1", b"y:1"], "all keys")
            writer.call("FLUSHALL")
            t.equal([told_of(some), told_of(all_)], [None, None], "FLUSHALL")
        for server in bed.servers:
            with server.client() as direct:
                wait_until(lambda: not re.search(rb"flags=\w*B", direct.call("CLIENT", "LIST")), 20,
                           "the connections of the broadcasts to end with their clients")
        t.check(True, "nobody is left who would be told")


def test_redirect(t):
    with Bed(t) as bed, bed.proxy.client() as writer:
        for version in (2, 3):
            for options in ([], ["BCAST"]):
                for target_version in (2, 3):
                    what = "RESP%d %s to RESP%d: " % (version, " ".join(options), target_version)
                    target = Raw(bed.proxy.host, bed.proxy.port)
                    target.call("HELLO", target_version)
                    number = target.call("CLIENT", "ID")
                    if target_version == 2:
                        t.equal(target.call("SUBSCRIBE", "__redis__:invalidate")[2], 1, what + "SUBSCRIBE")
                    with tracking(bed.proxy, "REDIRECT", number, *options, version=version) as client:
                        t.equal(client.call("CLIENT", "GETREDIR"), number, what + "GETREDIR")
                        t.error(client.call("CLIENT", "TRACKING", "ON", "REDIRECT", number, "REDIRECT", number),
                                "ERR A client can only redirect to a single other client", what + "two targets")
                        client.call("MGET", "a", "b", "c", "d")
                        seen = set()
                        for key in ("a", "b", "c", "d"):
                            writer.call("SET", key, "1")
                        while len(seen) < 4:
                            message = target.read()
                            t.equal(message[:-1], [b"invalidate"] if target_version == 3 else
                                    [b"message", b"__redis__:invalidate"], what + "the message")
                            if message[-1] is not None:
                                seen |= set(message[-1])
                        t.equal(seen, {b"a", b"b", b"c", b"d"}, what + "the keys")
                        target.close()

                        def is_broken():
                            client.call("GET", "a")
                            writer.call("SET", "a", "2")
                            with bed.proxy.client() as other:
                                return b"flags=tR" in other.call("CLIENT", "LIST")

                        if version == 2:
                            wait_until(is_broken, 20, "the lack of a target to be noticed")
                            t.check(b"broken_redirect" in client.call("CLIENT", "TRACKINGINFO")[1], what + "and shown")


def test_order(t):
    """A message comes behind the reply with the old value, also where that has to wait."""
    with Bed(t) as bed, bed.proxy.client() as writer:
        keys = {}
        for number in range(100):
            with bed.servers[0].client() as direct:
                writer.call("SET", "k%d" % number, "1")
                keys.setdefault(direct.call("EXISTS", "k%d" % number), "k%d" % number)
        slow, quick = keys[1], keys[0]
        old_values = 0
        for _ in range(10):
            writer.call("SET", quick, "1")
            with tracking(bed.proxy) as client, tracking(bed.proxy) as other:
                bed.servers[0].send_signal(signal.SIGSTOP)
                client.send("GET", slow)
                client.send("GET", quick)
                t.equal(other.call("GET", quick), b"1", "another client's read")
                writer.call("SET", quick, "2")
                t.equal(told_of(other), [quick.encode()], "a client that waits for nothing is told")
                bed.servers[0].send_signal(signal.SIGCONT)
                t.equal(client.read(), b"1", "the slow reply")
                value = client.read()
                if value == b"1":
                    old_values += 1
                    t.equal(told_of(client), [quick.encode()], "then the value, then that it has changed")
        t.check(old_values > 0, "old values were kept while the slow reply was awaited")


def test_connection_lost(t):
    with Bed(t) as bed, bed.proxy.client() as writer:
        with tracking(bed.proxy) as client, tracking(bed.proxy, "BCAST") as broadcast:
            target = Raw(bed.proxy.host, bed.proxy.port)
            target.call("HELLO", 3)
            with tracking(bed.proxy, "REDIRECT", target.call("CLIENT", "ID"), version=2) as redirecting:
                client.call("GET", "a")
                redirecting.call("GET", "a")
                for server in bed.servers:
                    server.client().call("CLIENT", "KILL", "TYPE", "normal")
                await_flush(client), await_flush(broadcast), await_flush(target)
                t.check(True, "all keys may have changed")
                wait_until(lambda: client.call("GET", "a") is None, 20, "a new connection")
                wait_until(lambda: writer.call("SET", "a", "1") == "OK", 20, "another one")
                t.equal(told_of(client), [b"a"], "tells again")
            target.close()


def test_not_supported(t):
    with Bed(t, "--rename-command", "HELLO", "") as bed, Raw(bed.proxy.host, bed.proxy.port) as client:
        for version in (3, 2):
            client.call("HELLO", version)
            for options in ([], ["BCAST"]):
                if version == 3:
                    t.error(client.call("CLIENT", "TRACKING", "ON", *options),
                            "ERR unknown subcommand 'TRACKING': server .* has no client-side caching", "refused")
                t.equal(client.call("GET", "a"), None, "the client goes on")
        t.equal(client.call("CLIENT", "TRACKINGINFO")[1], [b"off"], "without tracking")


def test_moved_slot(t):
    """The server that was read from learns nothing of what is written at another one."""
    with Moving(t) as cluster, cluster.proxy.client() as writer:
        with tracking(cluster.proxy) as client, tracking(cluster.proxy, "BCAST") as broadcast:
            for client_, name in ((client, "default"), (broadcast, "BCAST")):
                t.equal(client_.call("GET", "none"), None, name + ": a key that is not there")
            cluster.move("none")
            t.equal(writer.call("SET", "none", "1"), "OK", "a write at the new server")
            t.equal(told_of(client), [b"none"], "default: who read the key at the old one is told")
            t.equal(told_of(broadcast), None, "BCAST: all keys may have changed")
            t.equal(client.call("GET", "none"), b"1", "read again")
            writer.call("SET", "none", "2")
            t.equal(told_of(client), [b"none"], "and told again")


class Caching:
    """A client that keeps what it reads until it is told that it has changed, as libraries do."""

    def __init__(self, proxy, rng, keys, *options):
        self.client = tracking(proxy, *options)
        self.client.set_timeout(60)
        self.random = rng
        self.keys = keys
        self.cache = {}
        self.lock = threading.Lock()
        self.asked = collections.deque()
        self.told = 0
        self.reads = 0
        self.reader = Background(self._read)

    def ask(self):
        keys = [key for key in self.random.sample(self.keys, 4) if key not in self.cache][:self.random.randrange(1, 4)]
        if not keys or len(self.asked) > 50:
            return
        one = ["{same}%d" % self.random.randrange(8)]
        with self.lock:
            kind = self.random.randrange(4)
            if kind == 0:
                self._send(keys, ["MGET", *keys])
            elif kind == 1:
                self._send(None, ["MULTI"]), self._send(None, ["GET", one[0]]), self._send(one, ["EXEC"])
            elif kind == 2:
                self._send(keys[:1], ["EVAL", "return {redis.call('get', KEYS[1])}", "1", keys[0]])
            else:
                self._send(keys[:1], ["MGET", keys[0]])

    def _send(self, keys, request):
        self.asked.append(keys)
        self.client.send_bytes(encode(*request))

    def _read(self):
        try:
            while True:
                reply = self.client.read()
                if isinstance(reply, Push):
                    self.told += 1
                    if reply[1] is None:
                        self.cache.clear()
                    for key in reply[1] or ():
                        self.cache.pop(key.decode(), None)
                    continue
                keys = self.asked.popleft()
                if keys is not None and isinstance(reply, list):
                    self.reads += len(keys)
                    self.cache.update((key, value) for key, value in zip(keys, reply)
                                      if not isinstance(value, RespError))
        except (OSError, ValueError):
            return

    def close(self):
        self.client.socket.shutdown(2)
        self.reader.result()
        self.client.close()


def check_caches(t, proxy, disturb, writes, what):
    """Clients read and write at random while disturb() runs; in the end no cache holds an old value."""
    rng = random.Random(t.seed)
    keys = ["key%d" % number for number in range(40)] + ["{same}%d" % number for number in range(8)]
    caches = [Caching(proxy, random.Random(rng.random()), keys, *options)
              for options in ([], [], [], ["NOLOOP"], ["BCAST"], ["BCAST", "PREFIX", ""])]
    ended = threading.Event()
    acknowledged = {}

    def write(number):
        own = random.Random(number)
        for value in range(writes):
            key = own.choice(keys[number::3])
            with proxy.client(timeout=60) as client:
                for _ in range(5):
                    reply = client.call(*(["SET", key, "%d.%d" % (number, value)] if own.random() < 0.9 else ["DEL", key]))
            ended.wait(0.002)

    def read(cache):
        while not ended.is_set():
            cache.ask()
            ended.wait(0.002)

    writers = [Background(write, number) for number in range(3)]
    readers = [Background(read, cache) for cache in caches]
    disturb()
    for writer in writers:
        writer.result(120)
    ended.set()
    for reader in readers:
        reader.result()

    def stale():
        with proxy.client(timeout=60) as client:
            values = dict(zip(keys, client.call("MGET", *keys)))
        return [(number, key, value, values[key]) for number, cache in enumerate(caches)
                for key, value in list(cache.cache.items()) if value != values[key]]

    try:
        wait_until(lambda: not any(cache.asked for cache in caches) and not stale(), 30, "the caches to be true")
    except TimeoutError:
        pass
    t.equal(stale(), [], what + ": no old value is left in a cache")
    t.check(sum(len(cache.cache) for cache in caches) > 0, what + ": there is something in the caches")
    t.check(all(cache.told > 10 and cache.reads > 10 for cache in caches), what + ": they were told of changes",
            [(cache.told, cache.reads) for cache in caches])
    for cache in caches:
        cache.close()


def test_caches(t):
    with Bed(t) as bed:
        check_caches(t, bed.proxy, lambda: None, 300, "in quiet times")


def test_caches_and_lost_connections(t):
    with Bed(t) as bed:
        def disturb():
            for number in range(10):
                threading.Event().wait(0.15)
                with bed.servers[number % 2].client() as direct:
                    direct.call("CLIENT", "KILL", "TYPE", "normal")
                if number == 5:
                    with bed.proxy.client() as client:
                        client.call("FLUSHALL")
        check_caches(t, bed.proxy, disturb, 300, "with lost connections")


def test_caches_and_moving_slots(t):
    with Moving(t) as cluster:
        at = {}

        def disturb():
            for _ in range(6):
                for key in ("{same}1", "key1", "key2"):
                    cluster.at = at.get(key, 0)
                    cluster.move(key)
                    at[key] = cluster.at

        check_caches(t, cluster.proxy, disturb, 400, "with moving slots")


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
