#!/usr/bin/env python3
"""Another master for a group while keys of its slots are on their way, between real servers and under load.

    promotion_test.py --pikaproxy build/dev/pikaproxy [--seed N] [names of tests]
"""

import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile
import threading

from admin_api import AdminApi, Problem
from checks import Background, run_tests, slot_of
from resp import RespError
from servers import PikaProxy, RedisServer, wait_until

PATIENCE_S = 60
PASSWORD = "a password of this test"
MOVED_SLOTS = 64  # From 0 on, of group 1, to group 2.
RATE = 15         # Keys per second: a minute and more of moving, for those that nobody asks for.


class World:
    """Two groups, each a master and a replica, and a pikaproxy. mover "copy": the servers have no MIGRATE."""

    def __init__(self, t, mover):
        self.t = t
        self.stack = contextlib.ExitStack()
        self.options = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"]
        if mover == "copy":
            self.options += ["--rename-command", "MIGRATE", ""]

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.masters = [stack.enter_context(RedisServer(*self.options)) for _ in range(2)]
            self.replicas = [stack.enter_context(RedisServer(*self.options, "--replicaof", "127.0.0.1",
                                                             str(master.port))) for master in self.masters]
            directory = tempfile.mkdtemp(prefix="pikaproxy-promotion-")
            stack.callback(shutil.rmtree, directory, True)
            password_file = os.path.join(directory, "password")
            with open(password_file, "w", encoding="utf-8") as file:
                file.write(PASSWORD + "\n")
            self.proxy = stack.enter_context(PikaProxy(self.t.pikaproxy, [], {
                "dashboard.data_dir": os.path.join(directory, "data"),
                "dashboard.admin_password_file": password_file,
                "backend.request_timeout": "5s", "backend.connect_timeout": "5s"}))
            self.api = AdminApi("http://127.0.0.1:%d" % self.proxy.admin_port)
            self.api.log_in("admin", PASSWORD)
            self.groups = [self.api.add_group([master.address, replica.address])
                           for master, replica in zip(self.masters, self.replicas)]
            self.api.assign(0, 511, self.groups[0])
            self.api.assign(512, 1023, self.groups[1])
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        self.stack.__exit__(*exception)

    def in_step(self, number):
        """The replica of group `number` has all that its master has. (WAIT speaks of its own connection's writes.)"""
        with self.masters[number].client() as master, self.replicas[number].client() as replica:
            wanted = re.search(rb"master_repl_offset:(\d+)", master.call("INFO", "replication"))[1]
            follows = replica.call("INFO", "replication")
        return b"master_link_status:up" in follows and re.search(rb"slave_repl_offset:(\d+)", follows)[1] == wanted

    def cut_off(self, number):
        """The replica hangs, and what its master does from now on is not even in its socket."""
        self.replicas[number].send_signal(signal.SIGSTOP)
        with self.masters[number].client() as master:
            master.call("CLIENT", "KILL", "TYPE", "replica")

    def promote(self, number, mode, **fields):
        """Waits for the end; the promotion."""
        group = self.groups[number]
        made = self.api.post("/groups/%d/promote" % group, {
            "server": self.replicas[number].address, "expected_master": self.masters[number].address,
            "mode": mode, **fields})
        path = "/groups/%d/promotions/%d" % (group, made["id"])
        wait_until(lambda: self.api.get(path)["state"] != "running", PATIENCE_S, "the promotion to end")
        return self.api.get(path)

    def promotions(self, number):
        """Newest first."""
        return self.api.get("/groups/%d/promotions" % self.groups[number])["promotions"]

    def ask_promotion(self, number):
        try:
            self.api.post("/groups/%d/promote" % self.groups[number], {
                "server": self.replicas[number].address, "expected_master": self.masters[number].address,
                "mode": "graceful", "pause_migrations": True})
        except OSError:
            pass  # The process was killed before it answered.

    def slot_states(self):
        return {slot["state"] for slot in self.api.get("/slots")["slots"]}

    def begin_moving(self, rate=RATE):
        """A slow migration, once it has moved some keys and others not."""
        migration = self.api.post("/migrations", {
            "ranges": [{"from": 0, "to": MOVED_SLOTS - 1}], "target_group": self.groups[1],
            "rate_limit_keys_per_second": rate, "parallel_slots": MOVED_SLOTS})["id"]
        wait_until(lambda: self.api.get("/migrations/%s" % migration)["keys_moved"] > 20, PATIENCE_S, "keys to move")
        return migration

    def finish(self, migration):
        self.api.patch("/migrations/%s" % migration, {"rate_limit_keys_per_second": None})
        return self.api.await_migration(migration, timeout=PATIENCE_S)

    def places(self, servers):
        """By key, the numbers of those servers that have it."""
        found = {}
        for number, server in enumerate(servers):
            with server.client() as client:
                for key in client.call("KEYS", "*"):
                    found.setdefault(key.decode(), []).append(number)
        return found


def keys_to_move(count):
    keys = ["k%d" % number for number in range(60 * count)]
    return [key for key in keys if slot_of(key) < MOVED_SLOTS][:count]


class Writers:
    """Clients that increment keys of theirs; what was acknowledged last is at least there at the end."""

    def __init__(self, proxy, keys, count=3):
        self.proxy = proxy
        self.acknowledged = {}
        self.unsure = set()  # The answer was lost or an error: one more may be there.
        self.mistakes = []
        self.stop = threading.Event()
        self.threads = [Background(self.work, keys[number::count]) for number in range(count)]

    def work(self, keys):
        client = None
        while not self.stop.is_set():
            for key in keys:
                if self.stop.is_set():
                    break
                try:
                    if client is None:
                        client = self.proxy.client(timeout=30)
                except OSError:
                    self.stop.wait(0.02)  # The process is being started again.
                    continue
                try:
                    reply = client.call("INCR", key)
                except OSError:
                    client.close()
                    client = None
                    reply = RespError("LOST")
                if isinstance(reply, RespError):
                    if not reply.startswith("TRYAGAIN"):
                        self.unsure.add(key)
                    continue
                before = self.acknowledged.get(key, 0)
                if reply != before + 1 and not (key in self.unsure and reply > before):
                    self.mistakes.append("%s: %r after %d" % (key, reply, before))
                self.acknowledged[key] = reply
        if client is not None:
            client.close()

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.result()


def check_end(t, world, writers, servers):
    """Every write is there, every key is at one server, at its owner."""
    t.equal(writers.mistakes[:3], [], "each client sees its own writes")
    with world.proxy.client() as client:
        wrong = []
        for key, value in writers.acknowledged.items():
            found = client.call("GET", key)
            if int(found) != value and key not in writers.unsure:
                wrong.append((key, value, found))
    t.equal(wrong[:3], [], "no write is lost")
    places = world.places(servers)
    t.equal([(key, at) for key, at in places.items() if len(at) > 1][:3], [], "no key is at two servers")
    t.equal([(key, at) for key, at in places.items() if slot_of(key) < MOVED_SLOTS and at != [1]][:3], [],
            "moved keys are at the target")
    t.equal(world.slot_states(), {"normal"}, "every slot is normal")


def graceful(t, mover):
    keys = keys_to_move(1500)
    with World(t, mover) as world:
        with world.proxy.client() as client:
            for key in keys:
                client.call("SET", key, 0)
        writers = Writers(world.proxy, keys[::5])
        try:
            migration = world.begin_moving()
            for number in range(2):
                try:
                    world.promote(number, "graceful")
                    t.check(False, "refused without pause_migrations")
                except Problem as problem:
                    t.equal((problem.status, problem.body["code"]), (409, "group_busy"), "refused")
                    t.check("pause_migrations" in problem.body["detail"], "and says what to do", problem.body)
            for number in range(2):
                promotion = world.promote(number, "graceful", pause_migrations=True)
                t.equal((promotion["state"], promotion["error"]), ("succeeded", None), "promotion of %d" % number)
                t.equal(world.api.get("/migrations/%s" % migration)["state"], "running", "the migration goes on")
            # And back, paused: what is held when a promotion begins is held after it.
            world.masters, world.replicas = world.replicas, world.masters
            world.api.post("/migrations/%s/pause" % migration)
            wait_until(lambda: world.in_step(0), PATIENCE_S, "the old master to follow")
            promotion = world.promote(0, "graceful", pause_migrations=True)
            t.equal(promotion["state"], "succeeded", "promotion during a pause")
            t.equal(world.api.get("/migrations/%s" % migration)["state"], "paused", "the pause goes on")
            world.api.post("/migrations/%s/resume" % migration)
            world.finish(migration)
        finally:
            writers.end()
        check_end(t, world, writers, [world.replicas[0], world.masters[1]])
        t.check(writers.acknowledged, "there were writes")


def test_graceful_migrate(t):
    graceful(t, "migrate")


def test_graceful_copy(t):
    graceful(t, "copy")


def lost_source(t, mover):
    """The source dies; its replica has missed that keys had moved. What clients wrote to them at the target stands."""
    keys = keys_to_move(1500)
    with World(t, mover) as world:
        with world.proxy.client() as client:
            for key in keys:
                client.call("SET", key, "old")
            wait_until(lambda: world.in_step(0), PATIENCE_S, "the replica to follow")
            world.cut_off(0)
            migration = world.begin_moving()
            world.api.post("/migrations/%s/pause" % migration)
            # Each of these moves by being asked for, and its replica does not learn of it.
            fresh = keys[:200]
            for key in fresh:
                t.equal(client.call("SET", key, "new"), "OK", "a write at the target")
            gone = keys[200:220]
            for key in gone:
                t.equal(client.call("DEL", key), 1, "a key deleted at the target")
        world.masters[0].kill()
        world.replicas[0].send_signal(signal.SIGCONT)
        wait_until(lambda: stale(world.replicas[0], fresh), PATIENCE_S, "the replica to answer")
        promotion = world.promote(0, "force")
        t.equal((promotion["state"], promotion["error"]), ("succeeded", None), "promotion")
        t.check(any("had keys on their way" in text for text in promotion["warnings"]), "what that can lose is said",
                promotion["warnings"])
        world.api.post("/migrations/%s/resume" % migration)
        world.finish(migration)
        with world.proxy.client() as client:
            t.equal([key for key in fresh if client.call("GET", key) != b"new"][:5], [], "what was written stands")
            t.equal([key for key in keys[220:] if client.call("GET", key) != b"old"][:5], [], "the others are there")
        places = world.places([world.replicas[0], world.masters[1]])
        t.equal([key for key, at in places.items() if at != [1]][:5], [], "all keys are at the target, once")


def stale(replica, keys):
    with replica.client(timeout=5) as client:
        return all(client.call("GET", key) == b"old" for key in keys)


def test_lost_source_migrate(t):
    lost_source(t, "migrate")


def test_lost_source_copy(t):
    lost_source(t, "copy")


def lost_target(t, mover):
    """The target dies, and its replica has missed the last moves: these keys are lost, no others, and old copies of
    what has not moved do not come back."""
    keys = keys_to_move(1500)
    with World(t, mover) as world:
        with world.proxy.client() as client:
            for key in keys:
                client.call("SET", key, "old")
            migration = world.begin_moving()
            world.api.post("/migrations/%s/pause" % migration)
            for key in keys[:100]:
                client.call("SET", key, "new")
            wait_until(lambda: world.in_step(1), PATIENCE_S, "the replica to follow")
            # A copy that was never served, as an attempt that failed leaves one.
            left = sorted(world.places([world.masters[0]]))
            with world.masters[1].client() as target:
                for key in left[:20]:
                    target.call("SET", key, "torso")
            wait_until(lambda: world.in_step(1), PATIENCE_S, "the replica to follow")
            world.cut_off(1)
            late = left[100:150]
            for key in late:
                client.call("SET", key, "late")
        world.masters[1].kill()
        world.replicas[1].send_signal(signal.SIGCONT)
        promotion = world.promote(1, "force")
        t.equal((promotion["state"], promotion["error"]), ("succeeded", None), "promotion")
        world.api.post("/migrations/%s/resume" % migration)
        world.finish(migration)
        with world.proxy.client() as client:
            values = {key: client.call("GET", key) for key in keys}
        lost = {key for key, value in values.items() if value is None}
        t.check(lost <= set(late), "only what the replica had missed is lost", sorted(lost - set(late))[:5])
        t.equal([key for key in keys[:100] if key not in late and values[key] != b"new"][:5], [],
                "what it had is there")
        t.equal([key for key in left if key not in late and values[key] != b"old" and key not in keys[:100]][:5], [],
                "what had not moved comes from the source")
        t.equal([key for key, value in values.items() if value == b"torso"][:5], [], "no copy that was never served")


def test_lost_target_migrate(t):
    lost_target(t, "migrate")


def test_lost_target_copy(t):
    lost_target(t, "copy")


def stop_points(program):
    """The places of promotions and of what they hold at which a build for tests can stop; none in other builds."""
    with open(program, "rb") as file:
        content = file.read()
    return [point for point in (
        "promotion.pausing", "hold.persisted", "hold.pushed", "hold.settled", "promotion.locking",
        "promotion.promoting", "promotion.told", "promotion.switched", "release.told", "release.persisted",
        "release.pushed") if b"PIKAPROXY_STOP_AT" in content and point.encode() in content]


def is_stopped(process):
    with open("/proc/%d/stat" % process.pid, encoding="ascii") as file:
        return file.read().rsplit(")", 1)[1].split()[0] == "T"


def dies_at_every_step(t, mover):
    """Its successor goes on with the promotion, or back, and with the migration."""
    points = stop_points(t.pikaproxy)
    if not points:
        t.note("skipped: the program was built without places to stop at")
    keys = keys_to_move(1500)
    with World(t, mover) as world:
        with world.proxy.client() as client:
            for key in keys:
                client.call("SET", key, 0)
        writers = Writers(world.proxy, keys[::5])
        try:
            migration = None
            for turn, point in enumerate(points):
                world.proxy.kill()
                world.proxy.start_again({"PIKAPROXY_STOP_AT": point})
                world.api.log_in("admin", PASSWORD)
                migration = migration or world.begin_moving(10)
                number = turn % 2
                before = len(world.promotions(number))
                asked = Background(world.ask_promotion, number)
                wait_until(lambda: is_stopped(world.proxy.process), PATIENCE_S, "the process to stop at " + point)
                world.proxy.kill()
                asked.result()
                world.proxy.start_again()
                world.api.log_in("admin", PASSWORD)
                wait_until(lambda: all(one["state"] != "running" for one in world.promotions(number)), PATIENCE_S,
                           "the promotion to end")
                newest = world.promotions(number)[0]
                t.equal(len(world.promotions(number)), before + 1, "%s: the promotion is known" % point)
                goes_on = points.index(point) >= points.index("promotion.promoting")
                t.equal((newest["state"], newest["error"] is None), ("succeeded" if goes_on else "failed", goes_on),
                        "%s: how it ended" % point)
                if goes_on:
                    world.masters[number], world.replicas[number] = world.replicas[number], world.masters[number]
                wait_until(lambda: not world.slot_states() & {"locked"}, PATIENCE_S, "no slot to be locked")
                wait_until(lambda: world.in_step(number), PATIENCE_S, "the replica to follow")
            if migration:
                world.finish(migration)
        finally:
            writers.end()
        if migration:
            check_end(t, world, writers, world.masters)


def test_process_dies_migrate(t):
    dies_at_every_step(t, "migrate")


def test_process_dies_copy(t):
    dies_at_every_step(t, "copy")


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
