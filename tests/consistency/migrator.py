"""Moves slots back and forth through the API, with pauses, changes of mind and cancellations, at random."""

import random
import time

from api import ApiError

AT_ONCE_MAX = 3
SLOTS_MAX = 16
ENDED = ("cancelled", "failed", "succeeded")
# What the API may say when others change things at the same time or servers do not answer.
EXPECTED = (409, 412, 422, 429, 503)


class Migrator:
    """slots: those that may move. groups: ids. note(text) is told what happens. Runs in a thread of its own."""

    def __init__(self, api, slots, groups, rng, note, stop):
        self.api = api
        self.slots = sorted(slots)
        self.groups = groups
        self.rng = random.Random(rng.getrandbits(64))
        self.note = note
        self.stop = stop
        self.did = {}
        self.last_problem = ""

    def run(self):
        while not self.stop.wait(self.rng.expovariate(6.0)):
            self.attempt(self.step)
        return self.did

    def attempt(self, work):
        """Returns what `work` returns, or None when it was refused or nobody answered."""
        try:
            return work()
        except ApiError as error:
            if error.status not in EXPECTED:
                raise
            self.count("refused: %s" % error.code)
        except OSError:
            self.count("not answered")
            time.sleep(0.2)
        return None

    def count(self, what):
        self.did[what] = self.did.get(what, 0) + 1

    def migrations(self):
        return self.api.get("/migrations?limit=50")["migrations"]

    def running(self):
        return [one for one in self.migrations() if one["state"] not in ENDED]

    def step(self):
        running = self.running()
        for one in running:
            if one["problems"] and str(one["problems"]) != self.last_problem:
                self.last_problem = str(one["problems"])
                self.note("migration %s: problems %s" % (one["id"], one["problems"]))
        if len(running) < AT_ONCE_MAX and self.rng.random() < 0.6 or not running:
            self.begin()
            return
        one = self.rng.choice(running)
        kind = self.rng.choice(("wait", "wait", "pause", "resume", "resume", "rate", "cancel", "finish"))
        if kind == "wait":
            return
        if kind == "rate":
            self.api.patch("/migrations/%s" % one["id"], {"rate_limit_keys_per_second": self.rng.choice((20, 500, 5000))})
        elif kind in ("cancel", "finish"):
            self.api.post("/migrations/%s/cancel" % one["id"],
                          {"in_flight": "rollback" if kind == "cancel" else "finish"})
        else:
            self.api.post("/migrations/%s/%s" % (one["id"], kind))
        self.count(kind)
        self.note("migration %s: %s" % (one["id"], kind))

    def begin(self):
        slots = sorted(self.rng.sample(self.slots, self.rng.randrange(1, SLOTS_MAX)))
        target = self.rng.choice(self.groups)
        owners = {one["slot"]: one["group"] for one in self.api.get("/slots")["slots"]}
        slots = [slot for slot in slots if owners[slot] != target]
        if not slots:
            return
        body = {"slots": slots, "target_group": target, "parallel_slots": self.rng.choice((1, 4, 64))}
        if self.rng.random() < 0.4:
            body["rate_limit_keys_per_second"] = self.rng.choice((10, 50, 300))
        made = self.api.post("/migrations", body)
        self.count("begun")
        self.note("migration %s: slots %s to group %s, %s keys/s" % (
            made["id"], slots, target, body.get("rate_limit_keys_per_second", "any number of")))

    def settle(self, seconds):
        """Lets all migrations come to their end; returns complaints."""
        deadline = time.monotonic() + seconds
        running = []
        while time.monotonic() < deadline:
            listed = self.attempt(self.running)
            if listed is None:
                continue
            running = listed
            if not running:
                return []
            for one in running:
                # Paused ones go on, slow ones hurry.
                if one["state"] == "paused":
                    self.attempt(lambda one=one: self.api.post("/migrations/%s/resume" % one["id"]))
                if one["rate_limit_keys_per_second"]:
                    self.attempt(lambda one=one: self.api.patch("/migrations/%s" % one["id"],
                                                                {"rate_limit_keys_per_second": 100000}))
            time.sleep(0.2)
        return ["migration %s is %s, not ended after %d s: %s" % (
            one["id"], one["state"], seconds, {key: one[key] for key in ("steps", "problems", "warnings", "error")})
            for one in running]

    def slot_owners(self):
        """(owner by slot as the number of the server, complaints about slots that are not normal)"""
        slots = self.api.get("/slots")["slots"]
        number = {group: at for at, group in enumerate(self.groups)}
        owners = [None] * len(slots)
        complaints = []
        for one in slots:
            owners[one["slot"]] = number.get(one["group"])
            if one["state"] != "normal":
                complaints.append("slot %d is %s" % (one["slot"], one["state"]))
        return owners, complaints
