#!/usr/bin/python3
"""PROXY EXPLAIN says what then happens: the same error, and the groups that are really asked."""

import re
import sys

from checks import run_tests
from random_commands import CommandMaker
from resp import RespError
from servers import PikaProxy, RedisServer, wait_until

# What depends on more than the words of the request.
NAMES = {"forward", "any-group", "split", "fan-out", "one-by-one", "transaction", "blocking", "subscription", "local",
         "refused"}
REQUESTS = """
    GET a|SET b 1|MGET a b c d e f|MSET a 1 b 2 c 3|DEL a b c d|EXISTS a|TOUCH a b|UNLINK a {a}2|DBSIZE|KEYS *|RANDOMKEY
    SCAN 0|SCAN x|SCRIPT EXISTS abc|SCRIPT LOAD return|SCRIPT FLUSH|EVAL return{} 0|EVAL return{} 1 a|EVAL return{} 2 a b
    RENAME a b|RENAME {a}1 {a}2|SORT a BY w*|SORT {a}l BY {a}w*|MSETNX a 1 b|MSETNX {a}1 1 {a}2 2|MSET a|PFCOUNT a b
    XREAD STREAMS a 0|XREAD STREAMS a b 0 0|XREAD COUNT STREAMS|ZUNION 0 a|LMPOP 1 a LEFT|BITOP NOT {a}d {a}s|FLUSHALL
    FUNCTION LIST|COMMAND DOCS get|OBJECT ENCODING a|OBJECT NOSUCH a|MEMORY USAGE a|SHUTDOWN|MIGRATE|SUBSTR|CLIENT ID
    CLIENT NOSUCH|CLIENT|PROXY|PROXY EXPLAIN|PROXY EXPLAIN GET a|PING|ECHO|NOSUCH a b c|GETDEL|DISCARD|EXEC|UNWATCH
    PUBLISH a m|PUBLISH a|SPUBLISH b m|BLPOP a 0.01|BLPOP a b 0.01|CONFIG GET x|INFO server|MOVE a 1|LATENCY LATEST|TIME|ACL WHOAMI|SWAPDB 0 1|WATCH a b
    """


class Three:
    def __init__(self, t, **kwargs):
        self.servers = [RedisServer() for _ in range(3)]
        self.proxy = PikaProxy(t.pikaproxy, self.servers, {"proxy.workers": 1}, **kwargs)
        self.proxy.wait_for_servers()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (self.proxy, *self.servers):
            process.stop()


def pairs(flat):
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2])}


def asked(client):
    """By group: how many requests its server has been sent."""
    text = client.call("INFO", "backends").decode()
    return {name: int(count) for name, count in re.findall(r"backend_(\w+):.*?,requests=(\d+)", text)}


def check(t, client, request):
    explained = pairs(client.call("PROXY", "EXPLAIN", *request))
    parts = [pairs(part) for part in explained["parts"]]
    before = asked(client)
    reply = client.call(*request)
    after = asked(client)
    groups = {name for name in after if after[name] != before[name]}
    what = "%r, explained as %r, answered with %r" % (request, explained, reply)
    if explained["error"] is not None:
        t.check(isinstance(reply, RespError) and str(reply).encode() == explained["error"], "the same error: " + what)
        t.check(not groups and not parts and explained["class"] == b"refused", "nothing was sent: " + what)
        return
    told = {part["group"].decode() for part in parts}
    if explained["class"] == b"one-by-one":
        t.check(groups and groups <= told, "some of the groups: " + what, groups)
    else:
        t.check(groups == told, "just these groups: " + what, groups)
    t.check(explained["class"].decode() in NAMES, "a known class: " + what)
    keys = [key for part in parts for key in part["keys"]]
    if keys:
        t.equal(sorted(keys), sorted(client.call("COMMAND", "GETKEYS", *request)), "its keys: " + what)


def test_what_is_said_happens(t):
    with Three(t) as cluster, cluster.proxy.client() as client:
        for word in REQUESTS.replace("\n", "|").split("|"):
            if word.strip():
                check(t, client, word.split())


def test_random_requests(t):
    """Also with words left out and put in, keys of any slot, and other users' databases."""
    rng = t.rng()
    with Three(t) as cluster, cluster.proxy.client() as client:
        maker = CommandMaker(rng, "t")
        for _ in range(600):
            request = [str(word) if isinstance(word, str) else word for word in maker.command()]
            for _ in range(rng.choice((0, 0, 1, 2))):
                place = rng.randrange(1, len(request) + 1)
                if rng.random() < 0.5 and len(request) > 1:
                    request.pop(min(place, len(request) - 1))
                else:
                    request.insert(place, rng.choice(("STORE", "BY", "x*", "STREAMS", "1", "other", "")))
            if "BLOCK" in request:
                continue
            before = asked(client)
            explained = pairs(client.call("PROXY", "EXPLAIN", *request))
            t.equal(asked(client), before, "explaining sends nothing")
            reply = client.call(*request)
            after = asked(client)
            groups = {name for name in after if after[name] != before[name]}
            told = {pairs(part)["group"].decode() for part in explained["parts"]}
            t.equal(groups, told, "the groups of %r, answered with %r" % (request, reply))
            if explained["error"] is not None:
                t.check(str(reply).encode("utf-8", "surrogateescape") == explained["error"],
                        "the error of %r" % (request,), explained["error"], reply)


def test_who_may_ask(t):
    users = [{"name": "boss", "password": "b", "admin": True}, {"name": "joe", "password": "j"}]
    with Three(t, users=users) as cluster, cluster.proxy.client() as client:
        for words in (["GET", "a"], ["NOSUCH"], ["GET"]):
            t.error(client.call("PROXY", "EXPLAIN", *words), "NOAUTH ", "without a login nothing is explained")
        t.error(client.call("PROXY", "HELP"), "NOAUTH ", "nor is there help")
        client.call("AUTH", "joe", "j")
        t.equal(pairs(client.call("PROXY", "EXPLAIN", "FLUSHALL"))["error"],
                b"NOPERM this user has no permissions to run the 'flushall' command", "what this user may not do")
        client.call("AUTH", "boss", "b")
        t.equal(pairs(client.call("PROXY", "EXPLAIN", "FLUSHALL"))["error"], None, "and an administrator may")


def test_resp3(t):
    with Three(t) as cluster, cluster.proxy.client() as client:
        before = pairs(client.call("PROXY", "EXPLAIN", "GET", "a"))
        client.call("HELLO", "3")
        after = client.call("PROXY", "EXPLAIN", "GET", "a")
        t.check(isinstance(after, dict), "a map", after)
        t.equal({name.decode(): value for name, value in after.items() if name != b"parts"},
                {name: value for name, value in before.items() if name != "parts"}, "that says the same")
        t.equal(after[b"parts"][0], {name.encode(): value for name, value in pairs(before["parts"][0]).items()},
                "and so do its parts")


def test_down(t):
    with Three(t) as cluster, cluster.proxy.client() as client:
        part = pairs(pairs(client.call("PROXY", "EXPLAIN", "GET", "a"))["parts"][0])
        t.equal(part["reachable"], 1, "the server is there")
        number = int(part["group"].decode()[1:])
        cluster.servers[number].kill()
        while not isinstance(client.call("GET", "a"), RespError):
            pass

        def is_away():
            return pairs(pairs(client.call("PROXY", "EXPLAIN", "GET", "a"))["parts"][0])["reachable"] == 0
        wait_until(is_away, 20, "it to be told that the server is away")


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
