#!/usr/bin/python3
"""A script that does not end is ended through the proxy, by SCRIPT KILL or FUNCTION KILL of another client, though
the connection that all share waits behind it."""

import sys
import time

from checks import Background, keys_of_group, run_tests
from resp import RespError
from servers import PikaProxy, RedisServer, wait_until

LOOP = "while true do end"
WRITES = "redis.call('set', KEYS[1], 'x') while true do end"
LIBRARY = "#!lua name=lib\nredis.register_function('spin', function(keys, args) while true do end end)"
GROUPS = 3
NOTBUSY = RespError("NOTBUSY No scripts in execution right now.")


class Bed:
    def __init__(self, t, threshold_ms=100, options=None, server_options=(), group=None):
        self.servers = [RedisServer("--busy-reply-threshold", threshold_ms, *server_options) for _ in range(GROUPS)]
        groups = [{"server": server.address, "name": "g%d" % number, **(group or {})}
                  for number, server in enumerate(self.servers)]
        self.proxy = PikaProxy(t.pikaproxy, groups, {"proxy.workers": 2, **(options or {})})
        self.proxy.wait_for_servers()
        self.key = keys_of_group(1, GROUPS, 1)[0]

    def client(self, **kwargs):
        return self.proxy.client(**kwargs)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (self.proxy, *self.servers):
            process.stop()

    def run(self, *request):
        """Sends it over a client of its own; result() is the reply."""
        def ask():
            with self.client(timeout=60) as client:
                return client.call(*request)
        return Background(ask)


def until_running(client, *kill):
    """Asks until the server has begun with the script; what it says then."""
    answers = []

    def is_running():
        answers.append(client.call(*kill))
        return answers[-1] != NOTBUSY

    wait_until(is_running, 20, "the script to run")
    return answers[-1]


def test_script_kill(t):
    for version in (2, 3):
        with Bed(t) as bed, bed.client(timeout=30) as client:
            client.call("HELLO", version)
            t.equal(client.call("SCRIPT", "KILL"), NOTBUSY, "with nothing to kill")
            for round in range(3):
                script = bed.run("EVAL", LOOP, "1", bed.key)
                t.equal(until_running(client, "SCRIPT", "KILL"), "OK", "SCRIPT KILL")
                t.error(script.result(), "ERR .*[Kk]illed by user", "what the script's client gets")
                t.equal(client.call("SET", bed.key, round), "OK", "its group works on")
            t.equal(client.call("SCRIPT", "KILL"), NOTBUSY, "afterwards")


def test_password(t):
    """A connection that is only made when the server is busy says AUTH first."""
    with Bed(t, server_options=("--requirepass", "secret"), group={"password": "secret"}) as bed:
        script = bed.run("EVAL", LOOP, "1", bed.key)
        with bed.client(timeout=30) as client:
            t.equal(until_running(client, "SCRIPT", "KILL"), "OK", "SCRIPT KILL")
        t.error(script.result(), "ERR ", "the script's end")


def test_function_kill(t):
    with Bed(t) as bed, bed.client(timeout=30) as client:
        t.equal(client.call("FUNCTION", "LOAD", LIBRARY), b"lib", "FUNCTION LOAD")
        t.equal(client.call("FUNCTION", "STATS")[1], None, "nothing runs")
        function = bed.run("FCALL", "spin", "1", bed.key)
        shown = []

        def is_shown():
            shown[:] = [client.call("FUNCTION", "STATS")[1]]
            return shown != [None]

        wait_until(is_shown, 20, "FUNCTION STATS to show what runs")
        t.equal(shown[0][:2], [b"name", b"spin"], "FUNCTION STATS shows what runs, whichever group it is")
        t.error(client.call("SCRIPT", "KILL"), "BUSY ", "a function is no script")
        t.equal(until_running(client, "FUNCTION", "KILL"), "OK", "FUNCTION KILL")
        t.error(function.result(), "ERR .*[Kk]illed by user", "what its client gets")
        t.equal(client.call("FUNCTION", "STATS")[1], None, "nothing runs any more")
        for libraries in (0, 1) * 20:  # In a pipeline it sees what was sent before it.
            change = ["FUNCTION", "LOAD", "REPLACE", LIBRARY] if libraries else ["FUNCTION", "FLUSH"]
            replies = client.call_many([["GET", bed.key], change, ["FUNCTION", "STATS"]])
            t.equal(replies[2][3][1][:2], [b"libraries_count", libraries], "FUNCTION STATS behind %s" % change[1])
        with bed.client(timeout=30) as newer:
            newer.call("HELLO", 3)
            t.equal(newer.call("FUNCTION", "STATS")[b"running_script"], None, "as a map in RESP3")


def test_unkillable(t):
    """A script that has written cannot be killed; the server that runs it says so, and that is the reply."""
    with Bed(t) as bed, bed.client(timeout=30) as client:
        script = bed.run("EVAL", WRITES, "1", bed.key)
        t.error(until_running(client, "SCRIPT", "KILL"), "UNKILLABLE ", "SCRIPT KILL")
        bed.servers[1].kill()
        t.error(script.result(), "ERR server .* closed the connection|ERR server .* broke", "the end of the server")
        t.error(client.call("SCRIPT", "KILL"), "ERR server .* of group g1 ", "nobody knows what a server does that is gone")


def test_before_the_server_listens(t):
    """A server looks at nothing before busy-reply-threshold has passed: the kill waits for that."""
    options = {"backend.connect_timeout": "500ms", "backend.request_timeout": "20s"}
    with Bed(t, threshold_ms=2000, options=options) as bed, bed.client(timeout=30) as client:
        client.call("SET", bed.key, "v")
        began = time.monotonic()
        script = bed.run("EVAL", LOOP, "1", bed.key)
        wait_until(lambda: is_deaf(bed.servers[1]), 20, "the script to run")
        t.equal(client.call("SCRIPT", "KILL"), "OK", "one SCRIPT KILL is enough")
        t.error(script.result(), "ERR ", "the script's end")
        t.note("%.1f s" % (time.monotonic() - began))


def test_connected_while_busy(t):
    """A server that was busy when the proxy came is as good as any other when the script is over."""
    with RedisServer("--busy-reply-threshold", 10) as server, server.client(timeout=60) as first:
        first.send("EVAL", LOOP, 0)
        with server.client(timeout=30) as other:
            wait_until(lambda: str(other.call("PING")).startswith("BUSY "), 20, "the server to be busy")
            with PikaProxy(t.pikaproxy, [server]) as proxy, proxy.client(timeout=30) as client:
                wait_until(lambda: str(client.call("GET", "k")).startswith("BUSY "), 20, "the proxy to be connected")
                t.error(client.call("BLPOP", "list", 1), "BUSY |ERR .* is busy running a script", "a wait meanwhile")
                t.equal(other.call("SCRIPT", "KILL"), "OK", "the end of the script")
                other.call("RPUSH", "list", *range(100))
                wait_until(lambda: isinstance(client.call("BLPOP", "list", 1), list), 20, "a wait to be taken")
                wait_until(lambda: b"name=pikaproxy" in other.call("CLIENT", "LIST"), 20, "the connection to have its name")


def is_deaf(server):
    with server.client(timeout=0.2) as client:
        try:
            client.call("PING")
        except TimeoutError:
            return True
    return False


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
