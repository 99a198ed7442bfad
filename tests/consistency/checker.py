#!/usr/bin/env python3
"""Is there an order in which a single server could have executed what clients saw?

    checker.py FILE...      checks histories that a failing run has left behind, and explains what is wrong

Linearizability after Wing and Gong, with Lowe's memory of what has been tried: a depth-first search for an order
of an object's operations that keeps the order of those that did not overlap, in which every reply is the one that the
object's model gives. Operations that were not executed are left out; those of unknown outcome may stand anywhere after
they were sent, or nowhere.

The search is small because
- an operation that fits and changes nothing is taken at once: it can never be better to take it later (unless its
  reply would be the same if it did change something);
- what does not overlap is settled: only operations around one moment, and unknown ones, are in question.
"""

import argparse
import sys

from history import FAIL, OK, OPEN, UNKNOWN, Op, read_history, short
from models import BLIND, IMPOSSIBLE, MODELS

# Configurations looked at before we give up on a history. Plain ones need about one for each operation.
CONFIGURATIONS_MAX = 3_000_000
EXPLAINING_MAX = 50_000


class Undecided(Exception):
    """The search was given up."""


def is_linearizable(kind, ops, limit=CONFIGURATIONS_MAX):
    """Whether there is such an order. Raises Undecided when that takes too long to find out."""
    return search(kind, ops, limit)[0]


def search(kind, ops, limit=CONFIGURATIONS_MAX, all_states=False):
    """(found, states): states the object may be in after them; all of them if `all_states`, one otherwise."""
    step = MODELS[kind].step
    known = sorted((op for op in ops if op.status == OK), key=lambda op: op.inv)
    maybe = [op for op in ops if op.status in (UNKNOWN, OPEN)]
    count = len(known)
    number = {id(op): at for at, op in enumerate(known)}
    inv = [op.inv for op in known]
    ret = [op.ret for op in known]
    after = [number.get(id(answered_before(op)), -1) for op in known]
    seen = {}
    looked_at = 0
    states = set()
    # A configuration: all known operations before `base` are done, of the others those in the bit set `done`
    # (bit 0 is `base`); of the unknown ones those in `used`.
    stack = [(0, 0, 0, MODELS[kind].initial)]
    while stack:
        base, done, used, state = stack.pop()
        while True:
            while done & 1:
                done >>= 1
                base += 1
            # Those that may come next began before any that is not done ended.
            branches = []
            settled = 0
            end = float("inf")
            at, bits = base, done
            while at < count and inv[at] <= end:
                if not bits & 1:
                    if ret[at] < end:
                        end = ret[at]
                    first = after[at]
                    if first < base or done >> (first - base) & 1:
                        new = step(state, known[at])
                        if new is IMPOSSIBLE:
                            pass
                        elif new == state and known[at].args[0] not in BLIND:
                            settled |= 1 << (at - base)
                        else:
                            branches.append((ret[at], at, new))
                at += 1
                bits >>= 1
            if not settled:
                break
            done |= settled
        if base == count:
            states.add(state)
            if not all_states:
                break
        # Whatever follows from here also follows where fewer unknown ones are used up.
        others = seen.setdefault((base, done, state), [])
        if any(other & used == other for other in others):
            continue
        others.append(used)
        looked_at += 1
        if looked_at > limit:
            raise Undecided("%d configurations were not enough for %d operations, %d of them unknown" % (
                limit, count, len(maybe)))
        # The last one pushed is tried first: known ones before unknown ones, the earliest reply before others.
        for at, op in enumerate(maybe):
            if op.inv <= end and not used >> at & 1:
                new = step(state, op)
                if new is not IMPOSSIBLE and new != state:
                    stack.append((base, done, used | 1 << at, new))
        branches.sort(reverse=True)
        for _, at, new in branches:
            stack.append((base, done | 1 << (at - base), used, new))
    return bool(states), states


def answered_before(op):
    """The last operation of its connection before it whose outcome is known: its order is promised."""
    op = op.after
    while op is not None and op.status != OK:
        op = op.after
    return op


def cut_at(ops, moment):
    """The history as it was known at `moment`."""
    result = []
    for op in ops:
        if op.inv > moment or op.status == FAIL:
            continue
        if op.status == OK and op.ret > moment:
            known = op
            op = Op(known.client, known.inv, known.args)
            op.lost(known.ret, "not answered yet at the moment shown")
        result.append(op)
    return result


def first_misfit(kind, ops):
    """Of a history that is not linearizable the operation whose reply came first of those that fit no order."""
    answered = sorted((op for op in ops if op.status == OK), key=lambda op: op.ret)
    low, high = 0, len(answered) - 1
    while low < high:
        middle = (low + high) // 2
        if is_linearizable(kind, cut_at(ops, answered[middle].ret)):
            low = middle + 1
        else:
            high = middle
    return answered[low]


def explain(kind, name, ops, origin=None, context=8):
    """What is wrong with a history that is not linearizable, for people: the moments around the first reply that
    fits no order, and where its values came from."""
    origin = min(op.inv for op in ops) if origin is None else origin
    misfit = first_misfit(kind, ops)
    known = cut_at(ops, misfit.ret)
    inside = [op for op in known if op.status == OK and op.ret >= misfit.inv]
    start = min(op.inv for op in inside)
    lines = ["%s %s: no order of its operations explains the replies (%d operations, %d of unknown outcome)." % (
        kind, name, len(ops), sum(op.status in (UNKNOWN, OPEN) for op in ops)),
        "Milliseconds since the start of the run: sent, answered.",
        "The first reply that fits no order:", misfit.line(origin)]
    try:
        _, states = search(kind, [op for op in known if op is not misfit], EXPLAINING_MAX, all_states=True)
        lines.append("Before it, or without it, the object could have been: %s" % (
            " or ".join(sorted(map(short, states))[:8]) or "in no state at all"))
    except Undecided:
        lines.append("(What the object could have been otherwise takes too long to find out.)")
    others = [op for op in inside if op is not misfit]
    if others:
        lines.append("At the same time:")
        lines += [op.line(origin) for op in sorted(others, key=lambda op: op.inv)]
    before = [op for op in ops if op.inv < start and op not in inside]
    if before:
        lines.append("Before that:")
        lines += [op.line(origin) for op in before[-context:]]
    # Lists of many elements would name everything.
    told = set(words((misfit.result,))) | set(words(misfit.args[1:]))
    if 0 < len(told) <= 4:
        sources = [op for op in ops if op not in before[-context:] and op not in inside
                   and told & set(words(op.args[1:])) and op.inv <= misfit.ret]
        if sources:
            lines.append("Its values were also written or named by:")
            lines += [op.line(origin) for op in sources[-context:]]
    lost = [op for op in ops if op.status in (UNKNOWN, OPEN) and op.inv < start and op not in before[-context:]]
    if lost:
        lines.append("Earlier ones of unknown outcome:")
        lines += [op.line(origin) for op in lost[-context:]]
    return "\n".join(lines)


def words(values):
    """The values that a reply or an operation mentions."""
    for value in values:
        if isinstance(value, (tuple, list)):
            yield from words(value)
        elif isinstance(value, (bytes, float)):
            yield value


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--origin", type=float, help="the time of the run's start (default: the first operation's)")
    parser.add_argument("--all", action="store_true", help="print every operation as well")
    parser.add_argument("files", nargs="+", metavar="FILE")
    options = parser.parse_args()
    wrong = 0
    for path in options.files:
        kind, name, ops = read_history(path)
        if options.all:
            origin = options.origin or min(op.inv for op in ops)
            print("\n".join(op.line(origin) for op in ops))
        if is_linearizable(kind, ops):
            print("%s %s: linearizable, %d operations" % (kind, name, len(ops)))
        else:
            wrong += 1
            print(explain(kind, name, ops, options.origin))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
