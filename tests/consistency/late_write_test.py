#!/usr/bin/env python3
"""A request that a killed proxy had sent reaches its server late: when the slot is on its way to or from it again.

    late_write_test.py --pikaproxy build/dev/pikaproxy [--seed N] [names of tests]

The connection to the server hangs while a request is in it; the proxy is killed; its successor, with connections of its
own, moves the slot; then what hung arrives. The request may be executed or not, but nothing that was acknowledged
meanwhile may be lost.
"""

import os
import select
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

from api import ApiError  # noqa: E402
from checks import run_tests, slot_of  # noqa: E402
from cluster import Cluster  # noqa: E402
from servers import wait_until  # noqa: E402

TAG = "late"
SLOT = slot_of(TAG)
FILLING = 400  # Keys that keep the slot on its way for a while.
SLOW = 20      # Keys per second.


class Story:
    def __init__(self, t, mover):
        self.directory = os.path.join(os.path.dirname(os.path.dirname(HERE)), "build", "consistency", t.test)
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory)
        self.cluster = Cluster(t.pikaproxy, self.directory, mover, groups=2)
        self.cluster.start()
        self.key = "counter{%s}" % TAG
        self.home = 0 if SLOT < 512 else 1

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.cluster.end()
        if kind is None:
            shutil.rmtree(self.directory, ignore_errors=True)

    def call(self, *words):
        return self.cluster.call(0, words)

    def fill(self):
        for number in range(FILLING):
            self.call("SET", "filling{%s}%d" % (TAG, number), number)
        for _ in range(10):
            self.call("INCR", self.key)

    def die_with_a_request_in_flight(self):
        """An INCR that nobody has answered is on its way to the slot's home."""
        relay = self.cluster.relay
        relay.tell("hang existing", self.home, ["proxy"])
        client = self.cluster.proxy.client()
        before = relay.tell("held", self.home)["bytes"]
        client.send("INCR", self.key)
        wait_until(lambda: relay.tell("held", self.home)["bytes"] > before, 20, "the request to be under way")
        self.cluster.proxy.process.kill()
        client.close()
        self.cluster.proxy.start()
        self.cluster.proxy.wait()

    def begin(self, target, rate):
        api = self.cluster.api
        body = {"slots": [SLOT], "target_group": self.cluster.groups[target]}
        if rate:
            body["rate_limit_keys_per_second"] = rate
        number = api.post("/migrations", body)["id"]
        if rate:
            wait_until(lambda: api.get("/migrations/%s" % number)["steps"].get("migrating", 0) == 1, 20,
                       "the slot to be on its way")
        return number

    def finish(self, number):
        api = self.cluster.api
        try:
            api.patch("/migrations/%s" % number, {"rate_limit_keys_per_second": 100000})
        except ApiError:
            pass  # It has ended.
        wait_until(lambda: api.get("/migrations/%s" % number)["state"] == "succeeded", 30, "the migration to end")

    def arrive(self):
        """What hung arrives, and whatever it does has been done."""
        self.cluster.relay.tell("heal", self.home)
        time.sleep(1.0)

    def check_counter(self, t, acknowledged):
        """The late INCR may count or not."""
        value = int(self.call("GET", self.key))
        t.check(value in (acknowledged, acknowledged + 1), "no acknowledged increment is lost",
                "acknowledged %d, found %d" % (acknowledged, value))


def late_at_the_source(t, mover):
    with Story(t, mover) as story:
        story.fill()
        story.die_with_a_request_in_flight()
        number = story.begin(1 - story.home, SLOW)
        last = story.call("INCR", story.key)  # The key is moved first.
        story.arrive()
        story.finish(number)
        story.check_counter(t, last)


def late_at_the_target(t, mover):
    with Story(t, mover) as story:
        story.fill()
        story.die_with_a_request_in_flight()
        story.finish(story.begin(1 - story.home, None))
        last = story.call("INCR", story.key)
        number = story.begin(story.home, SLOW)
        story.arrive()
        last = max(last, story.call("INCR", story.key))
        story.finish(number)
        t.check(last >= 11, "no acknowledged increment is lost", "the last one said %d" % last)
        story.check_counter(t, last)


def test_late_at_the_source_migrate(t):
    late_at_the_source(t, "migrate")


def test_late_at_the_source_copy(t):
    late_at_the_source(t, "copy")


def test_late_at_the_source_copy_by_type(t):
    late_at_the_source(t, "copy-by-type")


def test_late_at_the_target_migrate(t):
    late_at_the_target(t, "migrate")


def test_late_at_the_target_copy(t):
    late_at_the_target(t, "copy")


def test_a_transfer_whose_answer_was_lost(t):
    """The target has a key that the source still has, too: its copy stands, and the source's is deleted."""
    with Story(t, "migrate") as story:
        story.fill()
        number = story.begin(1 - story.home, SLOW)
        source, target = (story.cluster.servers[at] for at in (story.home, 1 - story.home))
        with source.client() as client:
            at_source = sorted(client.call("KEYS", "filling*"))
        key = at_source[-1]
        with target.client() as client:
            client.call("SET", key, "the target's")
        try:
            story.finish(number)
        except TimeoutError as error:
            t.check(False, "the key's move ends", error)
        t.equal(story.call("GET", key), b"the target's", "the target's copy stands")
        with source.client() as client:
            t.equal(client.call("DBSIZE"), 0, "keys left at the source")


def test_a_watched_key_that_moved(t):
    """An EXEC that rests on what was seen at the slot's old home comes late, too: it must not be done there."""
    with Story(t, "migrate") as story, story.cluster.proxy.client() as client:
        t.equal(client.call("WATCH", story.key), "OK", "WATCH of a key that is not there")
        t.equal(client.call("GET", story.key), None, "it is not there")
        story.finish(story.begin(1 - story.home, None))
        t.equal(story.call("SET", story.key, "another's"), "OK", "another client writes it at its new home")
        client.call("MULTI")
        client.call("SET", story.key, "mine")
        t.equal(client.call("EXEC"), None, "EXEC answers nil")
        t.equal(story.call("GET", story.key), b"another's", "and has done nothing")
        with story.cluster.servers[story.home].client() as old:
            t.equal(old.call("DBSIZE"), 0, "keys at the old home")


def test_an_element_on_its_way(t):
    """A wait is ended because its slot moves, and has just been given an element: its client gets it."""
    with Story(t, "migrate") as story, story.cluster.proxy.client(timeout=60) as client:
        relay = story.cluster.relay
        client.send("BLPOP", story.key, 0)
        with story.cluster.servers[story.home].client() as server:
            wait_until(lambda: b"flags=b" in server.call("CLIENT", "LIST"), 20, "the client to wait")
            relay.tell("hang existing", story.home, ["proxy"])
            before = relay.tell("held", story.home)["bytes"]
            server.call("RPUSH", story.key, "element")
            t.equal(server.call("EXISTS", story.key), 0, "the element is taken at once")
            number = story.begin(1 - story.home, None)
            wait_until(lambda: relay.tell("held", story.home)["bytes"] > before, 20, "the wait's end to be asked for")
            relay.tell("heal", story.home)
            wait_until(lambda: is_readable(client) or is_waiting(story), 20, "the element to come")
            t.check(is_readable(client), "it comes to the client")
            if is_readable(client):
                t.equal(client.read(), [story.key.encode(), b"element"], "as it was pushed")
        story.finish(number)


def is_readable(client):
    return bool(select.select([client.socket], [], [], 0)[0])


def is_waiting(story):
    """At the slot's new home."""
    with story.cluster.servers[1 - story.home].client() as server:
        return b"flags=b" in server.call("CLIENT", "LIST")


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
