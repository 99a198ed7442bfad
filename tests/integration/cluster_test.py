#!/usr/bin/env python3
"""What operators do by the REST API, with real servers: groups, slots, plans, migrations. Answers are compared with
docs/openapi.yaml. And what must hold whatever happens: the process is killed at every point of a migration that
`list_stop_points` knows, and the next one brings the migration to its end with every key in its place. (For a build
without PIKAPROXY_TEST_HOOKS that test is left out.)"""

import json
import os
import signal
import subprocess
import sys
import threading
import time

from api_test import Api, Document
from checks import slot_of, run_tests
from servers import PikaProxy, RedisServer, wait_until

KEYS = 300


class Cluster:
    """Redis servers and a proxy whose API is called by operation ids; every answer is checked."""

    def __init__(self, t, servers, env=None):
        self.t = t
        self.servers = servers
        self.proxy = PikaProxy(t.pikaproxy, [], env=env)
        self.api = Api(self.proxy)
        # The port is open before the first user is there.
        wait_until(lambda: os.path.exists(os.path.join(self.proxy.directory, "pikaproxy-data", "admin-password")),
                   20, "the first password")
        self.api.log_in()
        self.document = Document(self.api.json("GET", "/openapi.json")[1])

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.proxy.__exit__(*error)

    def call(self, name, expected, body=None, query="", version=None, headers=None, **path):
        """The body of the answer to an operation. version=True: the one of now."""
        method, template, _ = self.document.operations[name]
        sent = dict(headers or {})
        if version is True:
            version = self.api.json("GET", "/cluster")[1]["topology_version"]
        if version is not None:
            sent["If-Match"] = '"t%d"' % version
        status, answer_headers, text = self.api.request(method, template.format(**path) + query, body, sent)
        self.t.equal(status, expected, "%s %s: status" % (name, body))
        if status != expected:
            print(text[:500])
        self.document.check(self.t, name, status, answer_headers, text)
        return json.loads(text) if text else None

    def add_groups(self):
        for server in self.servers:
            self.call("createGroup", 201, {"servers": [server.address]}, version=True)

    def assign_all(self, group):
        self.call("assignSlots", 200, {"ranges": [{"from": 0, "to": 1023, "group_id": group}]}, version=True)

    def fill(self, count=KEYS):
        with self.proxy.client() as client:
            for number in range(count):
                client.call("SET", "key:%d" % number, "value:%d" % number)

    def missing(self, count=KEYS):
        with self.proxy.client() as client:
            return [number for number in range(count)
                    if client.call("GET", "key:%d" % number) != b"value:%d" % number]

    def ends(self, migration, timeout_s=120):
        """The migration once it has ended."""
        def ended():
            self.last = self.api.json("GET", "/migrations/%d" % migration)[1]
            return self.last["state"] in ("succeeded", "failed", "cancelled")
        wait_until(ended, timeout_s, "migration %d to end" % migration)
        return self.last

    def sizes(self):
        sizes = []
        for server in self.servers:
            with server.client() as client:
                sizes.append(client.call("DBSIZE"))
        return sizes


def test_groups(t):
    with RedisServer() as a, RedisServer() as b, RedisServer() as c, Cluster(t, [a, b]) as cluster:
        call = cluster.call
        t.equal(call("getCluster", 200)["slots"]["unassigned"], 1024, "nothing is assigned")
        call("createGroup", 428, {"servers": [a.address]})
        call("createGroup", 412, {"servers": [a.address]}, version=77)
        call("createGroup", 400, {"servers": ["no-port"], "weight": 5000, "oops": 1}, version=True)
        problem = call("createGroup", 422, {"servers": [a.address, b.address]}, version=True)
        t.equal(problem["code"], "two_masters", "two masters are no group")
        problem = call("createGroup", 422, {"servers": [a.address, "127.0.0.1:1"]}, version=True)
        t.equal((problem["code"], problem["errors"][0]["pointer"]), ("server_unreachable", "/servers/1"), "a dead one")
        version = call("getCluster", 200)["topology_version"]
        dry = call("createGroup", 200, {"servers": [a.address]}, "?dry_run=true", version=True)
        t.equal(dry["difference"]["groups"]["added"][0]["id"], 1, "what would be added")
        t.equal(call("getCluster", 200)["topology_version"], version, "a dry run changes nothing")
        made = call("createGroup", 201, {"servers": [a.address], "name": "first", "weight": 3}, version=True)
        t.equal((made["id"], made["name"], made["in_force"]), (1, "first", True), "the first group")
        problem = call("createGroup", 409, {"servers": [a.address]}, version=True)
        t.equal(problem["code"], "server_taken", "a server is in one group")

        with c.client() as client:
            client.call("REPLICAOF", b.host, b.port)
        made = call("createGroup", 201, {"servers": [c.address, b.address], "id": 7}, version=True)
        t.equal([(s["addr"], s["role"]) for s in made["servers"]],
                [(b.address, "master"), (c.address, "replica")], "the master is the one that says so")
        call("getGroup", 404, gid=3)
        call("updateGroup", 200, {"name": "second", "weight": 2}, version=True, gid=7)
        call("updateGroup", 409, {"name": "first"}, version=True, gid=7)
        wait_until(lambda: call("getGroup", 200, gid=7)["servers"][1].get("link_up"), 20, "the replica to be seen")
        t.equal(len(call("listGroups", 200)["groups"]), 2, "two groups")
        page = call("listGroups", 200, query="?limit=1")
        t.equal(call("listGroups", 200, query="?limit=1&cursor=" + page["next_cursor"])["groups"][0]["id"], 7, "pages")

        call("removeServer", 409, version=True, gid=7, addr=b.address)
        call("removeServer", 200, version=True, gid=7, addr=c.address)
        call("removeServer", 404, version=True, gid=7, addr=c.address)
        with c.client() as client:
            client.call("REPLICAOF", "NO", "ONE")
            client.call("SET", "k", "v")
        t.equal(call("addServer", 422, {"addr": c.address}, version=True, gid=7)["code"], "server_not_empty", "keys")
        with c.client() as client:
            client.call("FLUSHALL")
        call("addServer", 201, {"addr": c.address}, version=True, gid=7)
        with c.client() as client:
            wait_until(lambda: b"role:slave" in client.call("INFO", "replication"), 20, "it to follow the master")
            client.call("REPLICAOF", "NO", "ONE")
        call("replicateServer", 200, query="?dry_run=true", gid=7, addr=c.address)
        call("replicateServer", 200, gid=7, addr=c.address)
        call("replicateServer", 409, gid=7, addr=b.address)
        with c.client() as client:
            wait_until(lambda: b"role:slave" in client.call("INFO", "replication"), 20, "it to follow again")

        call("assignSlots", 200, {"ranges": [{"from": 0, "to": 9, "group_id": 7}]}, version=True)
        t.equal(call("deleteGroup", 409, version=True, gid=7)["code"], "group_not_empty", "it has slots")
        call("deleteGroup", 200, version=True, gid=1)


def test_slots_and_topology(t):
    with RedisServer() as a, RedisServer() as b, Cluster(t, [a, b]) as cluster:
        call = cluster.call
        cluster.add_groups()
        half = {"ranges": [{"from": 0, "to": 511, "group_id": 1}]}
        call("assignSlots", 200, half, "?dry_run=true", version=True)
        t.equal(call("getSlot", 200, slot=0)["state"], "unassigned", "a dry run changes nothing")
        call("assignSlots", 200, half, version=True)
        call("assignSlots", 400, {"ranges": [{"from": 5, "to": 4, "group_id": 1}]}, version=True)
        call("assignSlots", 422, {"ranges": [{"from": 5, "to": 6, "group_id": 9}]}, version=True)
        cluster.call("assignSlots", 200, {"ranges": [{"from": 512, "to": 1023, "group_id": 2}]}, version=True)
        cluster.fill()
        taken = {"ranges": [{"from": 0, "to": 0, "group_id": 2}]}
        t.equal(call("assignSlots", 409, taken, version=True)["code"], "slot_owned", "it has an owner")
        slot = slot_of(b"key:7")
        group = 1 if slot < 512 else 2
        forced = {"ranges": [{"from": slot, "to": slot, "group_id": 3 - group}], "force": True}
        lost = call("assignSlots", 200, forced, "?dry_run=true", version=True)["lost"]
        t.equal([(item["group_id"], item["keys"] > 0) for item in lost], [(group, True)], "what force would lose")

        ranges = call("listSlots", 200, query="?view=ranges")["ranges"]
        t.equal([(r["from"], r["to"], r["group"]) for r in ranges], [(0, 511, 1), (512, 1023, 2)], "ranges")
        t.equal(len(call("listSlots", 200, query="?group=2&state=normal")["slots"]), 512, "of one group")
        call("listSlots", 400, query="?state=nonsense")
        found = call("lookUpSlot", 200, query="?key=key:7")
        t.equal((found["slot"], found["group"], found["server"]), (slot, group, [a, b][group - 1].address), "lookup")
        call("lookUpSlot", 400)
        call("getSlot", 404, slot=1024)

        document = call("exportTopology", 200, query="?secrets=true")
        again = call("importTopology", 200, document, "?dry_run=true")
        t.equal((again["difference"]["groups"]["added"], again["difference"]["slots"]), ([], []), "no difference")
        other = dict(document, slots=[{"from": 0, "to": 1023, "group_id": 1}])
        call("importTopology", 409, other)
        other["groups"][0]["weight"] = 9
        other["slots"] = document["slots"]
        changed = call("importTopology", 200, other)
        t.equal([item["id"] for item in changed["difference"]["groups"]["changed"]], [1], "a weight has changed")
        call("importTopology", 412, other)
        call("importTopology", 400, dict(other, format="else"))


def test_passwords(t):
    """Nothing that is answered, logged or kept in the audit has a password."""
    with RedisServer("--requirepass", "server-secret") as a, RedisServer() as b, Cluster(t, [a, b]) as cluster:
        call = cluster.call
        call("createGroup", 422, {"servers": [a.address]}, version=True)
        call("createGroup", 201, {"servers": [a.address], "password": "server-secret"}, version=True)
        call("updateGroup", 422, {"password": "wrong"}, version=True, gid=1)
        call("createGroup", 201, {"servers": [b.address]}, version=True)
        cluster.assign_all(1)
        cluster.fill(50)
        migration = call("createMigration", 202, {"ranges": [{"from": 0, "to": 1023}], "target_group": 2})
        t.equal(cluster.ends(migration["id"])["state"], "succeeded", "from a server with a password")
        migration = call("createMigration", 202, {"ranges": [{"from": 0, "to": 1023}], "target_group": 1})
        t.equal(cluster.ends(migration["id"])["state"], "succeeded", "to a server with a password")
        t.equal(cluster.missing(50), [], "all keys are there")
        document = call("exportTopology", 200)
        t.check("server-secret" not in json.dumps(document), "not in an export", document)
        call("importTopology", 200, document)
        t.equal(cluster.missing(50), [], "an import keeps the passwords")
        for text in (cluster.proxy.log(), json.dumps(call("listAudit", 200, query="?limit=1000")),
                     json.dumps(call("pollEvents", 200, query="?wait=0")), json.dumps(call("listGroups", 200))):
            t.check("server-secret" not in text, "no password is told", text[:300])
        t.check("server-secret" in json.dumps(call("exportTopology", 200, query="?secrets=true")), "for admins only")
        admin = cluster.api.token
        cluster.api.token = cluster.api.make_token("v", "viewer")
        call("exportTopology", 403, query="?secrets=true")
        cluster.api.token = admin


class Writer(threading.Thread):
    """Counts up in counters of its own, through the proxy; every answer must be the next number."""

    def __init__(self, proxy):
        super().__init__()
        self.proxy = proxy
        self.wrong = []
        self.count = 0
        self.ends = threading.Event()

    def run(self):
        with self.proxy.client(timeout=30) as client:
            expected = [0] * 50
            while not self.ends.is_set():
                for number in range(50):
                    got = client.call("INCR", "counter:%d" % number)
                    if isinstance(got, Exception):
                        if not str(got).startswith("TRYAGAIN"):
                            self.wrong.append((number, got))
                        continue
                    expected[number] += 1
                    self.count += 1
                    if got != expected[number]:
                        self.wrong.append((number, got, expected[number]))

    def finish(self):
        self.ends.set()
        self.join()


def test_migrations(t):
    with RedisServer() as a, RedisServer() as b, RedisServer() as c, Cluster(t, [a, b, c]) as cluster:
        call = cluster.call
        cluster.add_groups()
        cluster.assign_all(1)
        cluster.fill()
        writer = Writer(cluster.proxy)
        writer.start()

        call("createMigration", 400, {"ranges": [{"from": 0, "to": 9}]})
        call("createMigration", 422, {"slots": [1], "target_group": 1})
        call("createMigration", 422, {"slots": [1], "target_group": 9})
        call("createMigration", 200, {"slots": [1], "target_group": 2}, "?dry_run=true")
        t.equal(call("listMigrations", 200)["migrations"], [], "a dry run begins nothing")

        plan = call("createPlan", 201, {"kind": "rebalance"})
        t.equal(sum(move["slots"] for move in plan["moves"]), 682, "two thirds move")
        call("createPlan", 200, {"kind": "rebalance", "strategy": "keys"}, "?dry_run=true")
        call("createPlan", 200, {"kind": "rebalance", "strategy": "ops"}, "?dry_run=true")
        call("createPlan", 400, {"kind": "drain"})
        call("getPlan", 200, id=plan["id"])
        begun = call("createMigration", 202, {"plan_id": plan["id"]}, headers={"Idempotency-Key": "one"})
        again = call("createMigration", 202, {"plan_id": plan["id"]}, headers={"Idempotency-Key": "one"})
        t.equal(again["id"], begun["id"], "the same key is the same migration")
        done = cluster.ends(begun["id"])
        t.equal(call("createMigration", 412, {"plan_id": plan["id"]})["code"], "stale_plan", "used once")
        t.equal((done["state"], done["progress"]["done"]), ("succeeded", 682), "the plan was carried out")
        t.check(done["keys_moved"] > 0 and done["mover"] == "migrate", "with keys", done)
        t.equal(cluster.missing(), [], "all keys are there")
        call("deletePlan", 200, id=plan["id"])
        call("deletePlan", 404, id=plan["id"])

        # Slow enough to be caught: paused, changed, resumed.
        slow = {"ranges": [{"from": 0, "to": 1023}], "target_group": 3, "rate_limit_keys_per_second": 20,
                "parallel_slots": 16}
        begun = call("createMigration", 202, slow)["id"]
        wait_until(lambda: call("getMigration", 200, id=begun)["current_slots"], 30, "slots to be in work")
        busy = call("getMigration", 200, id=begun)["current_slots"][0]["from"]
        t.equal(call("createMigration", 409, {"slots": [busy], "target_group": 1})["code"], "slot_busy", "busy")
        t.equal(call("deleteGroup", 409, version=True, gid=3)["code"][:5], "group", "a group that takes part stays")
        call("resumeMigration", 409, id=begun)
        call("pauseMigration", 200, query="?dry_run=true", id=begun)
        call("pauseMigration", 202, id=begun)
        call("pauseMigration", 409, id=begun)
        call("listMigrationSlots", 200, id=begun)
        t.equal(call("listMigrations", 200, query="?state=paused")["migrations"][0]["id"], begun, "it is listed")
        call("updateMigration", 400, {"parallel_slots": 0}, id=begun)
        call("updateMigration", 200, {"rate_limit_keys_per_second": 30}, "?dry_run=true", id=begun)
        call("updateMigration", 200, {"rate_limit_keys_per_second": None, "parallel_slots": 256}, id=begun)
        call("resumeMigration", 202, id=begun)
        t.equal(cluster.ends(begun)["state"], "succeeded", "without a limit it is quick")
        t.equal(cluster.missing(), [], "all keys are there")
        t.equal(cluster.sizes()[:2], [0, 0], "nothing is left behind")

        # Cancelled in the middle: back to where it came from.
        for in_flight in ("rollback", "finish"):
            begun = call("createMigration", 202, dict(slow, target_group=1))["id"]
            wait_until(lambda: call("getMigration", 200, id=begun)["current_slots"], 30, "slots to be in work")
            call("cancelMigration", 200, {"in_flight": in_flight}, "?dry_run=true", id=begun)
            call("cancelMigration", 202, {"in_flight": in_flight}, id=begun)
            call("updateMigration", 200, {"rate_limit_keys_per_second": None}, id=begun)
            t.equal(cluster.ends(begun)["state"], "cancelled", "cancelled: " + in_flight)
            if in_flight == "rollback":
                t.equal(len(call("listSlots", 200, query="?group=3")["slots"]), 1024, "all slots are back")
            call("cancelMigration", 409, id=begun)
            call("retryMigration", 409, id=begun)
            t.equal(cluster.missing(), [], "all keys are there")
        t.equal(call("listMigrations", 200, query="?limit=1")["migrations"][0]["id"], begun, "newest first")
        writer.finish()
        t.equal(writer.wrong, [], "%d requests meanwhile" % writer.count)


def stop_points(t):
    tool = os.path.join(os.path.dirname(os.path.abspath(t.pikaproxy)), "tests", "list_stop_points")
    if not os.path.exists(tool):
        return []
    return subprocess.run([tool], check=True, capture_output=True, text=True).stdout.split()


def is_stopped(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "T"


def test_killed_at_every_point(t):
    """A migration that is cancelled in the middle, or not; the process is killed where it stopped."""
    points = stop_points(t)
    if not points:
        t.note("left out: tests/list_stop_points is not there")
        return
    reached = set()
    for point in points:
        for cancels in (True, False):
            with RedisServer() as a, RedisServer() as b, \
                    Cluster(t, [a, b], {"PIKAPROXY_STOP_AT": point}) as cluster:
                cluster.add_groups()
                cluster.assign_all(1)
                cluster.fill()
                end = kill_at(cluster, cancels)
                if not end:
                    continue
                reached.add(point)
                cluster.proxy.start_again()
                migrations = cluster.api.json("GET", "/migrations")[1]["migrations"]
                name = "killed at %s%s" % (point, ", cancelling" if cancels else "")
                for migration in migrations:
                    state = cluster.ends(migration["id"])["state"]
                    t.check(state in ("succeeded", "cancelled"), name + ": the migration ended", cluster.last)
                ranges = cluster.call("listSlots", 200, query="?view=ranges")["ranges"]
                t.check(all(item["state"] == "normal" for item in ranges), name + ": all slots are normal", ranges)
                t.equal(cluster.missing(), [], name + ": all keys are there")
                t.equal(sum(cluster.sizes()), KEYS, name + ": each once")
    # The lock's failure needs a server that hangs; unit tests have that.
    never = set(points) - reached - {"reverting.persisted", "reverting.pushed"}
    t.equal(sorted(never), [], "points that were never reached")


def kill_at(cluster, cancels):
    """Begins a migration and waits until the process has stopped, then kills it. False: it got to the end."""
    body = {"ranges": [{"from": 0, "to": 1023}], "target_group": 2, "parallel_slots": 600}
    if cancels:
        # Some slots are through by then, some in work, and it is not over before somebody has looked.
        body["rate_limit_keys_per_second"] = 40

    def operate():
        try:
            begun = cluster.api.json("POST", "/migrations", body)[1]["id"]
            if cancels:
                while cluster.api.json("GET", "/migrations/%d" % begun)[1]["keys_moved"] < 20:
                    time.sleep(0.01)
                cluster.api.json("POST", "/migrations/%d/cancel" % begun, {})
                cluster.api.json("PATCH", "/migrations/%d" % begun, {"rate_limit_keys_per_second": None})
            while cluster.api.json("GET", "/migrations/%d" % begun)[1]["state"] not in ("succeeded", "cancelled"):
                time.sleep(0.02)
            over.set()
        except (OSError, ValueError, KeyError):
            pass  # The process was killed while we asked.

    over = threading.Event()
    operator = threading.Thread(target=operate)
    operator.start()
    wait_until(lambda: over.is_set() or is_stopped(cluster.proxy.pid), 60, "the process to stop, or the end")
    stopped = not over.is_set()
    if stopped:
        cluster.proxy.send_signal(signal.SIGKILL)
        cluster.proxy.wait_for_exit()
    operator.join()
    return stopped


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
