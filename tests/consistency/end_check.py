"""After a run, when nothing goes wrong any more: is everything where it belongs, once, and as it was?"""

import random

from objects import SLOTS, in_any_order, slot_of

KEYS_AT_ONCE = 1000


def hash_part(key):
    start = key.find(b"{")
    end = key.find(b"}", start + 1)
    return key[start + 1:end] if start >= 0 and end >= 0 else key


def scan(server, dbs):
    """{(db, key)} of a server, asked directly."""
    found = set()
    with server.client(timeout=60) as client:
        for db in dbs:
            client.call("SELECT", db)
            cursor = b"0"
            while True:
                cursor, keys = client.call("SCAN", cursor, "COUNT", KEYS_AT_ONCE)
                found.update((db, key) for key in keys)
                if cursor == b"0":
                    break
    return found


def where(place):
    return "%r in db %d (slot %d)" % (place[1], place[0], slot_of(hash_part(place[1])))


def check_places(servers, dbs, owners, unsure):
    """Complaints about keys that more than one server has, or one that does not own the slot.
    owners: number of the server by slot. unsure: places where an operation of unknown outcome may have written late,
    behind a proxy that was killed: nobody reads it there, so it is not an error by itself."""
    complaints = []
    held = {server.number: scan(server, dbs) for server in servers}
    strays = 0
    for number, places in held.items():
        for place in places:
            owner = owners[slot_of(hash_part(place[1]))]
            if owner == number:
                continue
            if place in unsure:
                strays += 1
            else:
                complaints.append("server %d has %s, which belongs to server %s%s" % (
                    number, where(place), owner, " (which has it too)" if place in held.get(owner, ()) else ""))
    return complaints, strays, set().union(*held.values())


def check_kept(kept, ask):
    """Complaints about keys nobody changed. ask(db, words) asks the proxy."""
    complaints = []
    for one in kept:
        for words, expected in zip(one.requests, one.expected):
            reply = in_any_order(words, ask(one.db, words))
            if reply != expected:
                complaints.append("%s: %r gives %.300r instead of %.300r" % (one.name, words[:3], reply, expected))
    return complaints


def check_far_expiry(quiet, ask):
    """Complaints about keys that have a far expiry; the others must have none."""
    complaints = []
    for one in quiet:
        for key in one.keys:
            left = ask(one.db, (b"PTTL", key))
            far = key.startswith(b"quiet-far")
            if (not 860_000_000 < left <= 864_100_000) if far else left != -1:
                complaints.append("%s: PTTL is %r" % (one.name, left))
    return complaints


def check_deleted(deleted, unsure, places):
    """Complaints about deleted keys that some server has."""
    return ["%s of %s was deleted, and some server has it" % (where(place), name)
            for place, name in deleted.items() if place in places and place not in unsure]


def even_owners(groups):
    """Owners of slots that share them evenly, as the configuration file says."""
    return [next(group for group in range(groups) if slot < (group + 1) * SLOTS // groups) for slot in range(SLOTS)]


def some(complaints, count=8):
    random.shuffle(complaints)
    return complaints[:count] + (["... and %d more" % (len(complaints) - count)] if len(complaints) > count else [])
