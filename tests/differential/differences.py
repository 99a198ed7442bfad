"""Decides whether a difference between two replies is one of those that differences.yaml explains."""

import fnmatch
import os
import re

import yaml

from replies import parse

HERE = os.path.dirname(os.path.abspath(__file__))
NEAR_S = 3  # What may pass between the same in two servers.


class Difference:
    """One entry of the table.

    commands: patterns of names, "client list" for a subcommand.
    how: what may differ, a key of RULES below.
    ours, theirs: regular expressions for whole replies, where `how` is "replies".
    when: "three groups", "several slots", or "" for always.
    example: requests of which the last one shows it; is_certain: each time.
    """

    def __init__(self, entry):
        self.commands = entry.pop("commands").split(", ")
        self.how = entry.pop("how")
        self.reason = entry.pop("reason")
        self.example = entry.pop("example")
        self.when = entry.pop("when", "")
        self.protocol = entry.pop("protocol", None)
        self.is_certain = entry.pop("certain", True)
        self.ours = _pattern(entry.pop("ours", None))
        self.theirs = _pattern(entry.pop("theirs", ".*"))
        if entry or self.how not in RULES or self.when not in ("", "three groups", "several slots"):
            raise ValueError("%s: what is %s?" % (self.commands, entry or self.how))
        self.used = 0

    def is_about(self, request, situation):
        if self.when and self.when not in situation:
            return False
        name = request[0].decode("latin-1").lower()
        names = [name] + ([name + " " + request[1].decode("latin-1").lower()] if len(request) > 1 else [])
        return any(fnmatch.fnmatchcase(name, command) for name in names for command in self.commands)

    def explains(self, request, ours, theirs):
        return RULES[self.how](self, request, ours, theirs)


def _pattern(text):
    return None if text is None else re.compile(text.encode(), re.S)


# ---- Rules: (entry, request, our reply, their reply) -> whether that is all that differs --------------------------------


def _replies(entry, _, ours, theirs):
    return entry.ours.fullmatch(ours) is not None and entry.theirs.fullmatch(theirs) is not None


def _same_kind(_, __, ours, theirs):
    return ours[:1] == theirs[:1] and ours[:1] != b"-"


def _unordered(_, __, ours, theirs):
    (our_kind, our_items), (their_kind, their_items) = parse(ours), parse(theirs)
    return our_kind == their_kind and isinstance(our_items, list) and isinstance(their_items, list) and \
        sorted(our_items, key=repr) == sorted(their_items, key=repr)


def _pairs(items):
    return sorted(zip(items[::2], items[1::2]), key=repr)


def _unordered_pairs(_, __, ours, theirs):
    (our_kind, our_items), (their_kind, their_items) = parse(ours), parse(theirs)
    return our_kind == their_kind and isinstance(our_items, list) and isinstance(their_items, list) and \
        _pairs(our_items) == _pairs(their_items)


def _shape(tree):
    kind, value = tree
    return (kind, list(map(_shape, value))) if isinstance(value, list) else kind


def _near(_, request, ours, theirs):
    """Numbers, however deep, may be a little apart."""
    # Keys with the same small number share an object, and its idle time, for as long as the server runs.
    if request[0].lower() == b"object":
        return ours[:1] == theirs[:1] == b":"
    is_in_seconds = request[0].lower() in (b"ttl", b"expiretime")
    most = NEAR_S if is_in_seconds else NEAR_S * 1000

    def compare(ours, theirs):
        if ours[0] != theirs[0]:
            return False
        if isinstance(ours[1], list) and isinstance(theirs[1], list):
            return len(ours[1]) == len(theirs[1]) and all(map(compare, ours[1], theirs[1]))
        return ours == theirs or (ours[0] == b":" and min(int(ours[1]), int(theirs[1])) >= 0 and
                                  abs(int(ours[1]) - int(theirs[1])) <= most)
    return compare(parse(ours), parse(theirs))


def _same_size(_, __, ours, theirs):
    return ours[:1] == theirs[:1] == b"$" and len(ours) == len(theirs)


def _same_shape(_, __, ours, theirs):
    return _shape(parse(ours)) == _shape(parse(theirs))


def _cursor(_, request, ours, theirs):
    """Replies of SCAN and its like: either side may have left something for the next call, or begun elsewhere."""
    (_, ours), (_, theirs) = parse(ours), parse(theirs)
    if not (isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs) == 2):
        return False
    starts = request[1] == b"0" or request[0].lower() != b"scan"
    is_complete = starts and ours[0][1] == theirs[0][1] == b"0"
    return not is_complete or sorted(ours[1][1]) == sorted(theirs[1][1])


RULES = {"replies": _replies, "same kind": _same_kind, "unordered": _unordered, "unordered pairs": _unordered_pairs,
         "near": _near, "same size": _same_size, "same shape": _same_shape, "cursor": _cursor}


class Differences:
    def __init__(self, path=os.path.join(HERE, "differences.yaml")):
        with open(path, encoding="utf-8") as file:
            table = yaml.safe_load(file)
        self.entries = [Difference(entry) for entry in table["differences"]]
        self.not_sent = {name.replace(" ", "|"): group["reason"]
                         for group in table["not_sent"] for name in group["commands"].split(", ")}

    def explanation(self, request, ours, theirs, situation):
        """The entry that explains it, or None."""
        for entry in self.entries:
            if entry.is_about(request, situation) and entry.explains(request, ours, theirs):
                entry.used += 1
                return entry
        return None
