#!/usr/bin/env python3
"""The process dies at every step of a migration and of a cancellation, under load; its successor goes on.

    kill_steps_test.py --pikaproxy build/dev/pikaproxy --points build/dev/tests/list_stop_points [--seed N] [points]

For each point that common/test_hooks.h names: pikaproxy is started so that it stops itself there, a migration is
begun, and when the process has stopped it is killed and started again. Then
- within 5 s no slot is locked and every client is served again;
- no client waits longer for a reply than a request may be held;
- the migration comes to its end, in the direction that was asked for;
- every reply that clients got, before and after, has an order that explains it, and each key is at one server.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

from api import ApiError  # noqa: E402
from checks import Background  # noqa: E402
from cluster import Cluster  # noqa: E402
from end_check import check_kept, check_places, some  # noqa: E402
from histories import Histories  # noqa: E402
from migrator import ENDED, Migrator  # noqa: E402
from objects import SLOTS, Tags  # noqa: E402
from resp import RespError  # noqa: E402
from servers import wait_until  # noqa: E402
from workload import Workload  # noqa: E402

MOVED_SLOTS = 12
QUIET_KEYS = 12
REACH_S = 30.0      # To come to the point.
RECOVER_S = 5.0     # What the documentation promises.
END_S = 60.0
# proxy.hold_timeout, a time-out of a server, and what a busy machine adds.
REPLY_MAX_S = 6.0
TRIES = 3           # A machine that is busy with something else makes one run slow, but not each.


class Point:
    """How a migration gets to a point. Points of a cancellation need one; "reverting" needs a source that hangs."""

    def __init__(self, name):
        self.name = name
        self.cancels = name.startswith(("cancel", "returning"))
        self.reverts = name.startswith("reverting")


class Tests:
    def __init__(self):
        self.passed = self.failed = 0
        self.point = ""
        self.slow = []

    def check(self, complaints, what):
        if complaints:
            self.failed += 1
            print("FAILED: %s: %s:\n    %s" % (self.point, what, "\n    ".join(map(str, complaints))), flush=True)
        else:
            self.passed += 1

    def in_time(self, seconds, bound, what):
        if seconds < bound:
            self.passed += 1
        else:
            self.slow.append("%s: not after %.1f s" % (what, seconds))


class Drive:
    """What an operator does, in a thread, while clients work."""

    def __init__(self, cluster, point, slots, target):
        self.cluster = cluster
        self.api = cluster.api
        self.point = point
        self.slots = slots
        self.target = target
        self.id = None

    def begin(self):
        body = {"slots": self.slots, "target_group": self.target, "parallel_slots": 4}
        if self.point.cancels:
            body["rate_limit_keys_per_second"] = 20  # There is something left when it is cancelled.
        if self.point.reverts:
            source = next(server for server, group in zip(self.cluster.servers, self.cluster.groups)
                          if group != self.target)
            self.cluster.relay.tell("hang existing", source.number, ["proxy"])
        try:
            self.id = self.api.post("/migrations", body)["id"]
            if self.point.cancels:
                wait_until(self.is_moving, REACH_S, "slots to be on their way")
                self.api.post("/migrations/%s/cancel" % self.id, {"in_flight": "rollback"})
        except OSError:
            pass  # The process has stopped, and is killed now.

    def is_moving(self):
        return self.api.get("/migrations/%s" % self.id)["steps"].get("migrating", 0) > 0

    def newest(self):
        """The answer to the POST may have been lost with the process."""
        found = self.api.get("/migrations?limit=50")["migrations"]
        return max(found, key=lambda one: one["id"]) if found else None


def run_point(t, point, options, directory, rng):
    origin = time.monotonic()
    histories = Histories(directory, origin)
    cluster = Cluster(options.pikaproxy, directory, options.mover, groups=2,
                      options={"backend.request_timeout": "3s" if point.reverts else "1s"})
    try:
        cluster.start()
        slots = sorted(rng.sample(range(SLOTS // 2), MOVED_SLOTS))
        workload = Workload(cluster.proxy.address, Tags(slots, rng), rng, histories.ship, clients=8, rate=800)
        workload.write_quiet_keys(cluster.call, QUIET_KEYS, rng)
        probes = [(one.db, one.requests[0]) for one in workload.quiet]
        restart(cluster, {"PIKAPROXY_STOP_AT": point.name})
        drive = Drive(cluster, point, slots, cluster.groups[1])
        workload.start()
        soon = time.monotonic() + 0.3
        workload.run_until(lambda: time.monotonic() > soon)
        before = drive.newest()
        begun = Background(drive.begin)
        end = time.monotonic() + REACH_S
        workload.run_until(lambda: cluster.proxy.state() == "T" or time.monotonic() > end)
        reached = cluster.proxy.state() == "T"
        t.check([] if reached else ["not within %d s; %s" % (REACH_S, drive.newest())], "the point is reached")
        cluster.proxy.process.kill()
        if point.reverts:
            cluster.relay.tell("heal", 0)
        begun.result()
        cluster.proxy.start()
        workload.slowest_s = 0.0
        started = time.monotonic()
        recovered = Background(wait_until, lambda: is_well(cluster, probes), END_S, "all slots to be served")
        workload.run_until(lambda: not recovered.is_running())
        try:
            recovered.result()
        except TimeoutError as error:
            t.check([error], "all slots are served again")
        took = time.monotonic() - started
        t.in_time(took, RECOVER_S, "all slots are served again soon")
        finish(t, cluster, workload, point, drive, before)
        slowest = workload.slowest_s
        t.in_time(slowest, REPLY_MAX_S, "no client waits longer than it may")
        workload.retire_all()
        end = time.monotonic() + END_S
        workload.run_until(lambda: workload.is_done() or time.monotonic() > end)
        t.check([] if workload.is_done() else ["%d s" % END_S], "every object can be read")
        t.check(histories.finish(), "every history has an order that explains it")
        t.check(some(check_kept([one for db in workload.dbs for one in workload.kept[db]], cluster.call)),
                "keys that nobody changed")
        owners, complaints = Migrator(cluster.api, slots, cluster.groups, rng, print, threading.Event()).slot_owners()
        t.check(some(complaints), "every slot is normal")
        complaints, _, places = check_places(cluster.servers, workload.dbs, owners, workload.unsure)
        t.check(some(complaints), "%d keys, each at one server, at its owner" % len(places))
        t.check([cluster.proxy.complaints()] if cluster.proxy.complaints() else [], "the log is clean")
        workload.close()
        print("%-26s %5.1f s, served again after %.1f s, slowest reply %.2f s, %d operations checked" % (
            point.name, time.monotonic() - origin, took, slowest, histories.operations), flush=True)
    finally:
        cluster.end()


def restart(cluster, environment):
    cluster.proxy.process.stop()
    cluster.proxy.start(environment)
    cluster.proxy.wait()


def is_well(cluster, probes):
    """No slot is locked, and requests for all of them are served. probes: (db, words) of requests that only read."""
    try:
        slots = cluster.api.get("/slots")["slots"]
    except ApiError:
        return False
    if any(one["state"] == "locked" for one in slots):
        return False
    with cluster.proxy.client(timeout=REPLY_MAX_S) as client:
        for db, words in probes:
            if isinstance(client.call("SELECT", db), RespError) or isinstance(client.call(*words), RespError):
                return False
    return True


def finish(t, cluster, workload, point, drive, before):
    """The migration comes to its end by itself, where it should."""
    def ended():
        newest = drive.newest()
        return newest is not None and newest["state"] in ENDED

    newest = drive.newest()
    made = newest is not None and newest != before
    if not made:
        # It died before anything was written, so nobody has been told that there is a migration.
        t.check([] if point.name == "migration.created" or point.name.startswith("check") else ["there is none"],
                "the migration is still known")
        return
    try:
        if newest["rate_limit_keys_per_second"]:
            cluster.api.patch("/migrations/%s" % newest["id"], {"rate_limit_keys_per_second": 100000})
    except ApiError:
        pass  # It has ended meanwhile.
    waiting = Background(wait_until, ended, END_S, "the migration to end")
    workload.run_until(lambda: not waiting.is_running())
    try:
        waiting.result()
    except TimeoutError:
        pass
    state = drive.newest()["state"]
    # Killed before the request to cancel was written, it was never asked for.
    wanted = ("cancelled", "succeeded") if point.name == "cancel.requested" else (
        "cancelled" if point.cancels else "succeeded",)
    t.check([] if state in wanted else ["%s: %s" % (state, drive.newest())], "the migration ends as %s" % (wanted,))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pikaproxy", required=True, help="the binary to test, built with test hooks")
    parser.add_argument("--points", required=True, help="the program that prints all points")
    parser.add_argument("--mover", default="migrate", choices=("migrate", "copy", "copy-by-type"))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("names", nargs="*", help="points (default: all)")
    options = parser.parse_args()
    print("seed %d" % options.seed, flush=True)
    known = subprocess.run([options.points], check=True, capture_output=True, text=True).stdout.split()
    t = Tests()
    top = os.path.join(os.path.dirname(os.path.dirname(HERE)), "build", "consistency")
    for name in options.names or known:
        t.point = name
        failed = t.failed
        directory = os.path.join(top, "kill-%s" % name)
        for attempt in range(TRIES):
            shutil.rmtree(directory, ignore_errors=True)
            os.makedirs(directory)
            t.slow = []
            try:
                run_point(t, Point(name), options, directory, random.Random("%d %s %d" % (options.seed, name, attempt)))
            except Exception:  # The others still run.
                t.check([traceback.format_exc()], "the test came to its end")
            if not t.slow:
                break
            print("%s: %s" % (name, "; ".join(t.slow)), flush=True)
        t.check(t.slow, "it takes no longer than it may, in one of %d runs" % TRIES)
        if t.failed == failed:
            shutil.rmtree(directory, ignore_errors=True)
    print("%d passed, %d failed" % (t.passed, t.failed))
    return 1 if t.failed else 0


if __name__ == "__main__":
    sys.exit(main())
