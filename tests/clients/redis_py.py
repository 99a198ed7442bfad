#!/usr/bin/env python3
"""What applications do with redis-py, through the proxy.   redis_py.py HOST PORT PASSWORD_PORT"""

import sys
import threading

import redis

from report import Report


def strings_and_others(t, r):
    t.equal(r.set("k", "v", ex=100, nx=True), True, "SET with options")
    t.equal(r.set("k", "w", nx=True), None, "SET NX of a key that exists")
    t.equal((r.get("k"), r.ttl("k") > 90), ("v", True), "GET, TTL")
    t.equal(r.mset({"a": 1, "b": 2, "c": 3}), True, "MSET over groups")
    t.equal(r.mget("a", "none", "c"), ["1", None, "3"], "MGET over groups")
    t.equal(r.delete("a", "b", "none"), 2, "DEL over groups")
    t.equal(r.hset("h", mapping={"f": 1, "g": 2}), 2, "HSET")
    t.equal(r.hgetall("h"), {"f": "1", "g": "2"}, "HGETALL")
    t.equal(r.rpush("l", *range(5)), 5, "RPUSH")
    t.equal(r.lrange("l", 0, -1), list("01234"), "LRANGE")
    t.equal(r.sadd("s", "a", "b"), 2, "SADD")
    t.equal(r.smembers("s"), {"a", "b"}, "SMEMBERS")
    t.equal(r.zadd("z", {"a": 1.5, "b": 2}), 2, "ZADD")
    t.equal(r.zrange("z", 0, -1, withscores=True), [("a", 1.5), ("b", 2.0)], "ZRANGE")
    t.equal(r.xadd("x", {"f": "v"}, id="1-1"), "1-1", "XADD")
    t.equal(r.xread({"x": "0"}), [["x", [("1-1", {"f": "v"})]]], "XREAD")
    t.equal(r.xgroup_create("x", "g", "0"), True, "XGROUP CREATE")
    t.equal(r.xreadgroup("g", "c", {"x": ">"})[0][1], [("1-1", {"f": "v"})], "XREADGROUP")
    t.equal(r.xinfo_stream("x")["length"], 1, "XINFO STREAM")
    t.equal(r.geoadd("geo", (13.36, 38.11, "p", 15.08, 37.5, "c")), 2, "GEOADD")
    t.check(160 < r.geodist("geo", "p", "c", "km") < 170, "GEODIST")
    t.equal(r.pfadd("hll", "a", "b"), 1, "PFADD")
    t.equal(r.bitfield("bits").set("u8", 0, 255).get("u8", 0).execute(), [0, 255], "BITFIELD")
    t.raises(redis.ResponseError, "WRONGTYPE", lambda: r.lpush("k", 1), "an error of a server")
    t.raises(redis.ResponseError, "CROSSSLOT", lambda: r.rename("k", "other"), "keys in two slots")


def pipelines(t, r):
    pipe = r.pipeline(transaction=False)
    for number in range(1000):
        pipe.set("p%d" % number, number).incr("p%d" % number)
    t.equal(pipe.execute()[1::2], list(range(1, 1001)), "a pipeline over all groups")
    pipe = r.pipeline(transaction=False)
    pipe.set("k", "v").lpush("k", 1).get("k")
    t.equal([type(one) for one in pipe.execute(raise_on_error=False)], [bool, redis.ResponseError, str],
            "an error amid a pipeline")


def transactions(t, r):
    with r.pipeline() as pipe:
        t.equal(pipe.set("{t}a", 1).incr("{t}a").get("{t}a").execute(), [True, 2, "2"], "MULTI, EXEC")

    def add(pipe):
        value = int(pipe.get("{t}a"))
        pipe.multi()
        pipe.set("{t}a", value + 1)
    t.equal(r.transaction(add, "{t}a"), [True], "WATCH and a transaction")
    with r.pipeline() as pipe:
        pipe.watch("{t}a")
        r.set("{t}a", 9)
        pipe.multi()
        pipe.get("{t}a")
        t.raises(redis.WatchError, "", pipe.execute, "a watched key changed")


def scripts(t, r):
    script = r.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    t.equal([script(keys=["n%d" % number], args=[5]) for number in range(10)], [5] * 10, "a script at each group")
    pipe = r.pipeline(transaction=False)
    for number in range(10):
        script(keys=["n%d" % number], args=[1], client=pipe)
    t.equal(pipe.execute(), [6] * 10, "a script in a pipeline")
    t.raises(redis.exceptions.NoScriptError, "", lambda: r.evalsha("0" * 40, 0), "an unknown script")
    with r.lock("lock", timeout=5) as lock:
        t.equal(lock.owned(), True, "a lock")
    t.equal(r.exists("lock"), 0, "and its release, which is a script")


def blocking(t, r):
    t.equal(r.blpop("{q}1", timeout=0.02), None, "BLPOP in vain")
    got = []
    thread = threading.Thread(target=lambda: got.append(r.blpop(["{q}1", "{q}2"], timeout=20)))
    thread.start()
    while r.info().get("blocked_clients") == 0:
        pass
    r.rpush("{q}2", "x")
    thread.join()
    t.equal(got, [("{q}2", "x")], "BLPOP gets what another client pushes")


def iterators(t, r):
    r.flushall()
    r.mset({"key%d" % number: 1 for number in range(500)})
    t.equal(len(set(r.scan_iter(count=50))), 500, "scan_iter sees all keys of all groups")
    t.equal(len(set(r.scan_iter(match="key1*"))), 111, "scan_iter with a pattern")
    r.sadd("set", *range(1000))
    t.equal(len(set(r.sscan_iter("set"))), 1000, "sscan_iter")
    r.hset("hash", mapping={str(number): number for number in range(1000)})
    t.equal(len(dict(r.hscan_iter("hash"))), 1000, "hscan_iter")
    t.equal((r.dbsize(), len(r.keys("key*"))), (502, 500), "DBSIZE, KEYS")


def subscriptions(t, r):
    with r.pubsub() as listener:
        listener.subscribe("news")
        listener.psubscribe("sports.*")
        t.equal([listener.get_message(timeout=20)["type"] for _ in range(2)], ["subscribe", "psubscribe"], "SUBSCRIBE, PSUBSCRIBE")
        t.equal((r.publish("news", "rain"), r.publish("sports.golf", "won"), r.publish("other", "x")), (1, 1, 0), "PUBLISH")
        # From two channels, so perhaps over two servers.
        heard = {(one["channel"], one["data"]) for one in (listener.get_message(timeout=20) for _ in range(2))}
        t.equal(heard, {("news", "rain"), ("sports.golf", "won")}, "both are heard")
        t.equal(r.pubsub_numsub("news"), [("news", 1)], "PUBSUB NUMSUB")


def connections(t, r, host, port, password_port):
    t.equal((r.ping(), r.echo("x")), (True, "x"), "PING, ECHO")
    third = redis.Redis(host, port, db=3, decode_responses=True, client_name="app")
    third.set("only", "there")
    t.equal((third.get("only"), r.get("only"), third.client_getname()), ("there", None, "app"), "a database, a name")
    t.equal(r.client_kill_filter(_id=third.client_id()), 1, "CLIENT KILL")
    t.equal(third.get("only"), "there", "a connection that was lost is opened again")
    t.raises(redis.AuthenticationError, "", redis.Redis(host, password_port).ping, "no password")
    t.raises(redis.ResponseError, "WRONGPASS", redis.Redis(host, password_port, password="wrong").ping, "a wrong password")
    t.equal(redis.Redis(host, password_port, password="secret").ping(), True, "a password")
    t.equal(redis.Redis(host, password_port, username="app", password="secret2").ping(), True, "a user and a password")
    t.equal(redis.from_url("redis://app:secret2@%s:%d/2" % (host, password_port)).ping(), True, "a URL")
    t.check("redis_version" in r.info(), "INFO")
    t.check(isinstance(r.command_count(), int) and "get" in r.command(), "COMMAND")
    with redis.Redis(host, port, decode_responses=True, single_connection_client=True) as single:
        t.equal(single.get("only"), None, "a single connection")


def main():
    host, port, password_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    t = Report()
    r = redis.Redis(host, port, decode_responses=True)
    r.flushall()
    for test in (strings_and_others, pipelines, transactions, scripts, blocking, iterators, subscriptions):
        t.run(test, r)
    t.run(connections, r, host, port, password_port)
    return t.end("redis-py %s" % redis.__version__)


if __name__ == "__main__":
    sys.exit(main())
