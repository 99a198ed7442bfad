#!/usr/bin/env python3
"""The checker itself: histories that are linearizable by construction must pass, broken ones must not.

    checker_test.py [--seed N] [names of tests]
"""

import argparse
import os
import random
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

from checks import tests_of_main  # noqa: E402
from checker import explain, first_misfit, is_linearizable, search  # noqa: E402
from history import OK, Op, read_history, write_history  # noqa: E402
from messages import GRACE_S, NOT_SENT, SENT, UNKNOWN, Message, Session, judge  # noqa: E402
from models import MODELS, MOVES_SLACK_S  # noqa: E402

GOOD_AND_BAD = [
    # kind, what it shows, linearizable?, operations: client, inv, ret (None: unknown), args, result
    ("register", "a read after a write", True, [
        (1, 0, 1, ("SET", b"1"), "OK"), (2, 2, 3, ("GET",), b"1")]),
    ("register", "a lost write", False, [
        (1, 0, 1, ("SET", b"1"), "OK"), (2, 2, 3, ("GET",), None)]),
    ("register", "an old value after a new one was read", False, [
        (1, 0, 1, ("SET", b"1"), "OK"), (1, 2, 9, ("SET", b"2"), "OK"),
        (2, 3, 4, ("GET",), b"2"), (3, 5, 6, ("GET",), b"1")]),
    ("register", "old and new while the write runs", True, [
        (1, 0, 1, ("SET", b"1"), "OK"), (1, 2, 9, ("SET", b"2"), "OK"),
        (2, 3, 4, ("GET",), b"1"), (3, 5, 6, ("GET",), b"2")]),
    ("register", "an unknown write that takes effect late", True, [
        (1, 0, 1, ("SET", b"1"), "OK"), (1, 2, None, ("SET", b"2"), None),
        (2, 3, 4, ("GET",), b"1"), (3, 50, 60, ("GET",), b"2")]),
    ("register", "an unknown write that takes effect twice", False, [
        (1, 0, 1, ("SET", b"1"), "OK"), (1, 2, None, ("SET", b"2"), None), (2, 3, 4, ("GET",), b"2"),
        (2, 5, 6, ("SET", b"3"), "OK"), (3, 7, 8, ("GET",), b"2")]),
    ("register", "a value that nobody wrote", False, [(2, 3, 4, ("GET",), b"9")]),
    ("register", "two winners of SET NX", False, [
        (1, 0, 5, ("SETNX", b"1"), "OK"), (2, 1, 4, ("SETNX", b"2"), "OK")]),
    ("register", "two compare-and-sets of one value", False, [
        (1, 0, 1, ("SET", b"1"), "OK"), (1, 2, 9, ("CAS", b"1", b"2"), 1), (2, 3, 8, ("CAS", b"1", b"3"), 1)]),
    ("register", "a deleted value that comes back", False, [
        (1, 0, 1, ("SET", b"1"), "OK"), (1, 2, 3, ("DEL",), 1), (2, 4, 5, ("GET",), None), (3, 6, 7, ("GET",), b"1")]),
    ("register", "a delete of several keys while one is written", True, [
        (1, 0, 5, ("SET", b"1"), "OK"), (2, 1, 6, ("DEL*",), None), (3, 7, 8, ("GET",), None)]),
    ("counter", "an increment lost", False, [
        (1, 0, 1, ("INCRBY", 1), 1), (2, 2, 3, ("INCRBY", 1), 1)]),
    ("counter", "an unknown increment that counted", True, [
        (1, 0, None, ("INCRBY", 1), None), (2, 2, 3, ("INCRBY", 1), 1), (2, 4, 5, ("INCRBY", 1), 3)]),
    ("list", "one element popped twice", False, [
        (1, 0, 1, ("RPUSH", b"a", b"b"), 2), (2, 2, 5, ("LPOP",), b"a"), (3, 3, 4, ("LPOP",), b"a")]),
    ("list", "popped at the same time", True, [
        (1, 0, 1, ("RPUSH", b"a", b"b"), 2), (2, 2, 5, ("LPOP",), b"b"), (3, 3, 4, ("LPOP",), b"a")]),
    ("list", "pushed twice by a request sent again", False, [
        (1, 0, 1, ("RPUSH", b"a"), 1), (2, 2, 5, ("LRANGE",), (b"a", b"a"))]),
    ("set", "a removed member", False, [
        (1, 0, 1, ("SADD", b"a"), 1), (2, 2, 3, ("SREM", b"a"), 1), (1, 4, 5, ("SMEMBERS",), (b"a",))]),
    ("hash", "a merge with an old copy", False, [
        (1, 0, 1, ("HSET", b"f", b"1"), 1), (1, 2, 3, ("HDEL", b"f"), 1), (1, 4, 5, ("HSET", b"g", b"2"), 1),
        (2, 6, 7, ("HGETALL",), ((b"f", b"1"), (b"g", b"2")))]),
    ("zset", "a score that lost bits", False, [
        (1, 0, 1, ("ZADD", 0.1 + 0.2, b"m"), 1), (1, 2, 3, ("ZRANGE",), ((0.3, b"m"),))]),
    ("stream", "an entry lost", False, [
        (1, 0, 1, ("XADD", b"1"), b"4102444800000-0"), (1, 2, 3, ("XADD", b"2"), b"4102444800000-1"),
        (2, 4, 5, ("XRANGE",), ((b"4102444800000-1", b"2"),))]),
    ("stream", "a last identifier lost", False, [
        (1, 0, 1, ("XADD", b"1"), b"4102444800000-0"), (1, 2, 3, ("XDEL", b"4102444800000-0"), 1),
        (1, 4, 5, ("XADD", b"2"), b"4102444800000-0")]),
    ("pair", "half of a write", False, [
        (1, 0, 1, ("MSET", b"1"), "OK"), (1, 2, 9, ("MSET", b"2"), "OK"), (2, 3, 4, ("MGET",), (b"2", b"1"))]),
    ("register", "an EXEC although the watched value had changed", False, [
        (1, 0, 1, ("SET", b"1"), "OK"), (2, 2, 3, ("GET",), b"1"), (1, 4, 5, ("SET", b"2"), "OK"),
        (2, 6, 7, ("CAS", b"1", b"3"), 1)]),
    ("register", "an EXEC of something that was not there", True, [
        (2, 2, 3, ("GET",), None), (2, 6, 7, ("CAS", None, b"3"), 1), (1, 8, 9, ("GET",), b"3")]),
    ("purse", "a transfer seen half", False, [
        (1, 0, 9, ("MOVE", 5), (-5, 5)), (2, 1, 2, ("MGET",), (-5, 0))]),
    ("purse", "a transfer lost under another one", False, [
        (1, 0, 1, ("MGET",), (0, 0)), (2, 2, 3, ("MOVE", 5), (-5, 5)), (1, 4, 5, ("SWAP", (0, 0), (-1, 1)), 1)]),
    ("purse", "a transfer of unknown outcome that counted twice", False, [
        (1, 0, None, ("MOVE", 5), None), (2, 2, 3, ("MGET",), (-5, 5)), (2, 4, 5, ("MGET",), (-10, 10))]),
    ("line", "delivered to one that waited", True, [
        (1, 0, 9, ("POP", 0), b"a"), (2, 5, 6, ("PUSH", b"a"), 1), (2, 10, 11, ("LISTS",), ((), ()))]),
    ("line", "delivered to two that waited", False, [
        (1, 0, 9, ("POP", 0), b"a"), (3, 0, 9, ("EITHER",), (0, b"a")), (2, 5, 6, ("PUSH", b"a"), 1)]),
    ("line", "delivered before it was pushed", False, [
        (1, 0, 4, ("POP", 0), b"a"), (2, 5, 6, ("PUSH", b"a"), 1)]),
    ("line", "lost while one waited in vain", False, [
        (1, 0, 9, ("POP", 0), None), (2, 5, 6, ("PUSH", b"a"), 1), (2, 10, 11, ("LISTS",), ((), ()))]),
    ("line", "lost with the connection of one that waited", True, [
        (1, 0, None, ("POP", 0), None), (2, 5, 6, ("PUSH", b"a"), 1), (2, 10, 11, ("LISTS",), ((), ()))]),
    ("line", "two lost with one connection", False, [
        (1, 0, None, ("POP", 0), None), (2, 5, 6, ("PUSH", b"a", b"b"), 2), (2, 10, 11, ("LISTS",), ((), ()))]),
    ("line", "nothing for one that waited although there always was something", False, [
        (2, 0, 1, ("PUSH", b"a"), 1), (1, 2, 3, ("ON",), None), (2, 4, 5, ("LISTS",), ((b"a",), ()))]),
    ("line", "an element on its way that is in both lists", False, [
        (2, 0, 1, ("PUSH", b"a"), 1), (1, 2, 3, ("ON",), b"a"), (2, 4, 5, ("LISTS",), ((b"a",), (b"a",)))]),
    ("prizes", "one member for two", False, [
        (2, 0, 1, ("ZADD", 1.0, b"a"), 1), (1, 2, 5, ("FIRST",), (1.0, b"a")), (3, 3, 4, ("LAST",), (1.0, b"a"))]),
    ("prizes", "not the first one", False, [
        (2, 0, 1, ("ZADD", 1.0, b"a"), 1), (2, 2, 3, ("ZADD", 2.0, b"b"), 1), (1, 4, 5, ("FIRST",), (2.0, b"b"))]),
    ("expiring", "gone when its time has come", True, [
        (1, 0, 1, ("SETPX", b"1", 10.0), "OK"), (1, 5, 6, ("GET",), b"1"), (1, 12, 13, ("GET",), None)]),
    ("expiring", "gone before its time", False, [
        (1, 0, 1, ("SETPX", b"1", 10.0), "OK"), (1, 5, 6, ("GET",), None)]),
    ("expiring", "back after it was gone", False, [
        (1, 0, 1, ("SETPX", b"1", 10.0), "OK"), (1, 11, 12, ("GET",), None), (1, 13, 14, ("GET",), b"1")]),
    ("expiring", "its time is lost", False, [
        (1, 0, 1, ("SETPX", b"1", 1000.0), "OK"), (1, 5, 6, ("PTTL",), -1)]),
    ("expiring", "it never goes", False, [
        (1, 0, 1, ("SETPX", b"1", 10.0), "OK"), (1, 11 + MOVES_SLACK_S, 12 + MOVES_SLACK_S, ("GET",), b"1")]),
]


def made(rows):
    ops = []
    for client, inv, ret, args, result in rows:
        op = Op(client, float(inv), args)
        if ret is None:
            op.lost(inv + 1.0, "lost")
        else:
            op.answered(float(ret), result)
        ops.append(op)
    return ops


def random_args(kind, rng, number):
    """Arguments of some operation; `number` makes values unique."""
    value = b"%d" % number
    few = b"m%d" % rng.randrange(5)
    stream_id = b"%d-%d" % (4102444800000, rng.randrange(max(1, number)))
    return rng.choice({
        "register": [("GET",), ("GET",), ("SET", value), ("GETSET", value), ("SETNX", value), ("DEL",),
                     ("CAS", b"%d" % max(0, number - 1), value)],
        "counter": [("INCRBY", 1), ("GET",)],
        "list": [("RPUSH", value), ("LPOP",), ("LRANGE",), ("RPUSH", value, value + b"'")],
        "set": [("SADD", few), ("SREM", few), ("SMEMBERS",)],
        "hash": [("HSET", few, value), ("HDEL", few), ("HGETALL",)],
        "zset": [("ZADD", number / 7, few), ("ZINCRBY", 0.1, few), ("ZREM", few), ("ZRANGE",)],
        "stream": [("XADD", value), ("XDEL", stream_id), ("XRANGE",)],
        "pair": [("MSET", value), ("MGET",), ("DEL",)],
        "purse": [("MOVE", number % 7), ("MGET",), ("SWAP", (0, 0), (-number, number))],
        "line": [("PUSH", value), ("PUSH", value, value + b"'"), ("ON",), ("POP", 0), ("POP", 1), ("EITHER",),
                 ("LISTS",)],
        "prizes": [("ZADD", number % 5 / 2, value), ("FIRST",), ("LAST",), ("ZRANGE",)],
    }[kind])


def reply_of(kind, state, op):
    """The reply that fits: models only judge, so the function below the step is asked."""
    import models
    apply = {"register": models.register, "counter": models.counter, "list": models.queue, "set": models.members,
             "hash": models.fields, "zset": models.ranking, "stream": models.stream, "pair": models.pair,
             "purse": models.purse, "line": models.line, "prizes": models.prizes}[kind]
    return apply(state, op.args)


def random_history(kind, rng, count, clients=6, lost=0.01):
    """A history as a correct server gives it: each operation takes effect at one moment between sending and reply.
    Some replies are lost; of these operations half take effect, some of them much later."""
    events = []
    for client in range(clients):
        now = rng.random()
        for _ in range(count // clients):
            inv = now + rng.expovariate(1.0)
            effect = inv + rng.expovariate(1.0)
            now = effect + rng.expovariate(1.0)
            events.append((effect, client, inv, now))
    events.sort()
    pending = []
    ops = []
    state = MODELS[kind].initial
    for number, (effect, client, inv, ret) in enumerate(events):
        op = Op(client, inv, random_args(kind, rng, number + 1))
        ops.append(op)
        for late in [late for late in pending if late[0] <= effect]:
            state = reply_of(kind, state, late[1])[0]
            pending.remove(late)
        if rng.random() < lost:
            op.lost(ret, "lost")
            if rng.random() < 0.5:
                pending.append((effect + rng.choice((0, 0, 20)), op))
            continue
        state, reply = reply_of(kind, state, op)
        op.answered(ret, reply)
    return sorted(ops, key=lambda op: op.inv)


class Tests:
    def __init__(self, seed):
        self.seed = seed
        self.passed = self.failed = 0

    def check(self, ok, what, *details):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            print("FAILED: %s" % what, *details, sep="\n    ", flush=True)


def test_examples(t):
    for kind, what, good, rows in GOOD_AND_BAD:
        t.check(is_linearizable(kind, made(rows)) == good, "%s: %s is %s" % (kind, what, "fine" if good else "wrong"))


def test_good_histories_pass(t):
    rng = random.Random(t.seed)
    for kind in MODELS:
        if kind == "expiring":
            continue
        for _ in range(12):
            t.check(is_linearizable(kind, random_history(kind, rng, 240)), "a good history of a %s" % kind)


def test_broken_histories_fail(t):
    """A reply is replaced by that of another time."""
    rng = random.Random(t.seed + 1)
    for kind in MODELS:
        if kind == "expiring":
            continue
        for _ in range(8):
            ops = random_history(kind, rng, 240, lost=0.005)
            # An acknowledged write that did not happen: its effects are taken out of what was seen later.
            changed = break_history(kind, ops, rng)
            t.check(not is_linearizable(kind, changed), "a write lost in a %s" % kind)


def break_history(kind, ops, rng):
    """The last third of the history is answered by a server that has lost everything before it."""
    moment = sorted(op.inv for op in ops)[len(ops) * 2 // 3]
    old = [op for op in ops if op.inv < moment and (op.ret is not None and op.ret < moment) and op.status == OK]
    shift = moment - min(op.inv for op in ops) + 10
    again = random_history(kind, rng, 120, lost=0)
    for op in again:
        op.inv += shift
        op.ret += shift
    prove = Op(0, shift - 3, {"register": ("SET", b"x"), "counter": ("INCRBY", 7), "list": ("RPUSH", b"x"),
                              "set": ("SADD", b"x"), "hash": ("HSET", b"x", b"x"), "zset": ("ZADD", 1.5, b"x"),
                              "stream": ("XADD", b"x"), "pair": ("MSET", b"x"), "purse": ("MOVE", 7),
                              "line": ("PUSH", b"x"), "prizes": ("ZADD", 9.0, b"x")}[kind])
    state, found = final_state(kind, old)
    if not found:
        return old
    prove.answered(shift - 2, reply_of(kind, state, prove)[1])
    read = Op(1, shift - 1, {"register": ("GET",), "counter": ("GET",), "list": ("LRANGE",), "set": ("SMEMBERS",),
                             "hash": ("HGETALL",), "zset": ("ZRANGE",), "stream": ("XRANGE",),
                             "pair": ("MGET",), "purse": ("MGET",), "line": ("LISTS",),
                             "prizes": ("ZRANGE",)}[kind])
    read.answered(shift - 0.5, reply_of(kind, MODELS[kind].initial, read)[1])
    return old + [prove, read] + again


def final_state(kind, ops):
    """One state the object may be in, replaying in the order of replies only as far as that fits."""
    found, states = search(kind, ops)
    return (next(iter(states)) if states else MODELS[kind].initial), found


def test_order_of_a_connection_holds(t):
    first = Op(1, 0.0, ("SET", b"1"))
    second = Op(1, 0.0, ("SET", b"2"), after=first)
    read = Op(2, 5.0, ("GET",))
    first.answered(3.0, "OK")
    second.answered(3.0, "OK")
    read.answered(6.0, b"1")
    t.check(not is_linearizable("register", [first, second, read]), "pipelined writes keep their order")
    read.result = b"2"
    t.check(is_linearizable("register", [first, second, read]), "pipelined writes in their order are fine")


def test_a_violation_is_pointed_at(t):
    rng = random.Random(t.seed + 2)
    ops = random_history("register", rng, 600, lost=0.01)
    last = max(op.ret for op in ops)
    write = Op(9, last + 1, ("SET", b"acknowledged"))
    write.answered(last + 2, "OK")
    read = Op(8, last + 3, ("GET",))
    read.answered(last + 4, b"never written")
    later = Op(8, last + 5, ("SET", b"later"))
    later.answered(last + 6, "OK")
    history = ops + [write, read, later]
    t.check(first_misfit("register", history) is read, "the first reply that does not fit is found")
    text = explain("register", "k", history)
    t.check("acknowledged" in text and "never written" in text and text.count("\n") < 40, "it is told in a few lines",
            text)


def test_a_history_survives_its_file(t):
    import os
    import tempfile
    rng = random.Random(t.seed + 3)
    with tempfile.TemporaryDirectory() as directory:
        for kind in ("zset", "list", "pair"):
            ops = random_history(kind, rng, 100)
            ops[-1].after = ops[0]
            path = os.path.join(directory, "history")
            write_history(path, kind, "name", ops)
            read_kind, name, again = read_history(path)
            same = [(a.client, a.inv, a.ret, a.args, a.result, a.status, a.note) for a in ops] == \
                   [(a.client, a.inv, a.ret, a.args, a.result, a.status, a.note) for a in again]
            t.check((read_kind, name) == (kind, "name") and same and again[-1].after is again[0], "a %s's file" % kind)


def test_long_histories_are_checked_quickly(t):
    """Operations checked, not seconds: the search must stay linear where a history is good."""
    rng = random.Random(t.seed + 4)
    start = time.monotonic()
    total = 0
    for kind in ("register", "list", "hash"):
        for _ in range(5):
            ops = random_history(kind, rng, 1500, clients=4, lost=0.002)
            total += len(ops)
            t.check(is_linearizable(kind, ops, limit=300 * len(ops)), "a long history of a %s" % kind)
    print("%d operations, %.0f per second" % (total, total / (time.monotonic() - start)))


def heard(got, since=0.0, has_ended=False):
    session = Session("a subscriber")
    session.since = {b"c": since}
    session.got = {b"c": got}
    session.has_ended = has_ended
    return session


def told(*rows):
    """Messages of publisher 1, from (number, inv, ret, outcome)."""
    messages = []
    for number, inv, ret, outcome in rows:
        message = Message(1, number, b"c", inv)
        message.ret, message.outcome = ret, outcome
        messages.append(message)
    return messages


def test_messages(t):
    three = told((0, 1.0, 1.1, SENT), (1, 2.0, 2.1, SENT), (2, 3.0, 3.1, SENT))
    unsure = told((0, 1.0, 1.1, SENT), (1, 2.0, 2.1, UNKNOWN), (2, 3.0, 3.1, SENT), (3, 4.0, 4.1, NOT_SENT))
    late = 3.0 + GRACE_S
    for what, published, session, windows, wrong in (
            ("all of them", three, heard([(1, 0), (1, 1), (1, 2)]), [], ""),
            ("one twice", three, heard([(1, 0), (1, 1), (1, 1), (1, 2)]), [], "came twice"),
            ("one twice, much later", three, heard([(1, 0), (1, 1), (1, 2), (1, 0)]), [(0.0, late)], "came twice"),
            ("in another order", three, heard([(1, 1), (1, 0), (1, 2)]), [(0.0, late)], "came after"),
            ("one that nobody published", three, heard([(1, 0), (1, 1), (1, 2), (1, 3)]), [], "nobody published"),
            ("a gap", three, heard([(1, 0), (1, 2)]), [], "did not get"),
            ("a gap while something is wrong", three, heard([(1, 0), (1, 2)]), [(1.5, 1.9)], ""),
            ("a gap long after something was wrong", three, heard([(1, 0), (1, 2)]), [(-late, -late)], "did not get"),
            ("a gap before it was subscribed", three, heard([(1, 2)], since=2.5), [], ""),
            ("a gap of a session that has ended", three, heard([(1, 0)], has_ended=True), [], ""),
            ("one of unknown outcome that did not come", unsure, heard([(1, 0), (1, 2)]), [], ""),
            ("one of unknown outcome that came late", unsure, heard([(1, 0), (1, 2), (1, 1)]), [], ""),
            ("one of unknown outcome twice", unsure, heard([(1, 0), (1, 1), (1, 2), (1, 1)]), [], "came twice"),
            ("one that was not sent", unsure, heard([(1, 0), (1, 2), (1, 3)]), [], "told otherwise")):
        complaints = judge(published, [session], windows)
        t.check(bool(complaints) == bool(wrong) and all(wrong in text for text in complaints), "messages: %s" % what,
                complaints)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("names", nargs="*", help="tests to run, without their test_")
    options = parser.parse_args()
    print("seed %d" % options.seed, flush=True)
    t = Tests(options.seed)
    known = tests_of_main()
    for name in options.names or known:
        known[name](t)
    print("%d passed, %d failed" % (t.passed, t.failed))
    return 1 if t.failed else 0


if __name__ == "__main__":
    sys.exit(main())
