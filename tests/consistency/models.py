"""What a single, never failing server would do, for each kind of object.

A model is a start state and step(state, op): the state after the operation, or IMPOSSIBLE if its reply cannot
be given in that state. Replies of operations of unknown outcome are not looked at. States can be hashed; equal
states behave equally.

Most models only say what the server does, `apply(state, args) -> (state, reply)`; the replies are compared here.
"""

from history import OK

IMPOSSIBLE = object()

# Seconds. Servers and clients share one clock, which they read at slightly different moments and with a
# precision of one millisecond.
CLOCK_SLACK_S = 0.02
# MIGRATE hands on the time that is left, so the time that a move takes is added to it.
MOVES_SLACK_S = 30.0

STREAM_MS = 4102444800000  # Identifiers lie in the future: a stream that loses its last one goes back.

# Their replies do not tell whether they changed something.
BLIND = {"DEL*"}


class Model:
    def __init__(self, initial, step):
        self.initial = initial
        self.step = step


def replying(apply):
    def step(state, op):
        after, reply = apply(state, op.args)
        if op.status == OK and reply != op.result:
            return IMPOSSIBLE
        return after
    return step


def register(state, args):
    """A string, or None. CAS is a script: sets the new value if the old one is as given."""
    command = args[0]
    if command == "GET":
        return state, state
    if command == "SET":
        return args[1], "OK"
    if command == "GETSET":
        return args[1], state
    if command == "SETNX":
        return (args[1], "OK") if state is None else (state, None)
    if command == "CAS":
        return (args[2], 1) if state == args[1] else (state, 0)
    if command == "DEL":
        return None, int(state is not None)
    if command == "DEL*":  # One of several keys of a request that was split: only their sum was told.
        return None, None
    raise ValueError(command)


def counter(state, args):
    """A number, or None. The replies say how many increments there were before."""
    command = args[0]
    if command == "INCRBY":
        value = (state or 0) + args[1]
        return value, value
    if command == "GET":
        return state, None if state is None else b"%d" % state
    raise ValueError(command)


def queue(state, args):
    """A list of elements that are pushed once each."""
    command = args[0]
    if command == "RPUSH":
        return state + args[1:], len(state) + len(args) - 1
    if command == "LPOP":
        return (state[1:], state[0]) if state else (state, None)
    if command == "LRANGE":
        return state, state
    raise ValueError(command)


def members(state, args):
    command = args[0]
    if command == "SADD":
        return state | {args[1]}, int(args[1] not in state)
    if command == "SREM":
        return state - {args[1]}, int(args[1] in state)
    if command == "SMEMBERS":
        return state, tuple(sorted(state))
    raise ValueError(command)


def fields(state, args):
    """A hash: its (field, value) pairs in order."""
    command = args[0]
    if command == "HGETALL":
        return state, state
    content = dict(state)
    if command == "HSET":
        reply = int(args[1] not in content)
        content[args[1]] = args[2]
    elif command == "HDEL":
        reply = int(content.pop(args[1], None) is not None)
    elif command == "HINCRBY":
        reply = int(content.get(args[1], 0)) + 1
        content[args[1]] = b"%d" % reply
    else:
        raise ValueError(command)
    return tuple(sorted(content.items())), reply


def ranking(state, args):
    """A sorted set: (score, member) in order. Scores are doubles and must keep every bit."""
    command = args[0]
    if command == "ZRANGE":
        return state, state
    content = {member: score for score, member in state}
    if command == "ZADD":
        reply = int(args[2] not in content)
        content[args[2]] = args[1]
    elif command == "ZINCRBY":
        reply = content.get(args[2], 0.0) + args[1]
        content[args[2]] = reply
    elif command == "ZREM":
        reply = int(content.pop(args[1], None) is not None)
    else:
        raise ValueError(command)
    return tuple(sorted((score, member) for member, score in content.items())), reply


def stream(state, args):
    """None, or (entries, number of the last entry that was ever added)."""
    command = args[0]
    entries, last = state or ((), -1)
    if command == "XADD":
        identifier = b"%d-%d" % (STREAM_MS, last + 1)
        return (entries + ((identifier, args[1]),), last + 1), identifier
    if command == "XDEL":
        left = tuple(entry for entry in entries if entry[0] != args[1])
        return (left, last) if state else state, len(entries) - len(left)
    if command == "XRANGE":
        return state, entries
    raise ValueError(command)


def pair(state, args):
    """Two strings with one hash tag that are written together; a reader sees both new or both old."""
    command = args[0]
    if command in ("MSET", "BOTH"):
        return (args[1], args[1]), "OK" if command == "MSET" else 1
    if command == "MGET":
        return state, state
    if command == "DEL":
        return (None, None), 2 if state[0] is not None else 0
    raise ValueError(command)


def purse(state, args):
    """Two numbers that are changed together. SWAP is an EXEC after WATCH: its client had read `args[1]`."""
    command = args[0]
    if command == "MGET":
        return state, state
    if command == "SWAP":
        return (args[2], 1) if state == args[1] else (state, 0)
    if command == "MOVE":
        after = (state[0] - args[1], state[1] + args[1])
        return after, after
    raise ValueError(command)


def line(state, args):
    """Two lists whose elements are pushed once each. One that waited and got nothing found nothing at some moment."""
    command = args[0]
    first, second = state
    if command == "PUSH":
        return (args[:0:-1] + first, second), len(first) + len(args) - 1
    if command == "LISTS":
        return state, state
    if command == "ON":
        return ((first[:-1], first[-1:] + second), first[-1]) if first else (state, None)
    if command == "POP" or command == "EITHER":
        at = args[1] if command == "POP" else int(not first)
        if not state[at]:
            return state, None
        after = (first[:-1], second) if at == 0 else (first, second[:-1])
        return after, state[at][-1] if command == "POP" else (at, state[at][-1])
    raise ValueError(command)


def prizes(state, args):
    """A sorted set: (score, member) in order."""
    command = args[0]
    if command == "ZRANGE":
        return state, state
    if command == "ZADD":
        return tuple(sorted(state + ((args[1], args[2]),))), 1
    if not state:
        return state, None
    return (state[1:], state[0]) if command == "FIRST" else (state[:-1], state[-1])


def expiring_step(state, op):
    """A string that expires at a time its writer gave: None, or (value, time or None).

    It may be gone from that time on, must be gone some time after it, and once seen gone does not come back."""
    command = op.args[0]
    if command == "SETPX":
        return (op.args[1], op.args[2]) if op.status != OK or op.result == "OK" else IMPOSSIBLE
    if command == "SET":
        return (op.args[1], None) if op.status != OK or op.result == "OK" else IMPOSSIBLE
    if command == "DEL" and op.status != OK:
        return None
    if op.status != OK:
        return state
    expiry = state[1] if state is not None else None
    may_be_gone = state is None or expiry is not None and op.ret >= expiry - CLOCK_SLACK_S
    may_be_there = state is not None and (expiry is None or op.inv <= expiry + MOVES_SLACK_S)
    if command == "GET":
        if op.result is None:
            return None if may_be_gone else IMPOSSIBLE
        return state if may_be_there and op.result == state[0] else IMPOSSIBLE
    if command == "DEL":
        return None if (may_be_there if op.result == 1 else may_be_gone) else IMPOSSIBLE
    if command == "PTTL":
        if op.result == -2:
            return None if may_be_gone else IMPOSSIBLE
        if not may_be_there or (op.result == -1) != (expiry is None):
            return IMPOSSIBLE
        left = op.result / 1e3
        if expiry is None or expiry - op.ret - CLOCK_SLACK_S <= left <= expiry - op.inv + MOVES_SLACK_S:
            return state
        return IMPOSSIBLE
    raise ValueError(command)


MODELS = {
    "register": Model(None, replying(register)),
    "counter": Model(None, replying(counter)),
    "list": Model((), replying(queue)),
    "set": Model(frozenset(), replying(members)),
    "hash": Model((), replying(fields)),
    "zset": Model((), replying(ranking)),
    "stream": Model(None, replying(stream)),
    "pair": Model((None, None), replying(pair)),
    "expiring": Model(None, expiring_step),
    "purse": Model((0, 0), replying(purse)),
    "line": Model(((), ()), replying(line)),
    "prizes": Model((), replying(prizes)),
}
