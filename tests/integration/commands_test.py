#!/usr/bin/env python3
"""What clients see of commands through three groups, compared with one plain redis-server where it must be the same.

    commands_test.py --pikaproxy build/dev/pikaproxy [--seed N] [names of tests]
"""

import hashlib
import random
import signal
import sys
import threading
import time

from checks import Background, group_of, keys_of_group, pipeline, read_raw, run_tests, slot_of
from fake_server import FakeServer
from random_commands import CommandMaker
from resp import RespError, encode
from servers import PikaProxy, RedisServer, wait_until

GROUPS = 3
IO_TIMEOUT_S = 30


class ThreeGroups:
    """Three servers, a proxy over them, and one more server to compare with."""

    def __init__(self, t, options=None, users=(), with_plain=False):
        self.servers = []
        try:
            for _ in range(GROUPS + (1 if with_plain else 0)):
                self.servers.append(RedisServer("--enable-debug-command", "local"))
            self.proxy = PikaProxy(t.pikaproxy, self.servers[:GROUPS], options, users)
        except BaseException:
            self.stop_servers()
            raise

    @property
    def plain(self):
        return self.servers[GROUPS]

    def client(self):
        return self.proxy.client(timeout=IO_TIMEOUT_S)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        try:
            self.proxy.__exit__(*exception)
        finally:
            self.stop_servers()

    def stop_servers(self):
        for server in self.servers:
            server.stop()


def sha_of(script):
    return hashlib.sha1(script.encode()).hexdigest()


def in_pieces(client, raw, rng):
    """Sends `raw` cut at random places, so that requests arrive in parts and many at once."""
    at = 0
    while at < len(raw):
        size = rng.choice((1, 7, 100, 1000, 10_000, 100_000, 1_000_000))
        client.send_bytes(raw[at:at + size])
        at += size


def is_dump_of_stream(request, reply):
    """It has the milliseconds at which each consumer was seen last, and those differ from server to server."""
    stream_types = (15, 19, 21)  # Of RDB: STREAM_LISTPACKS, and its versions 2 and 3.
    value = reply.partition(b"\r\n")[2]
    return request[0].upper() == "DUMP" and reply[:1] == b"$" and len(value) > 2 and value[0] in stream_types


def compare(t, requests, ours, plain, rng, what):
    """Sends the same to both, in one pipeline each; byte-equal replies. False at the first difference."""
    raw = b"".join(encode(*request) for request in requests)
    sender = Background(in_pieces, ours, raw, rng)
    got = [read_raw(ours.reader) for _ in requests]
    sender.result()
    expected = pipeline(plain, raw, len(requests))
    for request, our, their in zip(requests, got, expected):
        if our != their and not (is_dump_of_stream(request, our) and is_dump_of_stream(request, their)):
            t.check(False, what, "request  %r" % (request,), "expected %r" % their[:300], "got      %r" % our[:300])
            return False
    t.passed += len(requests)
    return True


# ---- Keys ---------------------------------------------------------------------------------------


def differential(t, cluster, rng, tag, count):
    maker = CommandMaker(rng, tag)
    with cluster.client() as ours, cluster.plain.client(timeout=IO_TIMEOUT_S) as plain:
        while count > 0:
            chunk = [maker.command() for _ in range(rng.choice((1, 2, 10, 100, 300)))]
            count -= len(chunk)
            if not compare(t, chunk, ours, plain, rng, "differential, tag %s" % tag):
                return


def test_differential_at_once(t):
    """Random commands by several connections at the same time: their replies must not mix."""
    rng = t.rng()
    with ThreeGroups(t, with_plain=True) as cluster:
        work = [Background(differential, t, cluster, random.Random(rng.getrandbits(32)), "c%d" % number, 500)
                for number in range(6)]
        for one in work:
            one.result()


def test_many_keys(t):
    """MGET, MSET, DEL, UNLINK, EXISTS, TOUCH with keys of all groups, repeated and missing ones."""
    rng = t.rng()
    with ThreeGroups(t, with_plain=True) as cluster, cluster.client() as ours, cluster.plain.client() as plain:
        def some_keys():
            return ["key%d" % rng.randrange(60) for _ in range(rng.choice((1, 2, 3, 10, 40)))]

        for _ in range(20):
            requests = []
            for _ in range(50):
                kind = rng.randrange(8)
                if kind == 0:
                    requests.append(["MSET"] + [word for key in some_keys()
                                                for word in (key, "v%d" % rng.getrandbits(30))])
                elif kind == 1:
                    requests.append(["LPUSH", "key%d" % rng.randrange(60), "not a string"])
                elif kind == 2:
                    requests.append(["SET", "key%d" % rng.randrange(60), "x" * rng.choice((0, 1, 500, 20_000))])
                elif kind == 3:
                    requests.append(["MSET", "key1", "a", "key2"])
                else:
                    requests.append([rng.choice(("MGET", "mget", "DEL", "UNLINK", "EXISTS", "TOUCH"))] + some_keys())
            if not compare(t, requests, ours, plain, rng, "keys of several groups"):
                return


def test_mget_of_ten_thousand(t):
    with ThreeGroups(t) as cluster, cluster.client() as client:
        keys = ["big:%d" % number for number in range(10_000)]
        t.equal(client.call("MSET", *(word for key in keys for word in (key, "value of " + key))), "OK", "MSET")
        replies = client.call("MGET", *keys, "missing")
        t.check(replies == [b"value of " + key.encode() for key in keys] + [None], "MGET of 10,000 keys")
        t.equal(client.call("EXISTS", *keys), 10_000, "EXISTS of 10,000 keys")
        t.equal(client.call("TOUCH", *keys, *keys), 20_000, "TOUCH counts repeated keys")
        t.equal(sum(server.client().call("DBSIZE") for server in cluster.servers), 10_000, "all are stored once")
        t.check(all(server.client().call("DBSIZE") > 2500 for server in cluster.servers), "in all groups")
        t.equal(client.call("DEL", *keys[:5000], "missing"), 5000, "DEL")
        t.equal(client.call("UNLINK", *keys), 5000, "UNLINK")
        t.equal(client.call("DBSIZE"), 0, "nothing is left")


def test_large_mget(t):
    """Values of a MiB from all groups in one reply."""
    with ThreeGroups(t) as cluster, cluster.client() as client:
        keys = [key for group in range(GROUPS) for key in keys_of_group(group, GROUPS, 3)]
        values = {key: bytes([65 + number]) * (1_000_000 + number) for number, key in enumerate(keys)}
        for key in keys:
            client.call("SET", key, values[key])
        t.check(client.call("MGET", *keys) == [values[key] for key in keys], "MGET of 9 MB")


def test_slots(t):
    """Each group's server holds exactly the keys of its slots."""
    with ThreeGroups(t) as cluster, cluster.client() as client:
        keys = ["k%d" % number for number in range(500)]
        keys += ["{a}x", "a{tag}", "x{{y}}z", "{}x", "{}y", "{abc", "", "a}b{"]
        for key in keys:
            client.call("SET", key, "v")
        for number, server in enumerate(cluster.servers):
            with server.client() as direct:
                held = set(direct.call("KEYS", "*"))
            expected = {key.encode() for key in keys if group_of(key, GROUPS) == number}
            t.equal(held ^ expected, set(), "group %d holds the keys of its slots" % number)
        for key, slot in (("a", 579), ("b", 1017), ("c", 879), ("{}x", 0), ("{a}{b}", 579), ("a{tag}", 899)):
            t.equal(slot_of(key), slot, "this test's own slot of %r" % key)


def test_crossslot(t):
    crossslot = RespError("CROSSSLOT Keys in request don't hash to the same slot")
    with ThreeGroups(t) as cluster, cluster.client() as client:
        # One group, two slots: refused all the same, so that a later move of slots changes nothing.
        a, b = keys_of_group(0, GROUPS, 2)
        t.check(slot_of(a) != slot_of(b), "two slots of one group")
        for request in (["MSETNX", a, 1, b, 2], ["RENAME", a, b], ["RENAMENX", a, b], ["COPY", a, b],
                        ["LMOVE", a, b, "LEFT", "RIGHT"], ["RPOPLPUSH", a, b], ["SMOVE", a, b, "m"], ["SINTER", a, b],
                        ["SUNIONSTORE", a, b, a], ["SINTERCARD", 2, a, b], ["ZUNIONSTORE", a, 2, a, b],
                        ["ZINTER", 2, a, b], ["ZRANGESTORE", a, b, 0, 1], ["BITOP", "AND", a, a, b],
                        ["PFCOUNT", a, b], ["PFMERGE", a, b], ["LCS", a, b], ["LMPOP", 2, a, b, "LEFT"],
                        ["ZMPOP", 2, a, b, "MIN"], ["XREAD", "STREAMS", a, b, 0, 0],
                        ["GEORADIUS", a, 0, 0, 1, "m", "STORE", b],
                        ["GEOSEARCHSTORE", a, b, "FROMMEMBER", "m", "BYRADIUS", 1, "m"],
                        ["SORT", a, "STORE", b], ["EVAL", "return 1", 2, a, b], ["EVALSHA", "0" * 40, 2, a, b],
                        ["FCALL", "f", 2, a, b]):
            t.equal(client.call(*request), crossslot, "%s with two slots" % request[0])
        t.equal(client.call("EXISTS", a, b), 0, "nothing happened")
        t.equal(client.call("MSETNX", "{t}1", "x", "{t}2", "y"), 1, "MSETNX in one slot")
        t.equal(client.call("MSETNX", "{t}2", "z", "{t}3", "y"), 0, "MSETNX with a key that exists")
        t.equal(client.call("RENAME", "{t}1", "{t}9"), "OK", "RENAME in one slot")
        t.equal(client.call("MGET", "{t}1", "{t}2", "{t}3", "{t}9"), [None, b"y", None, b"x"], "and its effect")


def scan_all(client, *options):
    cursor, keys, turns = b"0", [], 0
    while True:
        reply = client.call("SCAN", cursor, *options)
        if isinstance(reply, RespError):
            raise RuntimeError("SCAN %r %r: %r" % (cursor, options, reply))
        cursor, part = reply
        keys += part
        turns += 1
        if cursor == b"0":
            return keys
        if turns > 100_000:
            raise RuntimeError("SCAN does not end")


def test_scan(t):
    rng = t.rng()
    with ThreeGroups(t) as cluster, cluster.client() as client:
        t.equal(scan_all(client), [], "SCAN of nothing")
        strings = {b"string:%d" % number for number in range(3000)}
        lists = {b"list:%d" % number for number in range(500)}
        pipeline(client, b"".join([encode("SET", key, "v") for key in strings] +
                                  [encode("RPUSH", key, "v") for key in lists]), len(strings) + len(lists))
        for count in (1, 10, 100, 1000, 100_000):
            options = ["COUNT", count] if count > 1 else ["COUNT", 7]
            found = scan_all(client, *options)
            t.equal(set(found) ^ (strings | lists), set(), "SCAN COUNT %d finds all, and nothing else" % options[1])
            t.equal(len(found), len(set(found)), "SCAN COUNT %d finds each once while nothing changes" % options[1])
        t.equal(set(scan_all(client, "MATCH", "list:*")), lists, "SCAN MATCH")
        t.equal(set(scan_all(client, "MATCH", "string:1*", "COUNT", 50)),
                {key for key in strings if key.startswith(b"string:1")}, "SCAN MATCH COUNT")
        t.equal(set(scan_all(client, "TYPE", "list", "COUNT", 100)), lists, "SCAN TYPE")
        t.equal(set(scan_all(client, "TYPE", "list", "MATCH", "*:4*", "COUNT", 1000)),
                {key for key in lists if key.startswith(b"list:4")}, "SCAN TYPE MATCH COUNT")
        t.equal(scan_all(client, "TYPE", "stream", "COUNT", 1000), [], "SCAN of a type that is not there")

        # Keys that come and go meanwhile must not hide those that stay; the tables grow and shrink by them.
        def disturb():
            with cluster.client() as other:
                for turn in range(6):
                    keys = ["other:%d" % number for number in range(4000)]
                    request = [encode("SET", key, "v") if turn % 2 == 0 else encode("DEL", key) for key in keys]
                    pipeline(other, b"".join(request), len(request))
        disturber = Background(disturb)
        missed = [len((strings | lists) - set(scan_all(client, "COUNT", rng.choice((10, 50, 200))))) for _ in range(6)]
        disturber.result()
        t.equal(missed, [0] * 6, "no key that stays is missed while others come and go")

        t.equal(set(client.call("KEYS", "list:*")), lists, "KEYS list:*")
        t.equal(len(client.call("KEYS", "*")), 3500, "KEYS *")
        t.equal(client.call("KEYS", "nothing*"), [], "KEYS of nothing")
        t.equal(client.call("DBSIZE"), 3500, "DBSIZE")
        for cursor in ("x", "-1", "1x", "99999999999999999999999"):
            t.equal(client.call("SCAN", cursor), RespError("ERR invalid cursor"), "SCAN %s" % cursor)
        t.equal(client.call("SCAN", 0, "COUNT", 0), RespError("ERR syntax error"), "SCAN 0 COUNT 0")
        for cursor in ("18446744073709551615", "5000000000", "1023", "7"):
            reply = client.call("SCAN", cursor)
            t.check(isinstance(reply, list) and len(reply) == 2, "SCAN with a cursor that never was ends well",
                    cursor, reply)


def test_random_key(t):
    with ThreeGroups(t) as cluster, cluster.client() as client:
        t.equal(client.call_many([("RANDOMKEY",)] * 5), [None] * 5, "RANDOMKEY of nothing")
        key = keys_of_group(2, GROUPS, 1)[0].encode()
        client.call("SET", key, "v")
        t.equal(client.call_many([("RANDOMKEY",)] * 50), [key] * 50, "the only key, wherever it is")
        others = [keys_of_group(group, GROUPS, 1)[0].encode() for group in (0, 1)]
        for other in others:
            client.call("SET", other, "v")
        t.equal(set(client.call_many([("RANDOMKEY",)] * 300)), {key, *others}, "each group has its turn")
        t.equal(client.call_many([("SELECT", 1), ("RANDOMKEY",), ("SELECT", 0)]), ["OK", None, "OK"],
                "RANDOMKEY of another database")


def test_flush(t):
    with ThreeGroups(t) as cluster, cluster.client() as client:
        keys = [key for group in range(GROUPS) for key in keys_of_group(group, GROUPS, 5)]

        def fill():
            for db in (0, 3):
                client.call("SELECT", db)
                client.call("MSET", *(word for key in keys for word in (key, "v")))

        fill()
        t.equal(client.call("FLUSHDB"), "OK", "FLUSHDB in database 3")
        t.equal(client.call("DBSIZE"), 0, "database 3 is empty")
        client.call("SELECT", 0)
        t.equal(client.call("DBSIZE"), len(keys), "database 0 is not")
        fill()
        t.equal(client.call("FLUSHALL", "ASYNC"), "OK", "FLUSHALL ASYNC")
        t.equal(client.call_many([("DBSIZE",), ("SELECT", 0), ("DBSIZE",)]), [0, "OK", 0], "all is empty")
        t.equal(client.call("FLUSHALL", "FOO"), RespError("ERR syntax error"), "FLUSHALL FOO")


def test_databases(t):
    with ThreeGroups(t) as cluster, cluster.client() as client:
        keys = [keys_of_group(group, GROUPS, 1)[0] for group in range(GROUPS)]
        requests, expected = [], []
        for db in range(16):
            requests += [("SELECT", db)] + [("SET", key, "%s in %d" % (key, db)) for key in keys]
            expected += ["OK"] * 4
        for db in reversed(range(16)):
            requests += [("SELECT", db), ("MGET", *keys), ("DBSIZE",)]
            expected += ["OK", [b"%s in %d" % (key.encode(), db) for key in keys], 3]
        t.equal(client.call_many(requests), expected, "16 databases in one pipeline")
        for db, error in ((16, "ERR DB index is out of range"), (-1, "ERR DB index is out of range"),
                          ("x", "ERR value is not an integer or out of range")):
            t.equal(client.call("SELECT", db), RespError(error), "SELECT %s" % db)
        t.equal(client.call("GET", keys[0]), b"%s in 0" % keys[0].encode(), "a refused SELECT changes nothing")
        with cluster.client() as other:
            t.equal(other.call("GET", keys[0]), b"%s in 0" % keys[0].encode(), "a new client is in database 0")
        for number, server in enumerate(cluster.servers):
            with server.client() as direct:
                direct.call("SELECT", 7)
                t.equal(direct.call("GET", keys[number]), b"%s in 7" % keys[number].encode(),
                        "the same number at the server")


# ---- Scripts and functions ----------------------------------------------------------------------

INCR = "return redis.call('INCRBY', KEYS[1], ARGV[1])"


def test_databases_in_order(t):
    """What is sent behind a SELECT runs after what is before it, also if it concerns all databases."""
    flushed = threading.Event()
    overtaken = []
    server = FakeServer()

    def behave(connection, args):
        name = args[0].upper()
        if name == b"SET":
            # Long enough for a FLUSHALL that does not wait: it comes on a connection of its own.
            overtaken.append(flushed.wait(0.3))
            return b"+OK\r\n"
        if name == b"FLUSHALL":
            flushed.set()
            return b"+OK\r\n"
        return server.healthy(args)

    server.behave = behave
    with server, PikaProxy(t.pikaproxy, [server]) as proxy, proxy.client() as client:
        client.call_many([["SELECT", 1], ["GET", "a"], ["SELECT", 0], ["GET", "a"]])  # Both have connections now.
        client.send_bytes(encode("SET", "a", "1") + encode("SELECT", 1) + encode("FLUSHALL"))
        t.equal([client.read(), client.read(), client.read()], ["OK", "OK", "OK"], "SET, SELECT, FLUSHALL")
        t.equal(overtaken, [False], "FLUSHALL in another database is sent after the answer to SET")


def test_scripts(t):
    with ThreeGroups(t) as cluster, cluster.client() as client:
        keys = [keys_of_group(group, GROUPS, 1)[0] for group in range(GROUPS)]
        sha = sha_of(INCR)
        t.equal(client.call("SCRIPT", "EXISTS", sha), [0], "SCRIPT EXISTS of an unknown script")
        t.equal(client.call("EVALSHA", sha, 1, keys[0], 1),
                RespError("NOSCRIPT No matching script. Please use EVAL."), "EVALSHA of an unknown script")
        t.equal(client.call("SCRIPT", "LOAD", INCR), sha.encode(), "SCRIPT LOAD")
        t.equal(client.call("SCRIPT", "EXISTS", sha, "0" * 40), [1, 0], "SCRIPT EXISTS")
        for key in keys:
            t.equal(client.call("EVALSHA", sha.upper(), 1, key, 5), 5, "EVALSHA at each group, capital letters")
        for server in cluster.servers:
            with server.client() as direct:
                t.equal(direct.call("SCRIPT", "EXISTS", sha), [1], "every server has it")
        other = "return {KEYS[1], ARGV[1], 'other'}"
        t.equal(client.call("EVAL", other, 1, keys[0], "x"), [keys[0].encode(), b"x", b"other"], "EVAL")
        t.equal(client.call("SCRIPT", "EXISTS", sha_of(other), "0" * 40), [1, 0], "EVAL makes a script known everywhere")
        for key in keys:
            t.equal(client.call("EVALSHA", sha_of(other), 1, key, "x"), [key.encode(), b"x", b"other"],
                    "EVALSHA at all groups of what EVAL brought to one")
        t.equal(client.call("EVAL_RO", "return redis.call('GET', KEYS[1])", 1, keys[1]), b"5", "EVAL_RO")
        t.error(client.call("EVAL_RO", INCR, 1, keys[1], 1), "ERR Write commands are not allowed from read-only",
                "EVAL_RO that writes")
        t.equal(client.call("EVALSHA_RO", sha_of(other), 1, keys[2], "x"), [keys[2].encode(), b"x", b"other"],
                "EVALSHA_RO")
        t.error(client.call("EVAL", "return redis.call('GET'", 1, keys[0]), "ERR Error compiling script", "bad Lua")
        t.error(client.call("EVAL", "return 1", 1), "ERR Number of keys can't be greater than number of args",
                "too few keys")
        t.error(client.call("SCRIPT", "LOAD", "return ("), "ERR Error compiling script", "SCRIPT LOAD of bad Lua")
        t.equal(client.call("EVAL", "return 'no keys'", 0), b"no keys", "EVAL without keys")
        t.equal(client.call("SCRIPT", "FLUSH"), "OK", "SCRIPT FLUSH")
        t.equal(client.call("SCRIPT", "EXISTS", sha), [0], "SCRIPT EXISTS after SCRIPT FLUSH")
        t.equal(client.call("EVALSHA", sha, 1, keys[0], 1),
                RespError("NOSCRIPT No matching script. Please use EVAL."), "EVALSHA after SCRIPT FLUSH")
        t.equal(client.call("SCRIPT", "FLUSH", "ASYNC"), "OK", "SCRIPT FLUSH ASYNC")
        t.error(client.call("SCRIPT", "FLUSH", "FOO"), "ERR SCRIPT FLUSH only support SYNC|ASYNC option",
                "SCRIPT FLUSH FOO")
        t.error(client.call("SCRIPT", "KILL"), "NOTBUSY ", "SCRIPT KILL with nothing to kill")


def check_script_order(t, client, key, what):
    """A script that adds, with reads around it in one pipeline: each sees what was before it, and only that.
    Where the server lost its scripts NOSCRIPT is right too, as long as the script has no effect then."""
    client.call("SET", key, 0)
    requests = []
    for _ in range(5):
        requests += [("EVALSHA", sha_of(INCR), 1, key, 10), ("GET", key), ("INCR", key), ("GET", key)]
    replies = client.call_many(requests)
    value, expected = 0, []
    for reply in replies[0::4]:
        if isinstance(reply, RespError) and reply.startswith("NOSCRIPT "):
            expected.append(reply)
        else:
            value += 10
            expected.append(value)
        expected += [b"%d" % value, value + 1, b"%d" % (value + 1)]
        value += 1
    t.equal(replies, expected, what)


def test_script_order(t):
    with ThreeGroups(t) as cluster, cluster.client() as client:
        keys = [keys_of_group(group, GROUPS, 1)[0] for group in range(GROUPS)]
        client.call("SCRIPT", "LOAD", INCR)
        for key in keys:
            check_script_order(t, client, key, "EVALSHA and GET in a pipeline")
        t.equal(client.call("SCRIPT", "FLUSH"), "OK", "SCRIPT FLUSH")
        client.call("EVAL", INCR, 1, keys[0], 1)
        for key in keys:
            check_script_order(t, client, key, "the same after SCRIPT FLUSH and an EVAL at one group")
        for server in cluster.servers:
            server.client().call("SCRIPT", "FLUSH")
        for key in keys:
            check_script_order(t, client, key, "the same when the server has just lost its scripts")
            t.equal(client.call("EVALSHA", sha_of(INCR), 1, key, 0), int(client.call("GET", key)),
                    "EVALSHA works once more")
        for server in cluster.servers:
            server.client().call("SCRIPT", "FLUSH")
        for key in keys:
            t.equal(client.call("EVALSHA", sha_of(INCR), 1, key, 0), int(client.call("GET", key)),
                    "a lone EVALSHA works at once")


def test_script_after_restart(t):
    with ThreeGroups(t) as cluster, cluster.client() as client:
        key = keys_of_group(1, GROUPS, 1)[0]
        client.call("SCRIPT", "LOAD", INCR)
        t.equal(client.call("EVALSHA", sha_of(INCR), 1, key, 1), 1, "before")
        port = cluster.servers[1].port
        cluster.servers[1].stop()
        cluster.servers[1] = RedisServer(port=port)

        def is_back():
            return client.call("GET", key) is None
        wait_until(is_back, 20, "the group to work again")
        check_script_order(t, client, key, "EVALSHA at a server that was started anew")


def test_functions(t):
    library = ("#!lua name=lib\n"
               "redis.register_function('add',\n"
               "  function(keys, args) return redis.call('INCRBY', keys[1], args[1]) end)\n"
               "redis.register_function{function_name='read', flags={'no-writes'},\n"
               "  callback=function(keys) return redis.call('GET', keys[1]) end}")
    with ThreeGroups(t) as cluster, cluster.client() as client:
        keys = [keys_of_group(group, GROUPS, 1)[0] for group in range(GROUPS)]
        t.equal(client.call("FUNCTION", "LOAD", library), b"lib", "FUNCTION LOAD")
        for key in keys:
            t.equal(client.call("FCALL", "add", 1, key, 3), 3, "FCALL at each group")
            t.equal(client.call("FCALL_RO", "read", 1, key), b"3", "FCALL_RO at each group")
        t.error(client.call("FCALL_RO", "add", 1, keys[0], 1), "ERR Can not execute a script with write flag",
                "FCALL_RO of a function that writes")
        listed = client.call("FUNCTION", "LIST")
        t.check(isinstance(listed, list) and len(listed) == 1 and listed[0][1] == b"lib", "FUNCTION LIST", listed)
        t.error(client.call("FUNCTION", "LOAD", library), "ERR Library 'lib' already exists", "FUNCTION LOAD again")
        t.equal(client.call("FUNCTION", "LOAD", "REPLACE", library), b"lib", "FUNCTION LOAD REPLACE")
        dump = client.call("FUNCTION", "DUMP")
        t.equal(client.call("FUNCTION", "DELETE", "lib"), "OK", "FUNCTION DELETE")
        t.equal(client.call("FUNCTION", "LIST"), [], "FUNCTION LIST after it")
        t.error(client.call("FCALL", "add", 1, keys[1], 3), "ERR Function not found", "FCALL after it")
        t.equal(client.call("FUNCTION", "RESTORE", dump), "OK", "FUNCTION RESTORE")
        for key in keys:
            t.equal(client.call("FCALL", "add", 1, key, 1), 4, "FCALL of what was restored")
        t.equal(client.call("FUNCTION", "FLUSH"), "OK", "FUNCTION FLUSH")
        t.check(isinstance(client.call("FUNCTION", "STATS"), list), "FUNCTION STATS")


# ---- The connection -----------------------------------------------------------------------------


def test_hello(t):
    with ThreeGroups(t) as cluster, cluster.client() as client, cluster.servers[0].client() as plain:
        expected = plain.call("HELLO")
        for request in (["HELLO"], ["HELLO", 2], ["HELLO", 2, "SETNAME", "me"], ["HELLO", 2, "AUTH", "default", "x"],
                        ["hello", "2", "auth", "default", "x", "setname", "me"]):
            got = client.call(*request)
            t.check(isinstance(got, list) and got[0::2] == expected[0::2], "%r has Redis' fields" % request, got)
            fields = dict(zip(got[0::2], got[1::2]))
            t.equal([fields.get(name) for name in (b"server", b"proto", b"mode", b"role", b"modules")],
                    [b"redis", 2, b"standalone", b"master", []], "%r: their values" % request)
            t.equal(fields.get(b"id"), client.call("CLIENT", "ID"), "%r: id" % request)
        t.equal(client.call("CLIENT", "GETNAME"), b"me", "HELLO SETNAME")
        for request, error in (
                (["HELLO", 4], "NOPROTO unsupported protocol version"),
                (["HELLO", 1], "NOPROTO unsupported protocol version"),
                (["HELLO", "x"], "ERR Protocol version is not an integer or out of range"),
                (["HELLO", 2, "FOO"], "ERR Syntax error in HELLO option 'FOO'"),
                (["HELLO", 2, "AUTH", "x"], "ERR Syntax error in HELLO option 'AUTH'"),
                (["HELLO", 2, "SETNAME", "a b"],
                 "ERR Client names cannot contain spaces, newlines or special characters.")):
            t.equal(client.call(*request), RespError(error), "%r" % request)
        t.equal(client.call("PING"), "PONG", "the connection is kept")


def test_auth(t):
    noauth = RespError("NOAUTH Authentication required.")
    wrongpass = RespError("WRONGPASS invalid username-password pair or user is disabled.")
    users = [{"name": "app", "password": "apppass"}, {"name": "ops", "password": "opspass", "admin": True}]
    with ThreeGroups(t, {"auth.password": "secret"}, users) as cluster:
        with cluster.client() as client:
            for request in (["PING"], ["GET", "k"], ["CLIENT", "ID"], ["CONFIG", "GET", "*"], ["SELECT", 1], ["INFO"],
                            ["COMMAND"], ["MGET", "a", "b"]):
                t.equal(client.call(*request), noauth, "%s before AUTH" % request[0])
            t.error(client.call("HELLO"), "NOAUTH HELLO must be called with the client already authenticated",
                    "HELLO before AUTH")
            t.error(client.call("HELLO", 2, "AUTH", "default", "false"), "WRONGPASS", "HELLO with a wrong password")
            for words in (["false"], ["default", "false"], ["app", "secret"], ["nobody", "secret"], [""]):
                t.equal(client.call("AUTH", *words), wrongpass, "AUTH %r" % words)
            t.equal(client.call("GET", "k"), noauth, "still not logged in")
            t.equal(client.call("AUTH", "secret"), "OK", "AUTH secret")
            t.equal(client.call("SET", "k", "v"), "OK", "logged in")
            t.equal(client.call("CONFIG", "SET", "maxclients", 9999), "OK", "the default user may administrate")
            t.equal(client.call("AUTH", "false"), wrongpass, "AUTH with a wrong password once logged in")
            t.equal(client.call("GET", "k"), b"v", "which does not log out")
            t.check(b"***" in client.call("CONFIG", "GET", "auth.password")[1], "CONFIG GET hides the password")
            t.equal(client.call_many([("RESET",), ("GET", "k")]), ["RESET", noauth], "RESET logs out")
            t.equal(client.call_many([("AUTH", "default", "secret"), ("GET", "k")]), ["OK", b"v"],
                    "AUTH default secret")
        with cluster.client() as client:
            t.equal(client.call("AUTH", "app", "apppass"), "OK", "AUTH app")
            t.equal(client.call("GET", "k"), b"v", "app reads")
            for request in (["CONFIG", "SET", "maxclients", 100], ["FLUSHALL"], ["FLUSHDB"],
                            ["CLIENT", "KILL", "ID", 1], ["SCRIPT", "FLUSH"], ["FUNCTION", "FLUSH"],
                            ["SLOWLOG", "RESET"], ["CONFIG", "RESETSTAT"]):
                t.error(client.call(*request), "NOPERM this user has no permissions to run the '",
                        "%s by a user without admin" % " ".join(map(str, request)))
            t.equal(client.call("GET", "k"), b"v", "nothing was flushed")
            t.check(b"user=app" in client.call("CLIENT", "INFO"), "CLIENT INFO has the user")
        with cluster.client() as client:
            hello = client.call("HELLO", 2, "AUTH", "ops", "opspass")
            t.check(isinstance(hello, list), "HELLO AUTH ops", hello)
            t.equal(client.call("CONFIG", "SET", "maxclients", 100), "OK", "an admin may CONFIG SET")
            t.equal(client.call("FLUSHALL"), "OK", "and FLUSHALL")
        with cluster.client() as client:
            # A stranger may not make the proxy hold large requests.
            client.send_bytes(b"*100\r\n")
            t.error(client.read(), "ERR Protocol error: unauthenticated multibulk length", "many arguments")
            t.check(client.at_end(), "and the connection is closed")
        with cluster.client() as client:
            client.send_bytes(b"*2\r\n$4\r\nAUTH\r\n$100000\r\n")
            t.error(client.read(), "ERR Protocol error: unauthenticated bulk length", "a long argument")
    with ThreeGroups(t) as cluster, cluster.client() as client:
        t.error(client.call("AUTH", "x"), "ERR AUTH <password> called without any password configured",
                "AUTH without a configured password")


def test_reset_and_quit(t):
    with ThreeGroups(t) as cluster:
        with cluster.client() as client:
            client.call_many([("SELECT", 5), ("CLIENT", "SETNAME", "x"), ("SET", "k", "in 5")])
            t.equal(client.call_many([("RESET",), ("CLIENT", "GETNAME"), ("GET", "k")]), ["RESET", None, None],
                    "RESET forgets name and database")
            client.send_bytes(encode("SET", "k", "v") + encode("GET", "k") + encode("QUIT") +
                              encode("SET", "k", "late"))
            t.equal([client.read(), client.read(), client.read()], ["OK", b"v", "OK"], "replies before QUIT arrive")
            t.check(client.at_end(), "then the end")
        with cluster.client() as client:
            t.equal(client.call("GET", "k"), b"v", "what came behind QUIT was not executed")
            t.equal(client.call("QUIT", "x"), "OK", "QUIT with an argument")
            t.check(client.at_end(), "ends too")


def client_lines(reply):
    return {int(line["id"]): line for line in (
        dict(word.split("=", 1) for word in text.split(" ")) for text in reply.decode().splitlines())}


def test_client(t):
    with ThreeGroups(t) as cluster, cluster.client() as client:
        others = [cluster.client() for _ in range(6)]
        ids = [other.call("CLIENT", "ID") for other in others]
        own = client.call("CLIENT", "ID")
        t.equal(len({own, *ids}), 7, "ids differ")
        t.equal(client.call("CLIENT", "GETNAME"), None, "GETNAME without a name")
        for number, other in enumerate(others):
            t.equal(other.call("CLIENT", "SETNAME", "other-%d" % number), "OK", "SETNAME")
            t.equal(other.call("CLIENT", "GETNAME"), b"other-%d" % number, "GETNAME")
        t.equal(client.call("CLIENT", "SETNAME", ""), "OK", "SETNAME with nothing")
        t.equal(client.call("CLIENT", "SETINFO", "LIB-NAME", "lib"), "OK", "SETINFO LIB-NAME")
        t.equal(client.call("CLIENT", "SETINFO", "lib-ver", "1.2"), "OK", "SETINFO LIB-VER")
        t.error(client.call("CLIENT", "SETINFO", "LIB-NAME", "a b"), "ERR lib-name cannot contain spaces", "bad name")
        t.error(client.call("CLIENT", "SETINFO", "FOO", "x"), "ERR Unrecognized option 'FOO'", "SETINFO FOO")
        t.equal(client.call("CLIENT", "NO-EVICT", "ON"), "OK", "NO-EVICT ON")
        info = client_lines(client.call("CLIENT", "INFO"))[own]
        peer = "%s:%d" % client.socket.getsockname()
        for name, value in (("addr", peer), ("laddr", cluster.proxy.address), ("lib-name", "lib"), ("lib-ver", "1.2"),
                            ("flags", "e"), ("db", "0"), ("cmd", "client|info"), ("user", "default"), ("resp", "2")):
            t.equal(info.get(name), value, "CLIENT INFO: %s" % name)
        t.equal(client.call("CLIENT", "NO-EVICT", "OFF"), "OK", "NO-EVICT OFF")
        others[0].call("SELECT", 3)
        lines = client_lines(client.call("CLIENT", "LIST"))
        t.equal(set(lines) >= {own, *ids}, True, "CLIENT LIST has the clients of all workers")
        t.equal([lines[one]["name"] for one in ids], ["other-%d" % n for n in range(6)], "with their names")
        t.equal(lines[ids[0]]["db"], "3", "with their database")
        t.equal(set(client_lines(client.call("CLIENT", "LIST", "ID", ids[1], ids[2], 99999))), {ids[1], ids[2]},
                "CLIENT LIST ID")
        t.equal(client.call("CLIENT", "LIST", "TYPE", "pubsub"), b"", "CLIENT LIST TYPE pubsub")
        t.check(own in client_lines(client.call("CLIENT", "LIST", "TYPE", "normal")), "CLIENT LIST TYPE normal")

        t.equal(client.call("CLIENT", "KILL", "ID", ids[0]), 1, "KILL ID")
        t.check(others[0].at_end(), "it is gone")
        t.equal(client.call("CLIENT", "KILL", "ID", ids[0]), 0, "KILL ID once more")
        address = "%s:%d" % others[1].socket.getsockname()
        t.equal(client.call("CLIENT", "KILL", address), "OK", "KILL address, old form")
        t.check(others[1].at_end(), "it is gone")
        t.equal(client.call("CLIENT", "KILL", address), RespError("ERR No such client"), "KILL address once more")
        address = "%s:%d" % others[2].socket.getsockname()
        t.equal(client.call("CLIENT", "KILL", "ADDR", address, "SKIPME", "yes"), 1, "KILL ADDR")
        t.check(others[2].at_end(), "it is gone")
        t.equal(client.call("CLIENT", "KILL", "LADDR", cluster.proxy.address, "ID", "999999"), 0, "filters are ANDed")
        t.equal(client.call("CLIENT", "KILL", "LADDR", cluster.proxy.address, "SKIPME", "yes"), 3, "KILL LADDR")
        t.check(all(other.at_end() for other in others[3:]), "they are gone, on all workers")
        t.equal(client.call("CLIENT", "KILL", "ID", own), 0, "SKIPME is yes by default")
        t.equal(client.call("CLIENT", "KILL", "ID", own, "SKIPME", "no"), 1, "a client kills itself, and is told")
        t.check(client.at_end(), "then it is closed")
        for other in others:
            other.close()


def test_client_kill_with_requests_in_flight(t):
    """A client that is killed while its requests wait; nobody else notices."""
    with ThreeGroups(t) as cluster, cluster.client() as client, cluster.client() as bystander:
        key = keys_of_group(0, GROUPS, 1)[0]
        with cluster.servers[0].client() as direct:
            sleeper = Background(direct.call, "DEBUG", "SLEEP", "0.3")
            victims = [cluster.client() for _ in range(4)]
            ids = [victim.call("CLIENT", "ID") for victim in victims]
            for victim in victims:
                victim.send_bytes(b"".join(encode("INCR", key) for _ in range(50)) + encode("MGET", "a", "b", "c", key))
            bystander.send("GET", key)
            for one in ids:
                client.call("CLIENT", "KILL", "ID", one)
            t.check(isinstance(bystander.read(), (bytes, type(None))), "the bystander gets its reply")
            sleeper.result()
            for victim in victims:
                victim.close()
        t.equal(bystander.call("ECHO", "x"), b"x", "and goes on")


def test_client_reply(t):
    with ThreeGroups(t) as cluster, cluster.client() as client:
        client.send("CLIENT", "REPLY", "SKIP")
        client.send("SET", "k", "skipped")
        t.equal(client.call("GET", "k"), b"skipped", "SKIP leaves out one reply")
        client.send("CLIENT", "REPLY", "OFF")
        for request in (["SET", "k", "off"], ["GET", "k"], ["MGET", "a", "b", "k"], ["NOSUCH"], ["PING"],
                        ["CLIENT", "LIST"], ["EVAL", "return 1", 0], ["CLIENT", "REPLY", "SKIP"]):
            client.send(*request)
        client.send("CLIENT", "REPLY", "ON")
        t.equal(client.read(), "OK", "OFF leaves out all until ON")
        t.equal(client.call("GET", "k"), b"off", "what was asked meanwhile was executed")
        client.send_bytes(encode("GET", "k") + encode("CLIENT", "REPLY", "SKIP") + encode("MGET", "a", "k", "c") +
                          encode("CLIENT", "REPLY", "SKIP") + encode("PING") + encode("GET", "k"))
        t.equal([client.read(), client.read()], [b"off", b"off"], "SKIP in a pipeline")
        t.equal(client.call("CLIENT", "REPLY", "FOO"), RespError("ERR syntax error"), "REPLY FOO")


def test_inline(t):
    with ThreeGroups(t, with_plain=True) as cluster, cluster.client() as ours, cluster.plain.client() as plain:
        lines = [b"PING", b"ping hello", b"SET k v", b"GET k", b"SET 'a key' \"a value\"", b"GET \"a key\"",
                 b"SET \"\\x41\\n\\t\\\"q\\\"\" 'it\\'s'", b"GET \"\\x41\\n\\t\\\"q\\\"\"", b"   ECHO    spaced   ",
                 b"MSET one 1 two 2 three 3 four 4 'five six' 56", b"MGET one two three four 'five six' six",
                 b"MGET 'five six'", b"DEL one two three", b"EXISTS one 'five six' four four", b"SET empty ''",
                 b"GET empty", b"SET '' x", b"GET ''", b"NOSUCH a b", b"GET", b"ECHO \"\"", b"SADD s 3 1 2",
                 b"EVAL \"return {KEYS[1],ARGV[1]}\" 1 k 'x y'", b"OBJECT ENCODING k", b"SET long " + b"x" * 40_000,
                 b"STRLEN long", b"FOO 'bar baz'"]
        for end in (b"\r\n", b"\n"):
            for line in lines:
                ours.send_bytes(line + end)
                plain.send_bytes(line + end)
                t.equal(read_raw(ours.reader), read_raw(plain.reader), "inline %r" % line[:80])
        raw = b"\r\n\r\n" + b"\r\n".join(lines) + b"\r\n\n"
        t.equal(pipeline(ours, raw, len(lines)), pipeline(plain, raw, len(lines)), "all in one pipeline")
        raw = b"SET k 1\r\n" + encode("INCR", "k") + b"INCR k\r\n" + encode("GET", "k") + b"*0\r\n*-1\r\nPING\r\n"
        t.equal(pipeline(ours, raw, 5), pipeline(plain, raw, 5), "inline and arrays mixed")
    with ThreeGroups(t, with_plain=True) as cluster:
        for raw in (b"GET \"k\r\n", b"SET 'k'x v\r\n", b"*1\r\n:3\r\n", b"*1\r\n$x\r\n", b"*x\r\n", b"*1\r\n$-5\r\n",
                    b"A" * 70_000):
            with cluster.client() as ours, cluster.plain.client() as plain:
                send_and_ignore_reset(ours, b"PING\r\n" + raw)
                send_and_ignore_reset(plain, b"PING\r\n" + raw)
                got, expected = read_to_end(ours), read_to_end(plain)
                t.equal(got, expected, "%r: Redis' protocol error, then the end" % raw[:40])


        # Found earlier than by Redis, which waits for more.
        for raw in (b"*2000000000\r\n", b"*1\r\n$" + b"1" * 70_000):
            with cluster.client() as ours:
                send_and_ignore_reset(ours, b"PING\r\n" + raw)
                got = read_to_end(ours)
                t.check(got.startswith(b"+PONG\r\n-ERR Protocol error: "), "%r: a protocol error" % raw[:40], got)


def send_and_ignore_reset(client, raw):
    try:
        client.send_bytes(raw)
    except OSError:
        pass  # The other side has closed already, and said why.


def read_to_end(client):
    try:
        return client.reader.read()
    except OSError as error:
        return b"no end: " + str(error).encode()


# ---- The proxy itself ---------------------------------------------------------------------------


def test_errors_equal_redis(t):
    """Texts of what is wrong with a request, as Redis says them."""
    lines = """
        NOSUCH a b|NOSUCH|nosuch|GET|GET a b|SET k|MSET a|MSET a 1 b|DEL|EXISTS|TOUCH|UNLINK|MGET|PING a b|ECHO|ECHO a b
        CLIENT|CLIENT nosuch|CLIENT KILL 1.2.3.4:5|CLIENT REPLY FOO|CLIENT NO-EVICT FOO|CLIENT LIST TYPE foo
        CLIENT LIST FOO|CLIENT LIST ID x|CLIENT KILL ID 0|CLIENT KILL ID x|CLIENT KILL FOO bar|CLIENT KILL ID 1 ADDR
        CLIENT SETNAME|CLIENT SETNAME a b|CLIENT GETNAME x|CLIENT ID x|CONFIG|CONFIG GET|CONFIG nosuch
        CONFIG SET|CONFIG SET maxmemory|CONFIG SET foo bar|CONFIG SET a 1 b|OBJECT|OBJECT nosuch k|OBJECT FREQ k
        OBJECT ENCODING|SCRIPT|SCRIPT nosuch|SCRIPT LOAD|SCRIPT EXISTS|SLOWLOG nosuch|SLOWLOG GET -2|SLOWLOG GET x
        SLOWLOG LEN x|SELECT|SELECT x|SELECT 16|SELECT -1|COMMAND FOO|COMMAND GETKEYS|COMMAND GETKEYS NOSUCH x
        COMMAND GETKEYS PING x|COMMAND COUNT x|TIME x|RESET x|SCAN|SCAN x|SCAN 0 FOO|SCAN 0 COUNT x|SCAN 0 COUNT 0
        KEYS|RANDOMKEY x|DBSIZE x|FLUSHALL FOO|FLUSHDB FOO x|XREAD STREAMS a|XREAD COUNT|XGROUP|XGROUP nosuch k
        XINFO nosuch k|EVAL|EVAL s x|EVAL s -1|EVAL s 1|EVALSHA abc 0|FCALL nosuch 0|FUNCTION nosuch|FUNCTION DELETE x
        HELLO x|AUTH|AUTH a b c|AUTH a b|AUTH a|SORT|ZUNION 0 a|LMPOP 0 a LEFT|MSETNX a|MSETNX a 1 b|RENAME a
        MEMORY nosuch|MEMORY USAGE|BITOP FOO {a}1 {a}2|SINTERCARD 0 a|GEORADIUS a|XADD k|SET k v FOO|LATENCY|PUBSUB
    """
    with ThreeGroups(t, with_plain=True) as cluster, cluster.client() as ours, cluster.plain.client() as plain:
        for line in (line.strip() for text in lines.strip().splitlines() for line in text.split("|")):
            t.equal(ours.call(*line.split(" ")), plain.call(*line.split(" ")), line)
        long = ["NOSUCH" * 50, "a" * 300, "b" * 300]
        t.equal(ours.call(*long), plain.call(*long), "a long unknown command is cut alike")
        odd = ["NO\r\nSUCH", "a\r\nb"]
        t.equal(ours.call(*odd), plain.call(*odd), "line ends in an unknown command")


def test_help(t):
    """HELP of every container that is served, by an ordinary user too; nothing falls over."""
    with ThreeGroups(t) as cluster, cluster.client() as client:
        for container in ("CLIENT", "COMMAND", "CONFIG", "FUNCTION", "LATENCY", "MEMORY", "OBJECT", "SCRIPT", "SLOWLOG", "XGROUP",
                          "XINFO"):
            try:
                reply = client.call(container, "HELP")
            except ConnectionError as error:
                t.check(False, "%s HELP" % container, error)
                return
            t.check(isinstance(reply, list) and reply and reply[0].startswith("%s <subcommand>" % container),
                    "%s HELP" % container, reply)


def test_every_command(t):
    """Every command there is, bare and with a few arguments, gets exactly one reply."""
    with ThreeGroups(t) as cluster, cluster.servers[0].client() as direct, cluster.client() as ours:
        names = set()
        for rows in (direct.call("COMMAND"), ours.call("COMMAND")):
            for row in rows:
                names.add(row[0])
                names.update(sub[0] for sub in row[9] if len(row) > 9)
        t.check(len(names) > 350, "there are commands", len(names))
        for name in sorted(names):
            words = name.decode().split("|")
            if words[0] in ("quit", "reset", "auth") or name in (b"client|reply", b"client|kill"):
                continue
            # These change what the next command does, wait, or have several replies: transactions_test.py, pubsub_test.py.
            if name == b"multi" or name.endswith(b"subscribe") or name.startswith((b"bl", b"br", b"bz")):
                continue
            for arguments in ([], ["k"], ["k", "1"], ["k", "1", "x"], ["1", "k", "0"], ["k", "k", "1", "2"]):
                if words == ["config", "set"] and arguments:
                    continue
                with cluster.client() as client:
                    try:
                        client.send(*words, *arguments)
                        client.send("ECHO", "the end")
                        client.read()
                        if not t.equal(client.read(), b"the end", "one reply to %r" % (words + arguments)):
                            break
                    except (OSError, ValueError) as error:
                        t.check(False, "%r is answered" % (words + arguments), error)
                        if not cluster.proxy.is_running():
                            return
                        break


def test_refused(t):
    """What is not served says why and keeps the connection."""
    with ThreeGroups(t) as cluster, cluster.client() as client:
        for line in ("SYNC|PSYNC ? -1|REPLICAOF no one|SHUTDOWN NOSAVE"
                     "|DEBUG SLEEP 0|SAVE|BGSAVE|BGREWRITEAOF|LASTSAVE|SWAPDB 0 1|MIGRATE h 1 k 0 1"
                     "|CLUSTER INFO|CLUSTER SLOTS|ASKING|ACL SETUSER x|ACL LOG|MODULE LIST"
                     "|ROLE|FAILOVER|SENTINEL MASTERS|REPLCONF x y|CONFIG REWRITE"
                     "|SCRIPT DEBUG YES|PFDEBUG x y|PFSELFTEST|RESTORE-ASKING k 0 x").split("|"):
            reply = client.call(*line.split(" "))
            t.check(isinstance(reply, RespError) and reply.startswith("ERR ") and len(reply) > 20,
                    "%s is refused with a reason" % line, "got %r" % (reply,))
        t.equal(client.call("ECHO", "still here"), b"still here", "the connection is kept")
        client.call("XADD", "stream", "1-1", "f", "v")
        t.equal(client.call("XREAD", "COUNT", 5, "STREAMS", "stream", 0), [[b"stream", [[b"1-1", [b"f", b"v"]]]]],
                "XREAD without BLOCK")
        t.equal(client.call("XREAD", "STREAMS", "stream", "9"), None, "XREAD of nothing new")


def test_sort(t):
    with ThreeGroups(t, with_plain=True) as cluster, cluster.client() as ours, cluster.plain.client() as plain:
        requests = [["RPUSH", "{s}l", 3, 1, 2], ["MSET", "{s}w1", 9, "{s}w2", 8, "{s}w3", 7],
                    ["MSET", "{s}o1", "one", "{s}o2", "two", "{s}o3", "three"], ["SORT", "{s}l"],
                    ["SORT", "{s}l", "DESC"], ["SORT", "{s}l", "BY", "{s}w*"],
                    ["SORT", "{s}l", "BY", "nosort", "GET", "#"],
                    ["SORT", "{s}l", "BY", "{s}w*", "GET", "#", "GET", "{s}o*", "LIMIT", 0, 2],
                    ["SORT", "{s}l", "GET", "{s}o*", "STORE", "{s}d"], ["LRANGE", "{s}d", 0, -1],
                    ["SORT_RO", "{s}l", "GET", "{s}o*", "ALPHA"], ["SORT", "{s}l", "FOO"]]
        for request in requests:
            t.equal(ours.call(*request), plain.call(*request), " ".join(map(str, request)))
        for pattern in (["BY", "w*"], ["GET", "o*"], ["BY", "{other}w*"], ["GET", "{s*}o"]):
            t.error(ours.call("SORT", "{s}l", *pattern), "ERR %s option of SORT denied" % pattern[0],
                    "SORT with a pattern that may lead to other groups: %s" % pattern[1])


def test_command(t):
    with ThreeGroups(t) as cluster, cluster.client() as ours, cluster.servers[0].client() as plain:
        rows = ours.call("COMMAND")
        t.equal(ours.call("COMMAND", "COUNT"), len(rows), "COMMAND COUNT is the number of rows of COMMAND")
        names = {row[0] for row in rows}
        t.equal(set(ours.call("COMMAND", "LIST")) & names, names, "COMMAND LIST has them")
        for request in (["INFO", "get"], ["INFO", "get", "nosuch", "mset"], ["GETKEYS", "MSET", "a", 1, "b", 2],
                        ["GETKEYS", "EVAL", "s", 2, "a", "b", "c"], ["DOCS", "get"],
                        ["GETKEYSANDFLAGS", "LMOVE", "a", "b", "LEFT", "LEFT"]):
            t.equal(ours.call("COMMAND", *request), plain.call("COMMAND", *request),
                    "COMMAND %s" % " ".join(map(str, request)))
        t.check(len(ours.call("COMMAND", "DOCS")) > 400, "COMMAND DOCS of all")
        listed = ours.call("COMMAND", "LIST", "FILTERBY", "PATTERN", "hset*")
        t.equal(sorted(listed), sorted(plain.call("COMMAND", "LIST", "FILTERBY", "PATTERN", "hset*")),
                "FILTERBY PATTERN")


def test_config(t):
    with ThreeGroups(t) as cluster, cluster.client() as client:
        def get(name):
            return client.call("CONFIG", "GET", name)

        t.equal(get("maxclients"), [b"maxclients", b"10000"], "CONFIG GET maxclients")
        t.equal(get("proxy.max_clients"), [b"proxy.max_clients", b"10000"], "by our name")
        t.equal(client.call("CONFIG", "SET", "maxclients", 5000), "OK", "CONFIG SET maxclients")
        t.equal(get("proxy.max_clients"), [b"proxy.max_clients", b"5000"], "both names are one setting")
        t.equal(client.call("CONFIG", "SET", "proxy.client_output_max", "1mb", "slowlog-max-len", "7"), "OK",
                "two at once")
        t.equal(get("slowlog.max_len"), [b"slowlog.max_len", b"7"], "the second was set")
        for words in (["maxclients", "x"], ["maxclients", "0"], ["proxy.workers", "3"], ["proxy.nosuch", "1"],
                      ["timeout", "-1"], ["maxclients", "4000", "timeout", "x"]):
            t.error(client.call("CONFIG", "SET", *words), "ERR .*", "CONFIG SET %s" % " ".join(words))
        t.equal(get("maxclients"), [b"maxclients", b"5000"], "all or nothing")
        everything = dict(zip(*[iter(client.call("CONFIG", "GET", "*"))] * 2))
        t.check({b"maxclients", b"proxy.listen", b"save", b"appendonly", b"databases"} <= set(everything),
                "CONFIG GET *", sorted(everything))
        t.equal(get("save"), [b"save", b""], "CONFIG GET save, as redis-benchmark asks")
        t.equal(get("nosuch"), [], "CONFIG GET nosuch")
        several = client.call("CONFIG", "GET", "max*", "timeout")
        t.equal(set(several[0::2]), {b"maxclients", b"maxmemory", b"timeout"}, "several patterns")
        with cluster.client() as other:
            t.equal(other.call("CONFIG", "GET", "timeout"), [b"timeout", b"0"], "another client (and worker)")


def test_info(t):
    with ThreeGroups(t) as cluster, cluster.client() as client:
        for number in range(30):
            client.call("SET", "k%d" % number, "v")
        text = client.call("INFO").decode()
        for section in ("Server", "Clients", "Memory", "Stats", "Replication", "CPU", "Cluster", "Proxy", "Backends"):
            t.check("# %s\r\n" % section in text, "INFO has %s" % section)
        fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        for name in ("redis_version", "redis_mode", "process_id", "tcp_port", "uptime_in_seconds", "connected_clients",
                     "used_memory", "total_commands_processed", "role", "cluster_enabled", "workers", "backend_g2"):
            t.check(name in fields, "INFO has the field %s" % name)
        t.equal([fields["process_id"], fields["tcp_port"], fields["role"], fields["ready"]],
                [str(cluster.proxy.pid), str(cluster.proxy.port), "master", "yes"], "their values")
        t.check(int(fields["total_commands_processed"]) >= 30, "commands are counted",
                fields["total_commands_processed"])
        t.equal(client.call("INFO", "memory").decode().splitlines()[0], "# Memory", "INFO memory")
        t.check(b"cmdstat_set:calls=30," in client.call("INFO", "commandstats"), "INFO commandstats",
                client.call("INFO", "commandstats"))
        t.check(b"# Commandstats" in client.call("INFO", "everything"), "INFO everything")
        both = client.call("INFO", "CLIENTS", "server")
        t.check(b"# Server" in both and b"# Clients" in both and b"# Memory" not in both, "INFO with two sections",
                both)
        t.equal(client.call("INFO", "nosuch"), b"", "INFO of a section that is not")
        t.equal(client.call("CONFIG", "RESETSTAT"), "OK", "CONFIG RESETSTAT")
        wait_until(lambda: b"cmdstat_set" not in client.call("INFO", "commandstats"), 10, "the counters to be reset")


def keyspace(client, section="keyspace"):
    """{"db0": {"keys": 1, ...}} of INFO, and what else its section says."""
    text = client.call("INFO", *([section] if section else [])).decode()
    lines = dict(line.split(":", 1) for line in text.split("# Keyspace\r\n")[1].split("\r\n\r\n")[0].splitlines())
    return {name: {field: int(value) for field, value in (part.split("=") for part in line.split(","))}
            if name.startswith("db") else line for name, line in lines.items()}


def test_keyspace(t):
    """INFO counts the keys of all groups, and waits for no server that hangs."""
    with ThreeGroups(t) as cluster, cluster.client() as client:
        t.equal(keyspace(client), {}, "no keys")
        for number in range(30):
            client.call("SET", "k%d" % number, "v")
        for number in range(6):
            client.call("SET", "k%d" % number, "v", "PX", 100_000)
        client.call("SELECT", 3)
        client.call("SET", "other", "v")
        for section in ("keyspace", "everything", "default", None):
            found = keyspace(client, section)
            t.equal({name: (fields["keys"], fields["expires"]) for name, fields in found.items()},
                    {"db0": (30, 6), "db3": (1, 0)}, "keys and expires in INFO %s" % section)
        t.check(b"# Keyspace" not in client.call("INFO", "server"), "not in another section")
        expected = sum(keyspace(server.client())["db0"]["keys"] for server in cluster.servers)
        t.equal(expected, 30, "as the servers say")
        client.send_bytes(encode("INFO", "keyspace") + encode("SELECT", 0) + encode("GET", "k1"))
        t.equal([type(client.read()), client.read(), client.read()], [bytes, "OK", b"v"], "replies stay in order")
        cluster.servers[1].send_signal(signal.SIGSTOP)
        try:
            found = keyspace(client)
            t.equal(found.get("unknown_groups"), "g1", "a group that does not answer is named")
            t.check(0 < found["db0"]["keys"] < 30, "the others are counted", found)
            with cluster.client() as hasty:  # Gone before the answer.
                hasty.send("INFO", "keyspace")
        finally:
            cluster.servers[1].send_signal(signal.SIGCONT)
        wait_until(lambda: "unknown_groups" not in keyspace(client), 20, "it to be counted again")


def test_move(t):
    with ThreeGroups(t) as cluster, cluster.client() as client:
        for number in range(30):
            client.call("SET", "k%d" % number, number)
        replies = client.call_many([["MOVE", "k%d" % number, 5] for number in range(20)] + [["SELECT", 5]] +
                                   [["GET", "k%d" % number] for number in range(20)])
        t.equal(replies, [1] * 20 + ["OK"] + [b"%d" % number for number in range(20)], "MOVE, and what it moved")
        t.equal(client.call("DBSIZE"), 20, "DBSIZE there")
        client.call("SELECT", 0)
        t.equal(client.call("DBSIZE"), 10, "DBSIZE here")
        client.call("SET", "k1", "again")
        t.equal(client.call("MOVE", "k1", 5), 0, "where it is already")
        t.equal(client.call("MOVE", "never", 5), 0, "what is not there")
        t.error(client.call("MOVE", "k25", 0), "ERR source and destination objects are the same", "to where it is")
        t.error(client.call("MOVE", "k25", "x"), "ERR ", "no number")
        client.call("MULTI"), client.call("MOVE", "{k25}", 5), client.call("GET", "k25")
        t.equal(client.call("EXEC"), [0, b"25"], "in a transaction")


def test_latency(t):
    with ThreeGroups(t) as cluster, cluster.client() as client:
        for number in range(50):
            client.call("SET", "k%d" % number, number)
        flat = client.call("LATENCY", "HISTOGRAM", "set", "nosuch")
        t.equal(flat[:1] + flat[1][:3], [b"write", b"calls", 50, b"histogram_usec"], "HISTOGRAM of a command's class")
        buckets = list(zip(flat[1][3][::2], flat[1][3][1::2]))
        t.check(buckets == sorted(buckets) and buckets[-1][1] == 50 and all(us & (us - 1) == 0 for us, _ in buckets),
                "powers of two, counted up", buckets)
        for number in range(7):
            client.call("GET", "k1")
        client.call("HELLO", 3)
        found = client.call("LATENCY", "HISTOGRAM")
        t.equal({name: fields[b"calls"] for name, fields in found.items()}, {b"read": 7, b"write": 50}, "all classes, RESP3")
        t.equal(client.call("LATENCY", "HISTOGRAM", "nosuch"), {}, "of nothing")
        t.equal([client.call("LATENCY", *words) for words in (["LATEST"], ["HISTORY", "command"], ["RESET"])], [[], [], 0],
                "events are the servers'")
        t.error(client.call("LATENCY", "GRAPH", "fork"), "ERR No samples available for event 'fork'", "GRAPH")
        t.check(b"write" in client.call("LATENCY", "DOCTOR"), "DOCTOR")
        stats = client.call("MEMORY", "STATS")
        t.check(stats[b"resident.bytes"] > 0 and stats[b"clients.count"] == 1 and stats[b"queued.bytes.max"] > 0,
                "MEMORY STATS", stats)
        t.equal(client.call("MEMORY", "PURGE"), "OK", "MEMORY PURGE")
        t.check(b"used_bytes:" in client.call("MEMORY", "MALLOC-STATS"), "MEMORY MALLOC-STATS")
        t.check(b"proxy.memory_max" in client.call("MEMORY", "DOCTOR"), "MEMORY DOCTOR")


def test_slowlog(t):
    with ThreeGroups(t) as cluster, cluster.client() as client:
        t.equal(client.call("CONFIG", "SET", "slowlog-log-slower-than", 0), "OK", "everything is slow")
        t.equal(client.call("SLOWLOG", "RESET"), "OK", "SLOWLOG RESET")
        client.call("CLIENT", "SETNAME", "me")
        keys = [keys_of_group(group, GROUPS, 1)[0] for group in range(GROUPS)]
        for key in keys:
            client.call("SET", key, "x" * 1000)
        client.call("MGET", *keys)
        entries = client.call("SLOWLOG", "GET", -1)
        sets = [entry for entry in entries if entry[3][:1] == [b"SET"]]
        t.equal([entry[3][1] for entry in sets], [key.encode() for key in reversed(keys)], "newest first")
        peer = ("%s:%d" % client.socket.getsockname()).encode()
        for entry, server in zip(sets, reversed(cluster.servers[:GROUPS])):
            t.equal([entry[4], entry[5], entry[7]], [peer, b"me", server.address.encode()], "client, name, server")
            t.check(0 <= entry[6] <= entry[2] and abs(entry[1] - time.time()) < 60, "times", entry[:3], entry[6])
            t.check(len(b"".join(entry[3])) < 300, "long arguments are cut", entry[3])
        t.check(any(entry[3][:1] == [b"MGET"] for entry in entries), "split requests are there too")
        t.check(client.call("SLOWLOG", "LEN") >= 4, "SLOWLOG LEN")
        t.equal(len(client.call("SLOWLOG", "GET", 2)), 2, "SLOWLOG GET 2")
        client.call("CONFIG", "SET", "slowlog-max-len", 3)
        wait_until(lambda: client.call("SLOWLOG", "LEN") <= 3, 10, "slowlog-max-len to hold")
        client.call("CONFIG", "SET", "slowlog-log-slower-than", -1)
        client.call("SLOWLOG", "RESET")
        client.call("SET", keys[0], "v")
        t.equal(client.call("SLOWLOG", "LEN"), 0, "-1 switches it off")


def test_time_and_echo(t):
    with ThreeGroups(t) as cluster, cluster.client() as client:
        seconds, microseconds = client.call("TIME")
        t.check(abs(int(seconds) - time.time()) < 60 and 0 <= int(microseconds) < 1_000_000, "TIME", seconds)
        for text in (b"", b"x", b"\r\n", bytes(range(256)), b"y" * 1_000_000):
            t.check(client.call("ECHO", text) == text, "ECHO of %d bytes" % len(text))
            t.check(client.call("PING", text) == text, "PING with %d bytes" % len(text))


def test_binary_keys_and_values(t):
    rng = t.rng()
    with ThreeGroups(t) as cluster, cluster.client() as client:
        data = {bytes(rng.getrandbits(8) for _ in range(rng.randrange(40))): bytes(
            rng.getrandbits(8) for _ in range(rng.choice((0, 1, 100, 3000)))) for _ in range(300)}
        data[b"k" * 100_000] = b"long key"
        for key, value in data.items():
            client.call("SET", key, value)
        t.check(all(client.call("GET", key) == value for key, value in data.items()), "GET of binary keys")
        keys = list(data)
        t.check(client.call("MGET", *keys) == [data[key] for key in keys], "MGET of binary keys")


def test_large_values(t):
    """Around the sizes at which a request or reply changes its way through the proxy, and split everywhere."""
    rng = t.rng()
    with ThreeGroups(t) as cluster, cluster.client() as client:
        for size in (15_999, 16_384, 32_767, 32_768, 33_000, 65_535, 65_536, 131_072, 131_073, 1_048_576, 9_000_000):
            value = rng.randbytes(size)
            raw = (encode("SET", "k", value) + encode("GET", "k") + encode("STRLEN", "k") +
                   encode("MGET", "k", "a", "b") + encode("ECHO", value) + encode("PING"))
            sender = Background(in_pieces, client, raw, rng)
            replies = [client.read() for _ in range(6)]
            sender.result()
            t.check(replies == ["OK", value, size, [value, None, None], value, "PONG"],
                    "values of %d bytes in a pipeline" % size, [str(reply)[:40] for reply in replies])
        chunks = [rng.randbytes(40_000) for _ in range(50)]
        client.call("DEL", "list")
        t.equal(client.call("RPUSH", "list", *chunks), 50, "RPUSH of 2 MB")
        t.check(client.call("LRANGE", "list", 0, -1) == chunks, "LRANGE of 2 MB")


def test_slow_reader_of_a_large_reply(t):
    """A client that takes a large reply in small steps gets all of it; another is not held up."""
    with ThreeGroups(t) as cluster, cluster.client() as client, cluster.client() as other:
        value = bytes(range(256)) * 40_000
        client.call("SET", "k", value)
        client.send("GET", "k")
        client.send("ECHO", "end")
        expected = b"$%d\r\n%s\r\n" % (len(value), value) + b"$3\r\nend\r\n"
        received = bytearray()
        while len(received) < len(expected):
            received += client.reader.read1(100_000)
            other.call("ECHO", "x")
        t.check(received == expected, "the reply is whole, and the next one follows")


def test_two_hundred_connections(t):
    """Connections come and go with requests in flight; each that stays gets its own replies."""
    rng = t.rng()
    with ThreeGroups(t) as cluster:
        for turn in range(4):
            clients = [cluster.client() for _ in range(50)]
            for number, client in enumerate(clients):
                for _ in range(10):
                    key = "k%d" % rng.randrange(1000)
                    client.send_bytes(encode("SET", "own:%d" % number, "%d-%d" % (turn, number)) +
                                      encode("GET", "own:%d" % number) + encode("MGET", key, "own:%d" % number))
            for number, client in enumerate(clients):
                if rng.random() < 0.4:
                    client.close()
                    continue
                expected = b"%d-%d" % (turn, number)
                replies = [client.read() for _ in range(30)]
                ok = replies[0::3] == ["OK"] * 10 and replies[1::3] == [expected] * 10 and all(
                    reply[1] == expected for reply in replies[2::3])
                if not t.check(ok, "client %d of turn %d gets its own replies" % (number, turn), replies[:6]):
                    return
                client.close()


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
