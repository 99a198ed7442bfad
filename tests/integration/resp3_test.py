#!/usr/bin/python3
"""A client with HELLO 3 gets, byte by byte, what redis-server would send it: whether the servers behind the proxy
know RESP3 or not."""

import random
import re
import shlex
import sys
import threading

from checks import read_raw, run_tests
from fake_server import FakeServer
from resp import Resp, encode
from servers import PikaProxy, RedisServer, wait_until

# Sent over one connection each to a redis-server and to the proxy. "~": numbers in the reply differ from run to run.
# "#": the order does (sorted for the comparison). "!": where replies are lifted it is not compared.
SEQUENCES = {
    "strings": """SET {t}s v|GET {t}s|GET {t}none|GETSET {t}s w|GETDEL {t}s|GETEX {t}none|SET {t}s v GET|SET {t}s v NX
        APPEND {t}s x|STRLEN {t}s|SETRANGE {t}s 1 zz|GETRANGE {t}s 0 -1|INCR {t}n|INCRBYFLOAT {t}n 1.5|DECR {t}none2
        MSET {t}a 1 {t}b 2|MGET {t}a {t}none {t}b|MSETNX {t}a 1 {t}q 2|SUBSTR {t}s 0 1|SETNX {t}s 1|SETEX {t}e 100 v
        LCS {t}a {t}b|LCS {t}a {t}b LEN|SET {t}x ohmytext|SET {t}y mynewtext|LCS {t}x {t}y IDX
        LCS {t}x {t}y IDX MINMATCHLEN 4 WITHMATCHLEN|GETBIT {t}s 3|BITCOUNT {t}s|BITFIELD {t}bf SET u8 0 255 GET u8 0
        BITFIELD {t}bf OVERFLOW FAIL INCRBY u8 0 10|BITPOS {t}s 1|INCR {t}s|GET""",
    "several groups": """MSET a 1 b 2 c 3 d 4 e 5|MGET a none b c nothing d e|DEL a b none|EXISTS c d none|TOUCH c d
        MGET none1 none2 none3|DBSIZE|#KEYS *|UNLINK c d|RANDOMKEY|UNLINK e|RANDOMKEY|DBSIZE""",
    "hashes": """HSET {t}h a 1 b 2 c 3|HGETALL {t}h|HGETALL {t}none|HGET {t}h a|HGET {t}h none|HMGET {t}h a none c
        HKEYS {t}h|HVALS {t}h|HLEN {t}h|HEXISTS {t}h a|HINCRBY {t}h a 4|HINCRBYFLOAT {t}h a 1.25|HSTRLEN {t}h a
        HDEL {t}h b c|HRANDFIELD {t}h|HRANDFIELD {t}h 5|HRANDFIELD {t}h 5 WITHVALUES|HRANDFIELD {t}none
        HRANDFIELD {t}h -3 withvalues|HRANDFIELD {t}none 3 WITHVALUES|HSCAN {t}h 0|HMSET {t}h x 1|HSETNX {t}h x 1
        HGETALL {t}s1|SET {t}s1 v|HGETALL {t}s1|HGETALL""",
    "lists": """RPUSH {t}l a b c|LRANGE {t}l 0 -1|LPOP {t}l|LPOP {t}none|LPOP {t}l 2|LPOP {t}none 2|LPUSH {t}l 1 2 3
        LINDEX {t}l 0|LINDEX {t}l 99|LINSERT {t}l BEFORE 1 x|LPOS {t}l x|LPOS {t}l none|LPOS {t}l x COUNT 0
        LMOVE {t}l {t}m LEFT RIGHT|LMOVE {t}none {t}m LEFT RIGHT|RPOPLPUSH {t}l {t}m|LMPOP 2 {t}none {t}l LEFT COUNT 2
        LMPOP 1 {t}none LEFT|LSET {t}m 0 z|LTRIM {t}m 0 0|LLEN {t}m|LREM {t}m 0 z|RPOP {t}none|RPUSHX {t}none x
        RPUSH {t}so 3 1 2|SORT {t}so|SORT {t}so GET # GET {t}w_*|SORT_RO {t}so DESC""",
    "sets": """SADD {t}i 3 1 2|SMEMBERS {t}i|SMEMBERS {t}none|SADD {t}j 2 3 4|SINTER {t}i {t}j|SUNION {t}i {t}j
        SDIFF {t}i {t}j|SINTERCARD 2 {t}i {t}j|SINTERSTORE {t}k {t}i {t}j|SISMEMBER {t}i 1|SMISMEMBER {t}i 1 9
        SADD {t}o only|SPOP {t}o|SPOP {t}o|SADD {t}o only|SPOP {t}o 3|SPOP {t}o 3|SADD {t}o x|SRANDMEMBER {t}o
        SRANDMEMBER {t}o 4|SRANDMEMBER {t}o -2|SRANDMEMBER {t}none|SRANDMEMBER {t}none 2|SCARD {t}i|SSCAN {t}o 0
        SMOVE {t}i {t}j 1|SREM {t}i 2|SINTER {t}none {t}i|SPOP {t}o x""",
    "sorted sets": """ZADD {t}z 1 a 2.5 b 3.1 c inf d|ZADD {t}z INCR 1 a|ZADD {t}z XX INCR 1 none|ZADD {t}z NX CH 5 e
        ZADD {t}z 1 incr|ZREM {t}z incr|ZADD {t}z ch incr -0.5 a|ZSCORE {t}z b|ZSCORE {t}z none|ZSCORE {t}none x
        ZMSCORE {t}z a none b|ZINCRBY {t}z 1e20 a|ZINCRBY {t}z -inf e|ZRANGE {t}z 0 -1|ZRANGE {t}z 0 -1 WITHSCORES
        ZRANGE {t}none 0 -1 withscores|ZRANGE {t}z -inf inf BYSCORE WITHSCORES LIMIT 0 2|ZREVRANGE {t}z 0 1 WITHSCORES
        ZRANGEBYSCORE {t}z 0 3 WITHSCORES|ZREVRANGEBYSCORE {t}z 3 0 WITHSCORES LIMIT 0 1|ZRANGEBYLEX {t}z - +
        ZRANGEBYSCORE {t}z 0 3|ZRANK {t}z a|ZRANK {t}z none|ZREVRANK {t}z b|ZCARD {t}z|ZCOUNT {t}z -inf +inf
        ZADD {t}y 1 a 7 b|ZUNION 2 {t}z {t}y WITHSCORES|ZUNION 2 {t}z {t}y|ZINTER 2 {t}z {t}y WITHSCORES AGGREGATE MIN
        ZUNION 1 withscores|ZUNION 2 {t}z {t}y WEIGHTS 2 3 withscores|ZDIFF 2 {t}z {t}y WITHSCORES|ZDIFF 1 {t}none
        ZINTERCARD 2 {t}z {t}y|ZSCAN {t}y 0|ZADD {t}o 1.5 x|ZRANDMEMBER {t}o|ZRANDMEMBER {t}o 3 WITHSCORES
        ZRANDMEMBER {t}o -2 WITHSCORES|ZRANDMEMBER {t}none|ZRANDMEMBER {t}none 2 WITHSCORES|ZRANDMEMBER {t}o 2
        ZPOPMIN {t}y|ZPOPMAX {t}none|ZPOPMIN {t}none 2|ZPOPMAX {t}z 2|ZPOPMIN {t}y 1|ZMPOP 2 {t}none {t}z MIN COUNT 2
        ZMPOP 1 {t}none MAX|ZRANGESTORE {t}rs {t}o 0 -1|ZUNIONSTORE {t}us 1 {t}o|ZRANK {t}o x WITHSCORE|ZADD {t}z x a""",
    "places": """GEOADD {t}g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania|GEOPOS {t}g Palermo none Catania
        GEODIST {t}g Palermo Catania km|GEODIST {t}g Palermo none|GEOHASH {t}g Palermo none
        GEORADIUS {t}g 15 37 200 km WITHCOORD WITHDIST WITHHASH ASC|GEORADIUS {t}g 15 37 200 km ASC
        GEORADIUS {t}g 15 37 200 km WITHDIST ASC|GEOSEARCH {t}g FROMMEMBER Palermo BYBOX 400 400 km ASC WITHCOORD
        GEOSEARCH {t}g FROMLONLAT 15 37 BYRADIUS 200 km ASC|GEORADIUSBYMEMBER {t}g Palermo 200 km WITHCOORD COUNT 1
        GEORADIUS_RO {t}g 15 37 1 km WITHCOORD|GEOPOS {t}none x|GEOSEARCHSTORE {t}gs {t}g FROMMEMBER Palermo BYRADIUS 1 m""",
    "streams": """XADD {t}x 1-1 f v|XADD {t}x 2-1 f v g w|XRANGE {t}x - +|XREVRANGE {t}x + - COUNT 1|XLEN {t}x
        XREAD COUNT 1 STREAMS {t}x 0|XREAD STREAMS {t}x {t}none 0 0|XREAD STREAMS {t}x $|XGROUP CREATE {t}x g 0
        XREADGROUP GROUP g c COUNT 1 STREAMS {t}x >|XREADGROUP GROUP g c STREAMS {t}x 0|XREADGROUP GROUP g c STREAMS {t}x >
        XREADGROUP GROUP g c STREAMS {t}x >|XPENDING {t}x g|~XPENDING {t}x g - + 9|XINFO GROUPS {t}x|~XINFO CONSUMERS {t}x g
        XINFO STREAM {t}x|~XINFO STREAM {t}x FULL|~XINFO STREAM {t}x FULL COUNT 1|XACK {t}x g 1-1
        XCLAIM {t}x g d 0 2-1|XAUTOCLAIM {t}x g d 0 0|XDEL {t}x 1-1|XTRIM {t}x MAXLEN 0|XINFO STREAM {t}none
        XINFO STREAM {t}x|XADD {t}none NOMKSTREAM * f v|XGROUP CREATECONSUMER {t}x g e|XSETID {t}x 9-9""",
    "keys": """SET {t}k v|TYPE {t}k|TTL {t}k|EXPIRE {t}k 100|EXPIRETIME {t}none|PERSIST {t}k|OBJECT ENCODING {t}k
        OBJECT ENCODING {t}none|DUMP {t}none|COPY {t}k {t}k2|RENAME {t}none {t}k|~OBJECT IDLETIME {t}k|OBJECT REFCOUNT {t}k
        PFADD {t}hll a b|PFCOUNT {t}hll|OBJECT HELP|RENAMENX {t}k {t}k2|~MEMORY USAGE {t}k|EXISTS {t}k""",
    "scripts": """EVAL "return {1,'a',false,{2,false}}" 0|EVAL "return 1.5" 0|!EVAL "return {double=3.5}" 0
        EVAL "return redis.call('get',KEYS[1])" 1 {t}none|EVAL "return redis.status_reply('X')" 0|EVAL "return {}" 0
        EVAL "return redis.error_reply('MY ERR')" 0|EVALSHA 0000000000000000000000000000000000000000 0
        EVAL "return redis.call('hgetall',KEYS[1])" 1 {t}none|SCRIPT EXISTS 0000000000000000000000000000000000000000
        EVAL_RO "return KEYS[1]" 1 {t}a|!EVAL "redis.setresp(3); return redis.call('hgetall',KEYS[1])" 1 {t}none
        SCRIPT LOAD "return {KEYS[1], false}"|EVALSHA 52edd88dd1e2f7bb0fe1b5b8a6efbd5d9cb8a63e 1 {t}a
        FUNCTION LOAD REPLACE LIBRARY|FUNCTION LIST|FUNCTION LIST WITHCODE|FCALL_RO f 1 {t}a|~FUNCTION STATS""",
    "transactions": """MULTI|HSET {t}h a 1|HGETALL {t}h|SADD {t}s 1 2|SMEMBERS {t}s|ZADD {t}z 1 m|ZRANGE {t}z 0 -1 WITHSCORES
        ZSCORE {t}z m|GET {t}none|LPUSH {t}h x|BLPOP {t}none 0|EXEC|MULTI|GET {t}none|DISCARD|EXEC
        WATCH {t}h|SET {t}h x|MULTI|GET {t}h|EXEC|WATCH {t}h|MULTI|SMEMBERS {t}s|ZINCRBY {t}z 1 m|EXEC|MULTI|NOSUCH|EXEC""",
    "waiting": """RPUSH {t}l a b c d|BLPOP {t}l 0|BLPOP {t}none 0.01|BLMOVE {t}none {t}l LEFT LEFT 0.01|BRPOPLPUSH {t}none {t}l 0.01
        BLMPOP 0.01 1 {t}none LEFT|BLMPOP 0 1 {t}l LEFT COUNT 2|ZADD {t}z 1.5 a 2 b 3 c|BZPOPMIN {t}z 0|BZPOPMIN {t}none 0.01
        BZMPOP 0 1 {t}z MAX|BZMPOP 0.01 1 {t}none MIN|XADD {t}x 1-1 f v|XREAD BLOCK 0 STREAMS {t}x 0|XREAD BLOCK 1 STREAMS {t}x $""",
    "of the proxy": """PING|PING x|ECHO x|CLIENT GETNAME|CLIENT SETNAME n|CLIENT GETNAME|SELECT 1|GET {t}x|SELECT 0
        CLIENT REPLY ON|SLOWLOG RESET|COMMAND GETKEYS MGET a b|COMMAND GETKEYSANDFLAGS SET a b|COMMAND INFO nosuch
        CONFIG GET nosuch|NOSUCH x y|GET|HELLO 3 NOSUCH|HELLO x|HELLO 4|HELLO 1|HELLO 3 AUTH|CLIENT NOSUCH|AUTH x
        COMMAND DOCS nosuch|COMMAND DOCS get|COMMAND DOCS zadd|#COMMAND DOCS xinfo|OBJECT FREQ {t}none""",
}


LIBRARY = """#!lua name=lib
redis.register_function{function_name='f', callback=function(keys, args) return keys end, flags={'no-writes'}}"""


def requests_of(text):
    """(marks, arguments) of each."""
    for line in re.split(r"\||\n\s*", text):
        marks = re.match(r"[~#!]*", line).group(0)
        yield marks, [LIBRARY if word == "LIBRARY" else word for word in shlex.split(line[len(marks):], posix=True)]


class Raw(Resp):
    """Reads whole replies as the bytes they are."""

    def raw_call(self, *args):
        self.send(*args)
        return self.raw()

    def raw(self):
        return read_raw(self.reader)


def resp3(process):
    client = Raw(process.host, process.port)
    client.call("HELLO", "3")
    return client


def comparable(raw, marks):
    if "~" in marks:
        raw = re.sub(rb":\d+", b":N", raw)
    if "#" in marks:
        raw = b"".join(sorted(raw.split(b"\r\n")))
    return raw


class Bed:
    """A redis-server to compare with, and the proxy over two groups of servers."""

    def __init__(self, t, *server_options):
        self.plain = RedisServer()
        self.servers = [RedisServer(*server_options), RedisServer(*server_options)]
        self.proxy = PikaProxy(t.pikaproxy, self.servers, {"proxy.workers": 2})

    def __enter__(self):
        return self

    def __exit__(self, *exit):
        self.proxy.__exit__(*exit)
        for process in (self.plain, *self.servers):
            process.stop()


def compare(t, bed, lifted):
    for name, text in SEQUENCES.items():
        with resp3(bed.plain) as plain, resp3(bed.proxy) as ours:
            for marks, request in requests_of(text):
                expected = plain.raw_call(*request)
                got = ours.raw_call(*request)
                if "!" in marks and lifted:
                    continue
                t.equal(comparable(got, marks), comparable(expected, marks), "%s: %s" % (name, " ".join(request)))
            # The same at once: the replies come in order, whatever they have been made of.
            plain.raw_call("FLUSHALL"), ours.raw_call("FLUSHALL")
            requests = [request for marks, request in requests_of(text) if not marks]
            batch = b"".join(encode(*request) for request in requests)
            for side in (plain, ours):
                side.send_bytes(batch)
            for request in requests:
                expected, got = plain.raw(), ours.raw()
                # What was random or depends on the time is compared above.
                if not re.match(rb"XADD|XINFO|XPENDING|RANDOMKEY", request[0].encode()):
                    t.equal(got, expected, "%s, pipelined: %s" % (name, " ".join(request)))
            plain.raw_call("FLUSHALL"), ours.raw_call("FLUSHALL")


def test_as_redis(t):
    with Bed(t) as bed:
        compare(t, bed, lifted=False)


def test_lifted(t):
    """Servers that know no HELLO: the proxy makes RESP3 of their replies."""
    with Bed(t, "--rename-command", "HELLO", "") as bed:
        compare(t, bed, lifted=True)


def test_hello(t):
    with Bed(t) as bed, resp3(bed.proxy) as client, bed.proxy.client() as old:
        expected = resp3(bed.plain).call("HELLO")
        got = client.call("HELLO")
        t.equal(list(got), list(expected), "the fields of HELLO")
        t.equal((got[b"server"], got[b"proto"], got[b"role"]), (b"redis", 3, b"master"), "their values")
        t.check("resp=3" in client.call("CLIENT", "INFO").decode(), "CLIENT INFO tells the protocol")
        t.check(client.raw_call("INFO").startswith(b"="), "INFO is a verbatim string")
        t.check(client.raw_call("CLIENT", "LIST").startswith(b"="), "CLIENT LIST is one")
        t.check(client.raw_call("CONFIG", "GET", "proxy.workers").startswith(b"%1\r\n"), "CONFIG GET is a map")
        t.check(b"~" in client.raw_call("COMMAND", "INFO", "GET"), "COMMAND INFO has sets")
        t.equal(client.raw_call("SLOWLOG", "GET", "0"), b"*0\r\n", "SLOWLOG GET is an array")
        t.equal(old.call("HSET", "h", "a", "1"), 1, "a client without HELLO")
        t.equal(old.call("HGETALL", "h"), [b"a", b"1"], "has arrays")
        t.equal(old.call("HELLO", "2")[5], 2, "HELLO 2 tells so")
        t.equal(client.call("HELLO", "2")[5], 2, "back to RESP2")
        t.equal(client.call("HGETALL", "h"), [b"a", b"1"], "with arrays")
        t.equal(client.call("HELLO", "3")[b"proto"], 3, "and to RESP3")
        t.equal(client.call("RESET"), "RESET", "RESET")
        t.equal(client.call("HGETALL", "h"), [b"a", b"1"], "means RESP2 again")


def test_order_over_a_change(t):
    """Requests before and after a HELLO take different connections to the server, and run in their order."""
    with Bed(t) as bed, bed.proxy.client() as client:
        random_ = random.Random(t.seed)
        for _ in range(30):
            version, expected = 2, []
            requests, value = [["MSET", "k", "0"], ["DEL", "h"], ["HSET", "h", "v", "0"]], 0
            for _ in range(random_.randrange(2, 60)):
                if random_.random() < 0.2:
                    version = 5 - version
                    requests.append(["HELLO", str(version)])
                elif random_.random() < 0.1:
                    version = 2
                    requests.append(["RESET"])
                # What was written last, maybe over the other connection, is read; then something else is written.
                expected += [b"%d" % value, {b"v": b"%d" % value} if version == 3 else [b"v", b"%d" % value]]
                value += 1
                requests += [["GET", "k"], ["HGETALL", "h"], ["SET", "k", str(value)], ["HMSET", "h", "v", str(value)]]
            replies = client.call_many(requests)
            got = [reply for request, reply in zip(requests, replies) if request[0] in ("GET", "HGETALL")]
            t.equal(got, expected, "values in the order of the requests")
            client.call("HELLO", "2")


def test_login(t):
    with RedisServer("--requirepass", "secret") as server:
        group = {"server": server.address, "password": "secret"}
        with PikaProxy(t.pikaproxy, [group], {"auth.password": "pw"}, [{"name": "al", "password": "pw2"}]) as proxy:
            with proxy.client() as client:
                t.error(client.call("HELLO", "3"), "NOAUTH HELLO must be called", "HELLO without a password")
                t.error(client.call("GET", "k"), "NOAUTH", "and the protocol has not changed")
                t.error(client.call("HELLO", "3", "AUTH", "al", "x"), "WRONGPASS", "a wrong one")
                t.equal(client.call("HELLO", "3", "AUTH", "al", "pw2", "SETNAME", "me")[b"proto"], 3, "the right one")
                t.equal(client.call("CLIENT", "GETNAME"), b"me", "and a name")
                t.equal(client.call("SET", "k", "v"), "OK", "the server's password goes with its HELLO")
                t.equal(client.call("HGETALL", "none"), {}, "RESP3 from the server")


def test_server_comes_back(t):
    """A connection that is made again speaks RESP3 again."""
    server = RedisServer()
    try:
        with PikaProxy(t.pikaproxy, [server]) as proxy, resp3(proxy) as client:
            t.equal(client.call("HGETALL", "none"), {}, "before")
            port = server.port
            server.stop()
            server = RedisServer(port=port)
            wait_until(lambda: client.call("HGETALL", "none") == {}, 20, "the server to be used again")
            t.check(True, "after")
    finally:
        server.stop()


def test_messages_in_between(t):
    """A push from a server answers nobody, and attributes belong to the reply behind them."""
    push = b">2\r\n$3\r\nfoo\r\n*2\r\n:1\r\n$40000\r\n" + b"x" * 40000 + b"\r\n"
    cut = []

    def behave(connection, args):
        if args[0].upper() == b"HELLO":
            return push + b"%1\r\n+proto\r\n:3\r\n" + push
        if args[0] == b"GET":
            # One piece, and piece by piece.
            whole = push + b"$1\r\nv\r\n" + push
            if not cut:
                return whole
            for start in range(0, len(whole), 7919):
                connection.send(whole[start:start + 7919])
            return None
        if args[0] == b"HGETALL":
            return b"|1\r\n+ttl\r\n:1\r\n%1\r\n+a\r\n:1\r\n"
        if args[0] == b"LRANGE":
            return b"*2\r\n$1\r\na\r\n>1\r\n+inside\r\n$1\r\nb\r\n"
        if args[0] == b"LINDEX":
            return b"$?\r\n;1\r\na\r\n;0\r\n"
        return server.healthy(args)

    with FakeServer(behave) as server, PikaProxy(t.pikaproxy, [server.address]) as proxy, resp3(proxy) as client:
        for _ in range(20):
            t.equal(client.call_many([["GET", "k"]] * 3), [b"v"] * 3, "replies among pushes")
        cut.append(True)
        t.equal(client.call_many([["GET", "k"]] * 3), [b"v"] * 3, "replies among pushes in pieces")
        t.equal(client.raw_call("HGETALL", "k"), b"|1\r\n+ttl\r\n:1\r\n%1\r\n+a\r\n:1\r\n", "an attribute")
        t.error(client.call("LRANGE", "k", "0", "1"), "ERR server", "a push inside a reply ends the connection")
        t.error(client.call("LINDEX", "k", "0"), "ERR server", "a streamed string, too")
        with proxy.client() as old:
            t.equal(old.call("PING"), "PONG", "the proxy lives")


def test_exec_in_pieces(t):
    """An EXEC's reply that comes in several pieces is passed on whole."""
    good = b"*2\r\n$30000\r\n" + b"y" * 30000 + b"\r\n*2\r\n+a\r\n:1\r\n"
    bad = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
    refuses = threading.Event()
    never = threading.Event()

    def in_pieces(connection, whole, size):
        for start in range(0, len(whole), size):
            connection.send(whole[start:start + size])
            never.wait(0.02)  # The proxy is likely to read the piece alone; nothing is wrong if it does not.

    def behave(connection, args):
        if args[0] == b"MULTI":
            return b"+OK\r\n"
        if args[0] == b"GET" and refuses.is_set():
            return b"-ERR not now\r\n"
        if args[0] in (b"GET", b"HGETALL"):
            return b"+QUEUED\r\n"
        if args[0] != b"EXEC":
            return server.healthy(args)
        if refuses.is_set():
            in_pieces(connection, bad, 11)
        else:
            in_pieces(connection, good, 9001)
        return None

    with FakeServer(behave) as server, PikaProxy(t.pikaproxy, [server.address]) as proxy:
        for version, last in ((2, b"*2\r\n+a\r\n:1\r\n"), (3, b"%1\r\n+a\r\n:1\r\n")):
            with Raw(proxy.host, proxy.port) as client:
                client.call("HELLO", version)
                refuses.clear()
                replies = client.call_many([["MULTI"], ["GET", "{k}1"], ["HGETALL", "{k}2"]])
                t.equal(replies, ["OK", "QUEUED", "QUEUED"], "queued")
                t.equal(client.raw_call("EXEC"), good[:good.rindex(b"*")] + last, "EXEC in pieces, RESP%d" % version)
                refuses.set()
                client.call_many([["MULTI"], ["GET", "{k}1"], ["HGETALL", "{k}2"]])
                t.error(client.call("EXEC"), "EXECABORT Transaction discarded because of: ERR not now",
                        "an error in pieces, RESP%d" % version)
                t.equal(client.call("PING"), "PONG", "and the next reply is the next request's")


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
