"""The objects that clients work on: their keys, the requests for each kind, and how replies become results.

KINDS[name](object, rng, number) gives one random operation: (words of the request, arguments for the model, how
its reply becomes a result). READS[name] gives the one that reads all of the object.
"""

import random
import zlib

from models import STREAM_MS

SLOTS = 1024
CAS = b"if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) return 1 end return 0"
BOTH = b"redis.call('SET', KEYS[1], ARGV[1]) redis.call('SET', KEYS[2], ARGV[1]) return 1"
LISTS = b"return {redis.call('LRANGE', KEYS[1], 0, -1), redis.call('LRANGE', KEYS[2], 0, -1)}"
FAR_S = 3600.0


class Object:
    """What one model describes. `number` is unique in the run."""

    def __init__(self, kind, number, tag, db, slot, padded=False):
        self.kind = kind
        self.name = "%s:%d" % (kind, number)
        self.db = db
        self.slot = slot
        self.padded = padded  # Its values are some kilobytes long.
        self.keys = [b"%s:{%s}:%d" % (kind.encode(), tag, number)]
        if kind in ("pair", "purse", "line"):
            self.keys.append(self.keys[0] + b"'")
        self.key = self.keys[0]
        self.ops = []
        self.inflight = 0
        self.lost = 0
        self.ops_max = 0
        self.born = 0.0
        self.seen = []  # Values worth naming in later requests.
        self.last = {}  # Each client's latest operation on it.


def slot_of(tag):
    return zlib.crc32(tag) % SLOTS


class Tags:
    """Hash tags for given slots."""

    def __init__(self, slots, rng):
        self.slots = sorted(slots)
        self.rng = rng
        self.number = rng.randrange(10**6)
        self.found = {slot: [] for slot in self.slots}

    def next(self):
        """(tag, slot) of a slot drawn at random; a tag is given once."""
        slot = self.rng.choice(self.slots)
        while not self.found[slot]:
            self.number += 1
            tag = b"%x" % self.number
            if slot_of(tag) in self.found:
                self.found[slot_of(tag)].append(tag)
        return self.found[slot].pop(), slot


# ---- How replies become results ------------------------------------------------------------------

def same(reply):
    return reply


def status(reply):
    return "OK" if reply == b"OK" else reply


def in_order(reply):
    return tuple(reply)


def sorted_members(reply):
    return tuple(sorted(reply))


def field_pairs(reply):
    return tuple(sorted(zip(reply[::2], reply[1::2])))


def scores(reply):
    return tuple((float(score), member) for member, score in zip(reply[::2], reply[1::2]))


def entries(reply):
    return tuple((identifier, values[1]) for identifier, values in reply)


def pad(value):
    """A long value, the same each time, that its number can be told from."""
    return value + b":" + random.Random(value).randbytes(int(value) % 9 * 1000)


def unpad(reply):
    if reply is None:
        return None
    value = reply[:reply.index(b":")]
    if pad(value) != reply:
        raise ValueError("the value %r is not as it was written: %d bytes" % (value, len(reply)))
    return value


# ---- Requests ------------------------------------------------------------------------------------

def register(one, rng, number):
    value = b"%d" % number
    key = one.key
    written, reply = (pad(value), unpad) if one.padded else (value, same)
    kind = rng.randrange(10)
    if kind < 4:
        return (b"GET", key), ("GET",), reply
    if kind < 6:
        one.seen = one.seen[-3:] + [value]
        return (b"SET", key, written), ("SET", value), status
    if kind == 6:
        one.seen = one.seen[-3:] + [value]
        return (b"GETSET", key, written), ("GETSET", value), reply
    if kind == 7:
        return (b"SET", key, written, b"NX"), ("SETNX", value), status
    if kind == 8 and one.seen:
        old = rng.choice(one.seen)
        one.seen = one.seen[-3:] + [value]
        return ((b"EVAL", CAS, b"1", key, pad(old) if one.padded else old, written), ("CAS", old, value), same)
    return (b"DEL", key), ("DEL",), same


def counter(one, rng, _):
    if rng.randrange(4) == 0:
        return (b"GET", one.key), ("GET",), same
    by = rng.choice((1, 1, 1, 7))
    if by == 1:
        return (b"INCR", one.key), ("INCRBY", 1), same
    return (b"INCRBY", one.key, b"%d" % by), ("INCRBY", by), same


def queue(one, rng, number):
    kind = rng.randrange(20)
    if kind < 6:
        return (b"LRANGE", one.key, b"0", b"-1"), ("LRANGE",), in_order
    if kind < 14:
        return (b"LPOP", one.key), ("LPOP",), same
    values = tuple(b"%d.%d" % (number, at) for at in range(rng.choice((1, 1, 2))))
    return (b"RPUSH", one.key) + values, ("RPUSH",) + values, same


def members(one, rng, _):
    member = b"m%d" % rng.randrange(8)
    kind = rng.randrange(3)
    if kind == 0:
        return (b"SMEMBERS", one.key), ("SMEMBERS",), sorted_members
    if kind == 1:
        return (b"SADD", one.key, member), ("SADD", member), same
    return (b"SREM", one.key, member), ("SREM", member), same


def fields(one, rng, number):
    field = b"f%d" % rng.randrange(6)
    kind = rng.randrange(8)
    if kind < 3:
        return (b"HGETALL", one.key), ("HGETALL",), field_pairs
    if kind < 6:
        return (b"HSET", one.key, field, b"%d" % number), ("HSET", field, b"%d" % number), same
    if kind == 6:
        return (b"HINCRBY", one.key, field, b"1"), ("HINCRBY", field), same
    return (b"HDEL", one.key, field), ("HDEL", field), same


def ranking(one, rng, number):
    member = b"m%d" % rng.randrange(6)
    kind = rng.randrange(8)
    if kind < 3:
        return (b"ZRANGE", one.key, b"0", b"-1", b"WITHSCORES"), ("ZRANGE",), scores
    if kind < 5:
        score = number / 7.0
        return (b"ZADD", one.key, repr(score).encode(), member), ("ZADD", score, member), same
    if kind < 7:
        return (b"ZINCRBY", one.key, b"0.1", member), ("ZINCRBY", 0.1, member), float
    return (b"ZREM", one.key, member), ("ZREM", member), same


def stream(one, rng, number):
    kind = rng.randrange(10)
    if kind < 3:
        return (b"XRANGE", one.key, b"-", b"+"), ("XRANGE",), entries
    if kind < 7 or not one.seen:
        def added(reply):
            one.seen.append(reply)
            return reply
        return ((b"XADD", one.key, b"%d-*" % STREAM_MS, b"v", b"%d" % number), ("XADD", b"%d" % number), added)
    # Often all of them: a stream without entries still has its last identifier.
    identifier = one.seen.pop()
    return (b"XDEL", one.key, identifier), ("XDEL", identifier), same


def pair(one, rng, number):
    first, second = one.keys
    value = b"%d" % number
    kind = rng.randrange(10)
    if kind < 5:
        return (b"MGET", first, second), ("MGET",), in_order
    if kind < 8:
        return (b"MSET", first, value, second, value), ("MSET", value), status
    if kind == 8:
        return (b"EVAL", BOTH, b"2", first, second, value), ("BOTH", value), same
    return (b"DEL", first, second), ("DEL",), same


def expiring(one, rng, number, now=None):
    """`now`: (monotonic, wall clock), both in seconds."""
    value = b"%d" % number
    kind = rng.randrange(10)
    if kind < 4:
        return (b"GET", one.key), ("GET",), same
    if kind < 6:
        return (b"PTTL", one.key), ("PTTL",), same
    if kind == 6:
        return (b"SET", one.key, value), ("SET", value), status
    if kind < 9:
        # Far ones must stay as they are, near ones must be reached in the middle of everything.
        left = FAR_S if rng.random() < 0.5 else rng.uniform(0.3, 6.0)
        wall_ms = int(1e3 * (now[1] + left))
        at = wall_ms / 1e3 - now[1] + now[0]
        return (b"SET", one.key, value, b"PXAT", b"%d" % wall_ms), ("SETPX", value, at), status
    return (b"DEL", one.key), ("DEL",), same


def purse(one, rng, _):
    """Two counters. What one loses the other gets: see transfer() and changed()."""
    return whole(one)


def line(one, rng, number):
    """Two lists: elements are pushed to the first, go on to the second, and are popped from either."""
    first, second = one.keys
    kind = rng.randrange(10)
    if kind < 4:
        values = tuple(b"%d.%d" % (number, at) for at in range(rng.choice((1, 1, 2))))
        return (b"LPUSH", first) + values, ("PUSH",) + values, same
    if kind < 6:
        return (b"RPOP", first), ("POP", 0), same
    if kind < 8:
        return (b"RPOP", second), ("POP", 1), same
    if kind == 8:
        return (b"RPOPLPUSH", first, second), ("ON",), same
    return whole(one)


def prizes(one, rng, number):
    """A sorted set whose members are added once each."""
    kind = rng.randrange(10)
    if kind < 5:
        member = b"%d" % number
        score = float(rng.randrange(5))
        return (b"ZADD", one.key, b"%g" % score, member), ("ZADD", score, member), same
    if kind < 8:
        return (b"ZPOPMIN", one.key), ("FIRST",), lambda reply: scores(reply)[0] if reply else None
    return whole(one)


KINDS = {"register": register, "counter": counter, "list": queue, "set": members, "hash": fields,
         "zset": ranking, "stream": stream, "pair": pair, "expiring": expiring, "purse": purse, "line": line,
         "prizes": prizes}


def whole(one):
    """The request that reads all of an object."""
    return {
        "register": lambda: ((b"GET", one.key), ("GET",), unpad if one.padded else same),
        "counter": lambda: ((b"GET", one.key), ("GET",), same),
        "list": lambda: ((b"LRANGE", one.key, b"0", b"-1"), ("LRANGE",), in_order),
        "set": lambda: ((b"SMEMBERS", one.key), ("SMEMBERS",), sorted_members),
        "hash": lambda: ((b"HGETALL", one.key), ("HGETALL",), field_pairs),
        "zset": lambda: ((b"ZRANGE", one.key, b"0", b"-1", b"WITHSCORES"), ("ZRANGE",), scores),
        "stream": lambda: ((b"XRANGE", one.key, b"-", b"+"), ("XRANGE",), entries),
        "pair": lambda: ((b"MGET",) + tuple(one.keys), ("MGET",), in_order),
        "expiring": lambda: ((b"GET", one.key), ("GET",), same),
        "purse": lambda: ((b"MGET",) + tuple(one.keys), ("MGET",), lambda reply: tuple(int(each or 0) for each in reply)),
        "line": lambda: ((b"EVAL", LISTS, b"2") + tuple(one.keys), ("LISTS",), lambda reply: tuple(map(tuple, reply))),
        "prizes": lambda: ((b"ZRANGE", one.key, b"0", b"-1", b"WITHSCORES"), ("ZRANGE",), scores),
    }[one.kind]()


# ---- Transactions: (the commands, arguments for the model, how the reply of EXEC becomes a result)

WATCHED = ("register", "purse")


def changed(one, seen, rng, number):
    """What is written on the strength of what was read."""
    if one.kind == "register":
        value = b"%d" % number
        one.seen = one.seen[-3:] + [value]
        return [(b"SET", one.key, pad(value) if one.padded else value)], ("CAS", seen, value), all_ok
    amount = rng.randrange(1, 1000)
    after = (seen[0] - amount, seen[1] + amount)
    return ([(b"SET", key, b"%d" % value) for key, value in zip(one.keys, after)], ("SWAP", seen, after), all_ok)


def transfer(one, rng):
    amount = rng.randrange(1, 1000)
    return ([(b"DECRBY", one.keys[0], b"%d" % amount), (b"INCRBY", one.keys[1], b"%d" % amount)],
            ("MOVE", amount), in_order)


def all_ok(replies):
    if replies is None or any(reply != b"OK" for reply in replies):
        raise ValueError("not all of it was done")
    return 1


# ---- Requests that wait

WAITED_FOR = ("line", "prizes")


def wait_for(one, rng, timeout):
    """timeout: seconds, 0 = for ever."""
    until = b"%g" % timeout
    if one.kind == "prizes":
        command, name = rng.choice(((b"BZPOPMIN", "FIRST"), (b"BZPOPMAX", "LAST")))
        return (command, one.key, until), (name,), lambda reply: None if reply is None else (float(reply[2]), reply[1])
    # Elements come to the first list first. In the other order one that waits may be given an element of the first
    # although another one, which waited for the first too, has moved an element to the second: so does Redis.
    first, second = one.keys
    kind = rng.randrange(6)
    if kind == 0:
        return (b"BRPOP", first, until), ("POP", 0), lambda reply: popped(reply, first)
    if kind == 1:
        return (b"BRPOP", second, until), ("POP", 1), lambda reply: popped(reply, second)
    if kind == 2:
        return (b"BLMOVE", first, second, b"RIGHT", b"LEFT", until), ("ON",), same
    if kind == 3:
        return (b"BRPOPLPUSH", first, second, until), ("ON",), same
    if kind == 4:
        return ((b"BLMPOP", until, b"2", first, second, b"RIGHT"), ("EITHER",),
                lambda reply: None if reply is None else (one.keys.index(reply[0]), reply[1][0]))
    return ((b"BRPOP", first, second, until), ("EITHER",),
            lambda reply: None if reply is None else (one.keys.index(reply[0]), reply[1]))


def popped(reply, key):
    if reply is not None and reply[0] != key:
        raise ValueError("of another key")
    return None if reply is None else reply[1]


# ---- Keys that nobody changes --------------------------------------------------------------------

def quiet_keys(tag, number, rng, large):
    """[(key, requests that write it, requests that read it)]: one key of many sorts, for a move to carry."""
    def key(sort):
        return b"quiet-%s:{%s}:%d" % (sort, tag, number)

    def several(command, name, words, at_once=200):
        return [(command, name) + tuple(words[at:at + at_once]) for at in range(0, len(words), at_once)]

    size = 3000 if large else rng.choice((1, 5, 40, 150))
    elements = [b"%d-%s" % (at, rng.randbytes(4)) for at in range(size)]
    doubles = [b"inf", b"-inf", b"0.1", b"1e-300", b"3.0000000000000004", b"-2.5"]
    found = []
    name = key(b"string")
    found.append((name, [(b"SET", name, rng.randbytes(300_000 if large else size))], [(b"GET", name)]))
    name = key(b"\x00\xff\r\n ")
    found.append((name, [(b"SET", name, b"")], [(b"GET", name), (b"EXISTS", name)]))
    name = key(b"list")
    found.append((name, several(b"RPUSH", name, elements), [(b"LRANGE", name, b"0", b"-1")]))
    name = key(b"hash")
    found.append((name, several(b"HSET", name, [word for at, element in enumerate(elements)
                                                for word in (b"f%d" % at, element)]), [(b"HGETALL", name)]))
    name = key(b"set")
    found.append((name, several(b"SADD", name, elements), [(b"SMEMBERS", name)]))
    name = key(b"ints")
    found.append((name, several(b"SADD", name, [b"%d" % (at * at) for at in range(size)]), [(b"SMEMBERS", name)]))
    name = key(b"zset")
    found.append((name, several(b"ZADD", name, [word for at, element in enumerate(elements)
                                                for word in (doubles[at] if at < len(doubles) else b"%.17g" % (at / 7),
                                                             element)]),
                  [(b"ZRANGE", name, b"0", b"-1", b"WITHSCORES")]))
    name = key(b"stream")
    found.append((name, [(b"XADD", name, b"%d-1" % (at + 1), b"v", element) for at, element in enumerate(elements[:99])]
                  + [(b"XADD", name, b"500-7", b"gone", b"soon"), (b"XDEL", name, b"500-7"),
                     (b"XGROUP", b"CREATE", name, b"g", b"0"),
                     (b"XREADGROUP", b"GROUP", b"g", b"one", b"COUNT", b"2", b"STREAMS", name, b">"),
                     (b"XACK", name, b"g", b"1-1")],
                  [(b"XRANGE", name, b"-", b"+"), (b"XPENDING", name, b"g")]))
    name = key(b"hll")
    found.append((name, several(b"PFADD", name, elements), [(b"PFCOUNT", name), (b"GET", name)]))
    name = key(b"far")
    found.append((name, [(b"SET", name, b"x", b"EX", b"864000")], [(b"GET", name)]))
    return found


def in_any_order(words, reply):
    """What two reads of an unchanged key have in common."""
    if words[0] == b"SMEMBERS":
        return sorted_members(reply)
    if words[0] == b"HGETALL":
        return field_pairs(reply)
    return reply
