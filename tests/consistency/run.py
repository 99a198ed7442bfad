#!/usr/bin/env python3
"""Concurrent clients, real servers, slots on the move and everything that can go wrong; then every reply is checked.

    run.py --pikaproxy build/dev/pikaproxy [--minutes 1] [--mover migrate] [--faults all] [--seed N]

A run that fails leaves build/consistency/<seed>-<mover>/ behind: events (what happened when), *.history (of the objects
that are wrong; checker.py explains and re-checks them), logs and data of all processes.
The last line is "N passed, N failed".
"""

import argparse
import os
import random
import shutil
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

from checks import Background  # noqa: E402
from cluster import Cluster  # noqa: E402
from end_check import (check_deleted, check_far_expiry, check_kept, check_places, even_owners,  # noqa: E402
                       some)
from histories import Histories  # noqa: E402
from messages import Messages  # noqa: E402
from migrator import Migrator  # noqa: E402
from nemesis import FAULTS, Nemesis  # noqa: E402
from objects import SLOTS, Tags  # noqa: E402
from request import Wrong  # noqa: E402
from workload import Workload  # noqa: E402

QUIET_KEYS = 40
WORK_SLOTS = 48  # All objects lie in these, so that much happens to each.
DRAIN_S = 60.0
SETTLE_S = 120
FLOW_WAIT_S = 300


class Run:
    def __init__(self, options, directory):
        self.options = options
        self.directory = directory
        self.rng = random.Random(options.seed)
        self.origin = time.monotonic()
        self.events = open(os.path.join(directory, "events"), "w", encoding="utf-8")
        self.events_lock = threading.Lock()
        self.passed = 0
        self.failures = []
        self.stop = threading.Event()
        self.trouble = None

    def note(self, text):
        with self.events_lock:
            self.events.write("%11.1f %s\n" % (1e3 * (time.monotonic() - self.origin), text))
            self.events.flush()

    def check(self, complaints, what):
        if complaints:
            self.failures.append("%s:\n%s" % (what, "\n".join(map(str, complaints))))
            self.note("FAILED: %s" % what)
        else:
            self.passed += 1

    def run(self):
        # Before any thread: the checker is a fork of this process.
        histories = Histories(self.directory, self.origin)
        cluster = Cluster(self.options.pikaproxy, self.directory, self.options.mover,
                          forgetful=self.options.forgetful)
        try:
            cluster.start()
            slots = self.rng.sample(range(SLOTS), WORK_SLOTS)
            workload = Workload(cluster.proxy.address, Tags(slots, self.rng), self.rng, histories.ship,
                                clients=self.options.clients, rate=self.options.rate)
            try:
                self.go(cluster, workload, histories)
            except Wrong as wrong:
                self.check([wrong], "a reply that must not be")
            finally:
                self.stop.set()
                workload.close()
            self.summary(workload, histories)
        finally:
            self.stop.set()
            cluster.end()

    def go(self, cluster, workload, histories):
        def paused():
            workload.silence_since = time.monotonic()

        workload.write_quiet_keys(cluster.call, QUIET_KEYS, self.rng)
        self.note("the quiet keys are written")
        nemesis = Nemesis(cluster, self.rng, self.options.faults, self.note, self.stop, paused)
        migrator = None
        if cluster.api is not None:
            migrator = Migrator(cluster.api, workload.tags.slots, cluster.groups, self.rng, self.note, self.stop)
        threads = [threading.Thread(target=self.guard, args=(one.run,), daemon=True)
                   for one in (nemesis if self.options.faults else None, migrator) if one is not None]
        messages = Messages(cluster.proxy.address, workload.tags, self.rng)
        workload.start()
        messages.start()
        for thread in threads:
            thread.start()
        end = time.monotonic() + 60 * self.options.minutes
        workload.run_until(lambda: time.monotonic() > end or self.trouble or histories.collect())
        self.stop.set()
        for thread in threads:
            thread.join(60)
        self.check([self.trouble] if self.trouble else [], "nemesis and migrator did their work")
        print("faults: %s" % counts(nemesis.did))
        if migrator is not None:
            print("migrations: %s" % counts(migrator.did))
        if self.trouble or histories.found:
            self.check(histories.finish(), "every history has an order that explains it")
            return
        cluster.heal()
        self.note("all is well again")
        if migrator is not None:
            # Clients go on meanwhile: what they ask for is moved on access.
            settled = Background(migrator.settle, SETTLE_S)
            workload.run_until(lambda: not settled.is_running() or histories.collect())
            self.check(settled.result() if not histories.found else [], "every migration comes to its end")
        # Those of a fault that was cut short are over now.
        windows = [(begin, min(end, time.monotonic())) for begin, end in nemesis.windows]
        heard = Background(messages.finish, windows)
        workload.run_until(lambda: not heard.is_running() or histories.collect())
        self.check(some(heard.result(FLOW_WAIT_S)), "messages come once, in their order, and where all is well they come")
        print(messages.summary())
        workload.retire_all()
        end = time.monotonic() + DRAIN_S
        workload.run_until(lambda: workload.is_done() or time.monotonic() > end)
        self.check([] if workload.is_done() else ["not all objects could be read within %d s" % DRAIN_S],
                   "every object can be read at the end")
        self.check(histories.finish(), "every history has an order that explains it")
        self.check(["%d" % histories.undecided] if histories.undecided else [], "every history could be decided")
        dbs = workload.dbs
        kept = [one for db in dbs for one in workload.kept[db]]
        self.check(some(check_kept(kept, cluster.call)), "%d keys that nobody changed" % len(kept))
        self.check(some(check_far_expiry(workload.quiet, cluster.call)), "expiry of keys that nobody changed")
        owners, complaints = even_owners(len(cluster.servers)), []
        if migrator is not None:
            owners, complaints = migrator.slot_owners()
        self.check(some(complaints), "every slot is normal")
        complaints, strays, places = check_places(cluster.servers, dbs, owners, workload.unsure)
        self.check(some(complaints), "%d keys, each at one server, at its owner" % len(places))
        self.check(some(check_deleted(workload.deleted, workload.unsure, places)), "deleted keys stay deleted")
        if strays:
            print("%d keys of unknown operations at servers that do not own them" % strays)
        self.check([cluster.proxy.complaints()] if cluster.proxy.complaints() else [], "the proxy's log is clean")

    def guard(self, work):
        try:
            work()
        except Exception:
            self.trouble = traceback.format_exc()

    def summary(self, workload, histories):
        done = workload.counts
        print("%d requests (%d not executed, %d of unknown outcome), %d objects, %d operations checked in %d histories, "
              "%d transactions, %d that EXEC answered with nil, %d waits, %d connections, slowest reply %.2f s" % (
                  done["requests"], done["not executed"], done["unknown"], done["objects"],
                  histories.operations, histories.checked, done["transactions"], done["nil"], done["waits"],
                  done["connections"], workload.slowest_s))
        print("errors: %s" % counts(workload.errors))


def counts(of):
    return ", ".join("%s %d" % one for one in sorted(of.items())) or "none"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pikaproxy", required=True, help="the binary to test")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long clients work")
    parser.add_argument("--mover", default="migrate", choices=("migrate", "copy", "copy-by-type", "none"),
                        help="how keys move, by what the servers are able to do; none: nothing moves")
    parser.add_argument("--faults", default="all", help="names with commas between: all, none, %s" % ", ".join(FAULTS))
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rate", type=int, default=3000, help="batches per second that all clients aim at")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--forgetful", action="store_true",
                        help="servers lose everything when they are killed: the run must fail (this tests the test)")
    parser.add_argument("--keep", action="store_true", help="keep the directory of a good run too")
    parser.add_argument("--discard", action="store_true", help="keep nothing")
    options = parser.parse_args()
    options.faults = {"all": list(FAULTS), "none": []}.get(options.faults, options.faults.split(","))
    for name in options.faults:
        if name not in FAULTS:
            parser.error("there is no fault %r" % name)
    top = os.path.dirname(os.path.dirname(HERE))
    directory = os.path.join(top, "build", "consistency", "%d-%s" % (options.seed, options.mover))
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    print("seed %d, mover %s" % (options.seed, options.mover), flush=True)
    run = Run(options, directory)
    try:
        run.run()
    except Exception:
        run.check([traceback.format_exc()], "the run came to its end")
    for failure in run.failures:
        print("FAILED: %s" % failure)
    if options.discard or not run.failures and not options.keep:
        shutil.rmtree(directory, ignore_errors=True)
    elif run.failures:
        print("What happened when: %s" % os.path.join(directory, "events"))
        print("Once more: %s --seed %d (times differ, and so will the run)" % (" ".join(sys.argv), options.seed))
    print("%d passed, %d failed" % (run.passed, len(run.failures)))
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(main())
