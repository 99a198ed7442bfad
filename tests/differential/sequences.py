"""Makes up sequences of requests. Everything follows from the random generator that is given."""

import re

from arguments import HOSTILE, HOSTILE_COUNTS, HOSTILE_TIMEOUTS, TYPES

MUTATED = 0.12  # This part of the requests gets wrong arguments,
OTHER_TYPE = 0.06  # this has keys of another type,
FREE_KEYS = 0.25  # and this has keys without a hash tag.
INLINE = re.compile(rb"[\w:.{}*+-]{1,200}")
# What the proxy splits, so keys of several slots are no difference.
SPLIT = {"mget", "mset", "del", "unlink", "exists", "touch"}
# A wrong argument may be STORE, and the next one a key then.
MAY_STORE = ("sort", "georadius")
# Families whose requests can be queued behind MULTI.
DATA = set(TYPES) | {"lex", "any"}
# About all keys, or left to chance: not inside MULTI.
NOT_QUEUED = {"scan", "keys", "dbsize", "randomkey", "spop"}
WITHOUT_FREE_KEYS = {"script", "connection"}


class Unit:
    """Requests that belong together; a sequence is shortened by whole units.

    cleanup: behind them, requests that make both sides equal again; what they answer is not compared.
    silent: numbers of those requests that get no reply.
    may_cross: their keys are in several slots, so the proxy may refuse them.
    """

    def __init__(self, requests, cleanup=(), silent=(), may_cross=False, is_inline=False):
        self.requests = requests
        self.cleanup = list(cleanup)
        self.silent = frozenset(silent)
        self.may_cross = may_cross
        self.is_inline = is_inline

    def __repr__(self):
        return "\n".join(" ".join(map(shown, request)) for request in self.requests + self.cleanup)

    def encoded(self):
        if self.is_inline:
            return b"".join(b" ".join(request) + b"\r\n" for request in self.requests)
        return b"".join(map(encode, self.requests + self.cleanup))

    def owners(self):
        """Per reply the request it belongs to; None where it does not matter."""
        return [request for number, request in enumerate(self.requests) if number not in self.silent] + \
            [None] * len(self.cleanup)


def encode(request):
    return b"*%d\r\n" % len(request) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in request)


def shown(word):
    text = repr(word)[2:-1]
    return text if re.fullmatch(r"[^\s'\"\\]+", text) else '"%s"' % text


class SequenceMaker:
    def __init__(self, rng, rules, arguments, protocol):
        self.rng = rng
        self.arguments = arguments
        self.protocol = protocol
        self.queueable = [rule for rule in rules if rule.family in DATA and rule.name not in NOT_QUEUED
                          and rule.second_word != "help" and "sortby" not in rule.text]
        self.unmutated = []
        # Less of what changes no data, and of what takes time.
        self.rules = [rule for rule in rules for _ in range(1 if rule.family == "connection" or rule.waits else 4)]

    def sequence(self, length):
        return [self.unit() for _ in range(length)]

    def unit(self):
        kind = self.rng.random()
        if kind < 0.03:
            return self._transaction()
        if kind < 0.04:
            return self._silence()
        if kind < 0.05:
            return self._expiry()
        return self._single()

    def _single(self):
        rule = self.rng.choice(self.rules)
        self.arguments.is_free = self.rng.random() < FREE_KEYS and rule.family not in WITHOUT_FREE_KEYS and \
            rule.name not in ("copy",)
        self.arguments.keys = keys = []
        request = self._request(rule)
        # A wrong argument may have become a key.
        is_mutated = request[1:] != self.unmutated[1:] or self.arguments.is_odd
        several = rule.name not in SPLIT and rule.keys_at_least > 1 and \
            (is_mutated or self.arguments.is_free and len(keys) > 1) or rule.name.startswith(MAY_STORE)
        cleanup = []
        # What chance decides, or only one side does, must not stay.
        if several or rule.name == "spop" or (rule.name == "xadd" and b"*" in request):
            touched = keys + request[1:] if is_mutated else keys
            cleanup = [[b"UNWATCH"]] + [[b"DEL", key] for key in dict.fromkeys(touched)]
        if several and rule.family == "script":
            cleanup.append([b"SCRIPT", b"FLUSH"])
        if rule.name in ("reset", "hello") and self.protocol == 3:
            cleanup.append([b"HELLO", b"3"])
        self.arguments.is_free = False
        is_inline = not cleanup and self.rng.random() < 0.02 and all(map(INLINE.fullmatch, request))
        return Unit([request], cleanup, may_cross=several, is_inline=is_inline)

    def _request(self, rule, is_queued=False):
        rng = self.rng
        others = ("string", "list") if rule.family == "lex" else TYPES
        self.arguments.key_type = rule.family if rule.family in DATA - {"any"} and rng.random() > OTHER_TYPE else \
            rng.choice(others)
        self.arguments.is_queued = is_queued
        self.arguments.is_odd = False
        request = rule.make(self.arguments)
        self.unmutated = list(request)
        # Where another key than those made up would make a lasting difference, nothing is changed.
        several = rule.keys_at_least > 1 or rule.name in SPLIT or rule.name.startswith(MAY_STORE)
        fragile = several and (is_queued or rule.name == "watch")
        if rng.random() < MUTATED and not fragile:
            request = self._mutated(rule, request, is_queued)
        if rng.random() < 0.1:
            request[0] = rng.choice((request[0].lower(), request[0].capitalize()))
        return request

    def _mutated(self, rule, request, is_queued):
        rng = self.rng
        hostile = HOSTILE_TIMEOUTS if rule.waits else HOSTILE_COUNTS if rule.counts_down else HOSTILE
        first = 1
        if rule.name == "copy":
            first = 3  # Its keys in another database could not be deleted.
        elif is_queued:
            # Another key may be in another slot, which only the proxy minds.
            first = 1 + max((number for number, word in enumerate(request) if word in self.arguments.keys), default=0)
        for _ in range(rng.choice((1, 1, 1, 2))):
            at = rng.randrange(min(first, len(request)), len(request) + 1)
            kind = rng.randrange(6)
            if kind == 0:
                del request[max(at, 1):]
            elif kind == 1:
                request.insert(at, rng.choice(hostile))
            elif kind == 2 and at < len(request):
                del request[at]
            elif at < len(request):
                request[at] = rng.choice(hostile)
        return request

    def _transaction(self):
        rng = self.rng
        key = self.arguments
        key.key_type = rng.choice(TYPES)
        requests = []
        if rng.random() < 0.3:
            requests.append([b"WATCH"] + key.make("key"))
            if rng.random() < 0.3:
                requests.append([b"DEL"] + key.make("key"))
        requests.append([b"MULTI"])
        for _ in range(rng.choice((0, 1, 2, 5, 12))):
            rule = rng.choice(self.queueable)
            key.keys = []
            request = self._request(rule, is_queued=True)
            if not (rule.name == "xadd" and b"*" in request):
                requests.append(request)
        if rng.random() < 0.1:
            requests.append(rng.choice(([b"NOSUCH"], [b"GET"], [b"MULTI"], [b"WATCH", b"a"], [b"EXEC", b"x"])))
        requests.append([b"EXEC"] if rng.random() < 0.85 else [b"DISCARD"])
        # If all went well this one is an error.
        requests.append([b"DISCARD"])
        return Unit(requests)

    def _silence(self):
        key = self.arguments
        key.key_type = "string"
        change, look = [b"SET"] + key.make("key") + key.make("value"), [b"GET"] + key.make("key")
        if self.rng.random() < 0.5:
            return Unit([[b"CLIENT", b"REPLY", b"SKIP"], change, look], silent=(0, 1))
        return Unit([[b"CLIENT", b"REPLY", b"OFF"], change, look, [b"CLIENT", b"REPLY", b"ON"], look], silent=(0, 1, 2))

    def _expiry(self):
        """A key expires while the client waits for something else."""
        key = self.arguments
        key.key_type = "string"
        name = key.make("key")
        return Unit([[b"SET"] + name + [b"soon gone", b"PX", b"4"], [b"BLPOP", b"{%s}never" % key.tag.encode(), b"0.008"],
                     [b"GET"] + name, [b"PTTL"] + name, [b"EXISTS"] + name])
