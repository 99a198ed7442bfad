#!/usr/bin/env python3
"""Compares the proxy's command table and key finding with a real redis-server.

    command_table_test.py --dump <build>/tests/dump_commands [--seed N]

Each difference must be explained below, or it fails. Redis 7.0.15 or later.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys

from resp import RespError
from servers import RedisServer

HERE = os.path.dirname(os.path.abspath(__file__))
COMMAND_LIST = os.path.join(HERE, "..", "data", "commands.txt")

# Bits of common/command_table.h.
FLAGS = ["write", "readonly", "denyoom", "admin", "pubsub", "noscript", "blocking", "loading", "stale",
         "skip_monitor", "skip_slowlog", "asking", "fast", "no_auth", "may_replicate", "no_async_loading",
         "no_multi", "movablekeys", "allow_busy", "no_mandatory_keys"]
KEY_FLAGS = ["RO", "RW", "OW", "RM", "access", "update", "insert", "delete", "not_key", "incomplete",
             "variable_flags"]
HIDDEN_FLAGS = {"may_replicate"}  # Redis does not print it.

# Arities that differ from those of Redis 7.0.15.
EXPLAINED_ARITIES = {
    "zrank": (-3, "since 7.2 there is WITHSCORE"),
    "zrevrank": (-3, "since 7.2 there is WITHSCORE"),
    "command|getkeys": (-3, "since 7.4 the request may be one word"),
    "command|getkeysandflags": (-3, "since 7.4 the request may be one word"),
}

# Where find_keys() differs from COMMAND GETKEYS, and why. The second item is what we find: argument
# numbers, or None for "the request is wrong, it goes nowhere". Redis itself runs these requests as we
# read them; its COMMAND GETKEYS is only an aid for clients.
EXPLAINED = [
    (["PFMERGE", "d"], [1], "complete without sources; Redis' GETKEYS wants one"),
    (["XREAD", "COUNT", "STREAMS", "STREAMS", "a", "0"], [4],
     "GETKEYS takes the value of COUNT for the keyword"),
    (["XREADGROUP", "COUNT", "1", "GROUP", "g", "STREAMS", "STREAMS", "k", ">"], [7],
     "GETKEYS takes the consumer's name for the keyword"),
    (["XREADGROUP", "GROUP", "g", "c", "COUNT", "STREAMS", "STREAMS", "k", ">"], [7],
     "GETKEYS takes the value of COUNT for the keyword"),
    (["XREADGROUP", "STREAMS", "k", "GROUP", ">", "c"], [2, 3],
     "all behind STREAMS are streams and ids; GETKEYS looks for it from argument 4 on"),
    (["XREAD", "STREAMS", "a", "b", "0"], None, "unbalanced, Redis refuses to run it"),
    (["XREAD", "FOO", "1", "STREAMS", "a", "0"], None, "no such option, Redis refuses to run it"),
    (["XREADGROUP", "GROUP", "g", "c", "FOO", "STREAMS", "a", ">"], None,
     "no such option, Redis refuses to run it"),
    (["GEORADIUS", "k", "0", "0", "1", "m", "STORE", "STOREDIST", "STOREDIST", "b"], [1, 7, 9],
     "the first STOREDIST is a key; GETKEYS takes it for the keyword and misses b"),
    (["GEORADIUS", "k", "0", "0", "1", "m", "STORE", "a", "STORE", "b"], [1, 7, 9],
     "both are found so that both are in one slot; GETKEYS finds the first, Redis uses the last"),
    (["GEORADIUS", "k", "0", "0", "1", "m", "COUNT", "STORE", "1"], [1],
     "STORE is the value of COUNT"),
    (["SORT", "k", "STORE", "a", "STORE", "b"], [1, 3, 5],
     "both are found so that both are in one slot; Redis uses the last"),
    (["ZUNION", "2x", "a", "b"], None, "2x is no number, Redis refuses to run it"),
    (["ZUNION", "+2", "a", "b"], None, "+2 is no number for Redis, it refuses to run it"),
    (["ZUNION", " 2", "a", "b"], None, "' 2' is no number for Redis, it refuses to run it"),
    (["ZUNION", "02", "a", "b"], None, "02 is no number for Redis, it refuses to run it"),
    (["ZUNIONSTORE", "d", "2x", "a", "b"], None, "2x is no number, Redis refuses to run it"),
    (["SINTERCARD", "1.5", "a", "b"], None, "1.5 is no number for Redis, it refuses to run it"),
    (["LMPOP", "1x", "a", "LEFT"], None, "1x is no number, Redis refuses to run it"),
    (["EVAL", "s", "1x", "a"], None, "1x is no number, Redis refuses to run it"),
    (["ZUNION", "4294967297", "a"], None, "GETKEYS keeps 32 bits of the number, Redis refuses to run it"),
]

# Requests whose keys both sides must find alike, errors included. (One word alone is too few
# arguments for Redis 7.0's COMMAND GETKEYS itself.)
REQUESTS = [line.split(" ") for line in """
GET k
SET k v
SET k v GET EX 10
SET k v PX 10 NX
GETEX k PERSIST
APPEND k v
INCRBYFLOAT k 1.5
SETRANGE k 0 v
MGET a
MGET a b c a
MSET a 1
MSET a 1 b 2 c 3
MSET a 1 b
MSETNX a 1 b 2
DEL a
DEL a b c d e f
UNLINK a b
EXISTS a a
TOUCH a b
RENAME a b
RENAMENX a b
COPY a b
COPY a b DB 1 REPLACE
LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN
BITOP AND d a
BITOP OR d a b c
BITCOUNT k 0 -1 BIT
BITFIELD k GET u8 0
BITFIELD k SET u8 0 1 GET u8 0
BITFIELD k OVERFLOW SAT GET u8 0
BITFIELD k INCRBY u8 0 1
BITFIELD k GET u8
BITFIELD k
BITFIELD_RO k GET u8 0
LPOP k 2
LMOVE a b LEFT RIGHT
RPOPLPUSH a b
BLPOP a 0
BLPOP a b c 0
BRPOPLPUSH a b 0
BLMOVE a b LEFT LEFT 0
BZPOPMIN a b 0
LMPOP 1 a LEFT
LMPOP 2 a b LEFT COUNT 3
LMPOP 3 a b
LMPOP 0 a LEFT
LMPOP -1 a LEFT
BLMPOP 0 2 a b RIGHT
BLMPOP 0 9 a b RIGHT
ZMPOP 2 a b MIN
BZMPOP 0 1 a MAX COUNT 2
SMOVE a b m
SINTER a b c
SINTERSTORE d a b
SUNION a
SUNIONSTORE d a
SDIFFSTORE d a b c
SINTERCARD 2 a b
SINTERCARD 2 a b LIMIT 1
SINTERCARD 3 a b
ZUNION 2 a b
ZUNION 2 a b WEIGHTS 1 2 WITHSCORES
ZUNION 0 a
ZUNION -1 a
ZUNION x a
ZUNION 99999999999999999999 a
ZUNION 9223372036854775807 a
ZINTER 1 a
ZDIFF 2 a b WITHSCORES
ZINTERCARD 2 a b LIMIT 1
ZUNIONSTORE d 2 a b
ZINTERSTORE d 1 a AGGREGATE MAX
ZDIFFSTORE d 2 a b
ZUNIONSTORE d 3 a b
ZRANGESTORE d s 0 -1
ZADD k 1 m 2 n
ZRANGEBYSCORE k 0 1 LIMIT 0 1
GEOADD k 1 2 m
GEOSEARCHSTORE d s FROMLONLAT 1 1 BYRADIUS 1 km
GEORADIUS k 1 1 1 km
GEORADIUS k 1 1 1 km STORE d
GEORADIUS k 1 1 1 km WITHDIST COUNT 3 ANY storedist d
GEORADIUS k 1 1 1 km STORE a STOREDIST b
GEORADIUSBYMEMBER k m 1 km STORE d
GEORADIUSBYMEMBER k STORE 1 km
GEORADIUSBYMEMBER_RO k m 1 km COUNT 1
GEORADIUS_RO k 1 1 1 km
SORT k
SORT k BY w_* GET # GET o_* ALPHA
SORT k LIMIT 0 10 STORE d
SORT k GET store
SORT k BY STORE STORE d
SORT k STORE d DESC
SORT k STORE
SORT k STORE GET x
XREADGROUP STREAMS k > GROUP g c
SORT_RO k BY x GET y
PFADD k e
PFCOUNT a b
PFMERGE d a b
XADD k * f v
XREAD STREAMS a 0
XREAD STREAMS a b 0 0
XREAD COUNT 2 BLOCK 0 STREAMS a b c 0 0 0
XREAD COUNT 2
XREADGROUP GROUP g c STREAMS a >
XREADGROUP GROUP g c NOACK COUNT 1 BLOCK 1 STREAMS a b > >
XREADGROUP GROUP STREAMS c STREAMS a >
XREADGROUP GROUP g STREAMS STREAMS a >
XREADGROUP GROUP g c streams STREAMS 0
XGROUP CREATE k g $ MKSTREAM
XGROUP DELCONSUMER k g c
XGROUP HELP
XGROUP NOSUCH k
XINFO STREAM k FULL
XINFO GROUPS k
XCLAIM k g c 0 1-1
XAUTOCLAIM k g c 0 0
XSETID k 1-1
OBJECT ENCODING k
OBJECT freq k
OBJECT HELP
MEMORY USAGE k SAMPLES 5
MEMORY DOCTOR
EVAL s 0
EVAL s 0 a
EVAL s 1 a
EVAL s 2 a b x y
EVAL s 3 a b
EVAL s -1 a
EVAL s x
EVALSHA 0123456789 1 a
EVAL_RO s 1 a
EVALSHA_RO s 2 a b
FCALL f 0
FCALL f 1 a b
FCALL_RO f 2 a b
FCALL f 2 a
DUMP k
RESTORE k 0 x REPLACE
RESTORE-ASKING k 0 x
MIGRATE h 1 k 0 1
MIGRATE h 1 k 0 1 COPY REPLACE AUTH p
MOVE k 1
WATCH a b
EXPIRE k 10 NX
OBJECT ENCODING
SUBSCRIBE c
SPUBLISH c m
SSUBSCRIBE c
SCAN 0
NOSUCH a
CLIENT ID
PING m
DBSIZE x
GET a b
HSET h f v
HSET h f v g w
HRANDFIELD h 2 WITHVALUES
SELECT 0
PUBLISH c m
""".strip().splitlines()]
REQUESTS += [["GET", ""], ["MGET", "", "a"], ["SET", "\r\n", "$-1\r\n"], ["EVAL", "s", "", "a"],
             ["MIGRATE", "h", "1", "", "0", "1", "KEYS", "a", "b"],
             ["MIGRATE", "h", "1", "", "0", "1", "KEYS", "KEYS"],
             ["MIGRATE", "h", "1", "", "0", "1", "AUTH", "KEYS", "KEYS", "a"],
             ["MIGRATE", "h", "1", "", "0", "1", "AUTH2", "u", "p", "KEYS", "a", "b"],
             ["MIGRATE", "h", "1", "k", "0", "1", "KEYS", "a"],
             ["XREAD", "STREAMS", "", ""], ["GEORADIUS", "k", "0", "0", "1", "m", "STORE", ""]]

# What a request's error is when it is executed: the text find_keys() gives must be the server's.
EXECUTED = [line.split(" ") for line in """
EVAL s x a
EVAL s -1 a
EVAL s 2 a
EVALSHA 01234567890123456789012345678901234567ab x
EVAL_RO s 2 a
FCALL f x a
FCALL f -1 a
FCALL_RO f 3 a
ZUNION x a
ZUNION 0 a
ZINTER 0 a
ZDIFF -1 a
ZUNION 2 a
ZINTERCARD 0 a
ZINTERCARD 2 a
ZUNIONSTORE d 0 a
ZINTERSTORE d 0 a
ZDIFFSTORE d x a
ZDIFFSTORE d 0 a
SINTERCARD 0 a
SINTERCARD x a
SINTERCARD 2 a
LMPOP 0 a LEFT
LMPOP x a LEFT
ZMPOP 0 a MIN
XREAD STREAMS a b 0
XREAD FOO 1 STREAMS a 0
XREAD COUNT 1 STREAMS
""".strip().splitlines()]


class Results:
    def __init__(self):
        self.passed = 0
        self.failed = 0

    def check(self, ok, what, *details):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            print("FAILED: %s%s" % (what, "".join("\n    %s" % (detail,) for detail in details)))

    def equal(self, ours, theirs, what):
        self.check(ours == theirs, what, "ours   %r" % (ours,), "theirs %r" % (theirs,))


class Dump:
    """The dump_commands program."""

    def __init__(self, binary):
        self.binary = binary

    def run(self, mode, requests=()):
        lines = "".join(" ".join(arg.encode("latin-1").hex() or "-" for arg in request) + "\n"
                        for request in requests)
        done = subprocess.run([self.binary, mode], input=lines.encode(), stdout=subprocess.PIPE,
                              timeout=60, check=True)
        return done.stdout.decode("latin-1").splitlines()

    def table(self):
        return {row["name"]: row for row in map(json.loads, self.run("table"))}

    def keys(self, requests):
        """Per request: (positions or None, error, has BLOCK)."""
        answers = []
        for line in self.run("keys", requests):
            found, block = line.split("\t")
            kind, _, rest = found.partition(" ")
            positions = [int(word) for word in rest.split()] if kind == "keys" else None
            answers.append((positions, rest if kind == "error" else "", block == "block"))
        return answers

    def replies(self, requests):
        return [tuple(bytes.fromhex(word) for word in line.split(" "))
                for line in self.run("replies", requests)]


def names_of_bits(names, bits):
    return [name for bit, name in enumerate(names) if bits >> bit & 1]


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def as_dict(flat):
    return {text(flat[at]): flat[at + 1] for at in range(0, len(flat), 2)}


def spec_of_redis(flat):
    spec = as_dict(flat)
    begin, find = as_dict(spec["begin_search"]), as_dict(spec["find_keys"])
    return {"flags": [text(flag) for flag in spec["flags"]],
            "begin": text(begin["type"]), "begin_spec": {k: text(v) for k, v in as_dict(begin["spec"]).items()},
            "find": text(find["type"]), "find_spec": as_dict(find["spec"])}


def spec_of_ours(spec):
    begin = ["index", "keyword", "unknown"][spec["begin"]]
    find = ["range", "keynum", "unknown"][spec["find"]]
    return {"flags": names_of_bits(KEY_FLAGS, spec["flags"]),
            "begin": begin,
            "begin_spec": {"index": {"index": spec["index"]},
                           "keyword": {"keyword": spec["keyword"], "startfrom": spec["index"]},
                           "unknown": {}}[begin],
            "find": find,
            "find_spec": {"range": {"lastkey": spec["last_key"], "keystep": spec["key_step"],
                                    "limit": spec["limit"]},
                          "keynum": {"keynumidx": spec["keynum_index"], "firstkey": spec["first_key"],
                                     "keystep": spec["key_step"]},
                          "unknown": {}}[find]}


def flattened(rows):
    for row in rows:
        yield row
        yield from flattened(row[9])


def test_list_is_covered(results, table):
    with open(COMMAND_LIST, encoding="ascii") as lines:
        names = [line.strip() for line in lines if line.strip()]
    results.check(len(names) > 400, "tests/data/commands.txt is complete")
    for name in names:
        row = table.get(name.lower().replace(" ", "|"))
        results.check(row is not None, "%s is in the table" % name)
        if row is not None:
            results.check(row["refuse"] == bool(row["refusal"]), "%s has a refusal if it is refused" % name)
            results.check(bool(row["since"]), "%s says since when it is" % name)


def test_table_equals_redis(results, table, client):
    for row in flattened(client.call("COMMAND")):
        name = text(row[0])
        ours = table.get(name)
        results.check(ours is not None, "%s is in the table" % name)
        if ours is None:
            continue
        results.equal(ours["arity"], EXPLAINED_ARITIES.get(name, row[1:])[0], "%s: arity" % name)
        flags = set(names_of_bits(FLAGS, ours["flags"])) - HIDDEN_FLAGS
        results.equal(flags, {text(flag) for flag in row[2]}, "%s: flags" % name)
        results.equal([ours["first_key"], ours["last_key"], ours["key_step"]], row[3:6],
                      "%s: first, last, step" % name)
        results.equal(ours["acl"].split(), [text(category) for category in row[6]], "%s: ACL categories" % name)
        results.equal(ours["tips"], [text(tip) for tip in row[7]], "%s: tips" % name)
        results.equal([spec_of_ours(spec) for spec in ours["key_specs"]],
                      [spec_of_redis(spec) for spec in row[8]], "%s: key specs" % name)
    for name, docs in as_dict(client.call("COMMAND", "DOCS")).items():
        docs = as_dict(docs)
        results.equal(table[name]["since"], text(docs["since"]), "%s: since" % name)
        for subcommand, sub_docs in as_dict(docs.get("subcommands", [])).items():
            results.equal(table[subcommand]["since"], text(as_dict(sub_docs)["since"]), "%s: since" % subcommand)


def raw_replies(server, version, requests):
    """The exact bytes of each reply; a reply ends where the echo behind it begins."""
    answers = []
    with server.client() as client:
        if version == 3:
            client.call("HELLO", "3")
        for request in requests:
            end = "end-of-reply-%d" % random.getrandbits(60)
            client.send(*request)
            client.send("ECHO", end)
            marker = b"$%d\r\n%s\r\n" % (len(end), end.encode())
            raw = b""
            while not raw.endswith(marker):
                raw += client.reader.read1(65536)
            answers.append(raw[:-len(marker)])
    return answers


def without_notes(reply):
    """Key specs of Redis may have a sentence about themselves; ours never have."""
    shorter = {b"*8": b"*6", b"%4": b"%3"}
    return re.sub(rb"(\*8|%4)\r\n\$5\r\nnotes\r\n\$\d+\r\n[^\r]*\r\n",
                  lambda match: shorter[match.group(1)] + b"\r\n", reply)


def test_replies_equal_redis(results, table, dump, server):
    """Byte for byte, where both sides have the same to say."""
    requests = []
    for name, row in table.items():
        # Containers are compared through their subcommands: which of them are served differs.
        if not row["refuse"] and not row["subcommands"] and name not in EXPLAINED_ARITIES:
            requests.append(["COMMAND", "INFO", name.upper()])
    requests += [["COMMAND", "INFO", *names] for names in
                 (["get", "nosuch", "GET"], ["client|id|x"], ["get|x"], ["client|nosuch"], ["client|ID"], [""])]
    requests += [["COMMAND", "LIST", *options] for options in
                 (["FILTERBY"], ["FILTERBY", "MODULE", "m"], ["FILTERBY", "ACLCAT", "nosuch"], ["x"],
                  ["FILTERBY", "x", "y"], ["filterby", "pattern", "xrev*"], ["FILTERBY", "ACLCAT", "HyperLogLog", "x"],
                  ["FILTERBY", "PATTERN", "nosuch*"])]
    requests += [["COMMAND", "GETKEYSANDFLAGS", *request] for request in REQUESTS]
    with server.client() as client:
        known = {text(row[0]) for row in flattened(client.call("COMMAND"))}
    requests = [request for request in requests
                if request[1] != "INFO" or len(request) > 3 or request[2].lower() in known
                or request[2].lower() not in table]
    for version in (2, 3):
        theirs = raw_replies(server, version, requests)
        for request, ours, their in zip(requests, dump.replies(requests), theirs):
            if keys_are_explained(request[2:]):
                continue
            results.equal(ours[version - 2], without_notes(their), "RESP%d reply to %r" % (version, request))


def keys_are_explained(request):
    return any(request == explained for explained, _, _ in EXPLAINED)


def random_requests(seed, table):
    """Requests of commands with keys, from words that matter to key finding."""
    rng = random.Random(seed)
    words = ["a", "b", "c", "0", "1", "2", "3", "STORE", "GET", "LIMIT", "BY", "x*", "COUNT", "WITHSCORES"]
    # The option parsers have their own examples above: with random words they differ as explained.
    parsers = {"xread", "xreadgroup", "sort", "georadius", "georadiusbymember", "migrate", "pfmerge"}
    names = sorted(name for name, row in table.items() if row["key_specs"] and name not in parsers)
    for _ in range(3000):
        name = rng.choice(names)
        arity = table[name]["arity"]
        request = name.split("|")
        size = abs(arity) + (rng.randrange(5) if arity < 0 else 0)
        while len(request) < max(size, 2):
            request.append(rng.choice(words))
        yield request


def test_keys_equal_redis(results, table, dump, server, seed):
    requests = REQUESTS + list(random_requests(seed, table)) + [request for request, _, _ in EXPLAINED]
    explained = {tuple(request): found for request, found, _ in EXPLAINED}
    with server.client() as client:
        known = {text(row[0]) for row in flattened(client.call("COMMAND"))}
        theirs = []
        for at in range(0, len(requests), 200):
            theirs += client.call_many([["COMMAND", "GETKEYS", *(arg.encode("latin-1") for arg in request)]
                                        for request in requests[at:at + 200]])
    for request, (positions, error, _), their in zip(requests, dump.keys(requests), theirs):
        their_keys = None if isinstance(their, RespError) else [key.decode("latin-1") for key in their]
        if tuple(request) in explained:
            ours = explained[tuple(request)]
            results.equal(positions, ours, "keys of %r" % request)
            results.check(their_keys != (ours and [request[at] for at in ours]),
                          "the explained difference for %r still exists" % request)
            continue
        name = request[0].lower()
        if name not in known or (table[name]["subcommands"] and len(request) < 2):
            continue
        our_keys = None if positions is None else [request[at] for at in positions]
        if isinstance(their, RespError) and str(their) in (
                "ERR The command has no key arguments", "ERR Invalid command specified",
                "ERR Invalid number of arguments specified for command"):
            results.check(not our_keys or "number of arguments" in their,
                          "%r has no keys" % request, "ours %r" % our_keys, their)
        elif their_keys == [] and positions is None:
            # Redis' GETKEYS says "no keys" for a wrong numkeys of EVAL and FCALL.
            results.check("no_mandatory_keys" in names_of_bits(FLAGS, table[name]["flags"]), "%r: %s" % (request, error))
        else:
            results.equal(our_keys, their_keys, "keys of %r (%s)" % (request, their))


def test_errors_equal_redis(results, dump, server):
    with server.client() as client:
        client.call("FUNCTION", "LOAD", "#!lua name=l\nredis.register_function{function_name='f', "
                    "callback=function() return 1 end, flags={'no-writes'}}")
        theirs = client.call_many(EXECUTED)
    for request, (positions, error, _), their in zip(EXECUTED, dump.keys(EXECUTED), theirs):
        results.equal((positions, RespError("ERR " + error)), (None, their), "the error of %r" % request)


def test_block(results, dump):
    cases = [("XREAD BLOCK 0 STREAMS a $", True), ("xread count 1 block 0 streams a $", True),
             ("XREAD STREAMS BLOCK 0", False), ("XREAD COUNT 1 STREAMS a BLOCK 0 0", False),
             ("XREADGROUP GROUP BLOCK c STREAMS a >", False), ("XREADGROUP GROUP g BLOCK STREAMS a >", False),
             ("XREADGROUP GROUP g c BLOCK 0 STREAMS a >", True), ("XREAD FOO BLOCK 0 STREAMS a $", True),
             ("XREAD BLOCK", True), ("GET BLOCK", False)]
    answers = dump.keys([case.split(" ") for case, _ in cases])
    for (case, block), answer in zip(cases, answers):
        results.equal(answer[2], block, "BLOCK in %r" % case)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dump", required=True, help="the dump_commands program")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    options = parser.parse_args()
    print("seed %d" % options.seed)
    results = Results()
    dump = Dump(options.dump)
    table = dump.table()
    with RedisServer() as server:
        with server.client() as client:
            test_list_is_covered(results, table)
            test_table_equals_redis(results, table, client)
        test_replies_equal_redis(results, table, dump, server)
        test_keys_equal_redis(results, table, dump, server, options.seed)
        test_errors_equal_redis(results, dump, server)
        test_block(results, dump)
    print("%d passed, %d failed" % (results.passed, results.failed))
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(main())
