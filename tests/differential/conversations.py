"""Several connections that speak in turn: publish and subscribe, CLIENT TRACKING.

A step is what one connection sends. Before the next one, whatever it leads to has come, everywhere: the plain server is
asked first, and tells how many messages every connection has to get. So replies and messages are the same in each run.
Messages of one step may come in any order: a server keeps patterns in a hash table.
"""

import os
import random
import select
import socket
import time

from arguments import HOSTILE, Arguments
from grammar import read_grammar
from replies import Incomplete, _skip, parse, split
from sequences import encode, shown

HERE = os.path.dirname(os.path.abspath(__file__))
RULES = read_grammar(os.path.join(HERE, "conversations.txt"))
TIMEOUT_S = 10
MESSAGES = (b"message", b"pmessage", b"smessage", b"invalidate")
# The proxy may have a client forget everything, when it has to make a connection to a server anew.
FORGET_ALL = b">2\r\n$10\r\ninvalidate\r\n_\r\n"
NOT_CHANGED = {"subscribe", "psubscribe", "ssubscribe", "multi", "exec", "discard", "hello", "reset"}
UNSUBSCRIBE = (b"UNSUBSCRIBE", b"PUNSUBSCRIBE", b"SUNSUBSCRIBE")
MUTATED = 0.08


class Silent(Exception):
    """What must come does not."""


class Talker:
    """One connection. `id`: its CLIENT ID; stands for "<id N>" of requests."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.messages = []  # Not reported yet.
        self.queues = False  # Between MULTI and EXEC.
        self.markers = 0
        self.id = self.call([b"CLIENT", b"ID"])[1:-2]

    def close(self):
        self.socket.close()

    def call(self, request):
        self.socket.sendall(encode(request))
        return self._frame()

    def _frame(self):
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                end = _skip(self.received, 0) if self.received else 0
            except Incomplete:
                end = 0
            if end > 0:
                frame, self.received = self.received[:end], self.received[end:]
                return frame
            if not select.select([self.socket], [], [], max(0, deadline - time.monotonic()))[0]:
                raise Silent("nothing came for %d s; incomplete: %r" % (TIMEOUT_S, self.received[:200]))
            some = self.socket.recv(1 << 16)
            if not some:
                raise Silent("the connection was closed")
            self.received += some

    def say(self, requests):
        """Sends them; the replies but for messages."""
        name = requests[0][0]
        if name == b"MULTI" or self.queues and name not in (b"EXEC", b"DISCARD", b"RESET"):
            self.socket.sendall(b"".join(map(encode, requests)))
            return [self._reply() for _ in requests]
        return self.flush(b"".join(map(encode, requests)))

    def _reply(self):
        while True:
            frame = self._frame()
            if not is_message(frame):
                return frame
            if frame != FORGET_ALL:
                self.messages.append(frame)

    def flush(self, raw=b""):
        """What comes before the answer to a PING."""
        self.markers += 1
        marker = b"marker %d" % self.markers
        self.socket.sendall(raw + encode([b"PING", marker]))
        end = b"$%d\r\n%s\r\n" % (len(marker), marker)
        replies = []
        while True:
            frame = self._reply()
            if frame.endswith(end):
                return replies
            replies.append(frame)

    def take_messages(self, wanted):
        """All that have come, and at least so many."""
        while len(self.messages) < wanted:
            frame = self._frame()
            if not is_message(frame):
                raise Silent("%r instead of a message" % frame)
            self.messages.append(frame)
        taken, self.messages = self.messages, []
        return taken


def is_message(frame):
    if frame[:1] not in (b"*", b">"):
        return False
    _, items = parse(frame)
    return bool(items) and items[0][0] == b"$" and items[0][1] in MESSAGES


class Watcher:
    """Asks servers who is subscribed there."""

    def __init__(self, addresses):
        self.talkers = [Talker(address) for address in addresses]

    def seen(self):
        channels, shards, patterns = set(), set(), 0
        for talker in self.talkers:
            channels |= {name for _, name in parse(talker.call([b"PUBSUB", b"CHANNELS"]))[1]}
            shards |= {name for _, name in parse(talker.call([b"PUBSUB", b"SHARDCHANNELS"]))[1]}
            patterns = max(patterns, int(talker.call([b"PUBSUB", b"NUMPAT"])[1:]))
        return channels, shards, patterns

    def wait_for(self, wanted):
        deadline = time.monotonic() + TIMEOUT_S
        while self.seen() != wanted:
            if time.monotonic() > deadline:
                raise Silent("servers have %r, and should have %r" % (self.seen(), wanted))


class Step:
    def __init__(self, talker, requests):
        self.talker = talker
        self.requests = requests

    def is_about_clients(self):
        return any(request[0] == b"CLIENT" for request in self.requests)

    def __repr__(self):
        return "%d: %s" % (self.talker, "; ".join(" ".join(map(shown, request)) for request in self.requests))


class Conversation:
    """versions: of the protocol, by connection."""

    def __init__(self, seed, length=40):
        rng = random.Random(seed)
        self.seed = seed
        self.versions = [rng.choice((2, 3)) for _ in range(rng.choice((2, 3, 4)))]
        arguments = Arguments(rng, "t%d" % (seed % 50))
        kind = rng.choice(("pubsub", "pubsub", "tracking"))
        rules = [rule for rule in RULES if rule.family == kind]
        queued = [rule for rule in RULES if rule.family == "queued"]
        queues = [False] * len(self.versions)
        self.steps = []
        for _ in range(length):
            at = rng.randrange(len(self.versions))
            count = rng.choice((1, 1, 2, 3)) if kind == "tracking" else 1
            requests = []
            for _ in range(count):
                rule = rng.choice(queued if queues[at] else rules)
                request = rule.make(arguments)
                while is_answered_twice(request):
                    request = rule.make(arguments)
                if rng.random() < MUTATED and rule.name not in NOT_CHANGED and not queues[at]:
                    request[rng.randrange(1, len(request) + 1):] = [rng.choice(HOSTILE)]
                requests.append(request)
            # A guess, since nobody knows yet whether it may: DISCARD is no harm.
            name = requests[-1][0]
            queues[at] = name == b"MULTI" or (queues[at] and name not in (b"EXEC", b"DISCARD", b"RESET"))
            self.steps.append(Step(at, requests))

    def run(self, address, servers, expected=None):
        """Per step the replies, per connection its messages, and who is subscribed at the servers. expected: that of the plain
        server, whose number of messages has to come."""
        watcher = Watcher(servers)
        talkers = []
        outcome = []
        try:
            for version in self.versions:
                talkers.append(Talker(address))
                talkers[-1].call([b"HELLO", b"%d" % version])
            ids = {b"<id %d>" % at: talker.id for at, talker in enumerate(talkers)}
            for number, step in enumerate(self.steps):
                talker = talkers[step.talker]
                replies = talker.say([[ids.get(word, word) for word in request] for request in step.requests])
                name = step.requests[0][0]
                if name == b"MULTI" and replies == [b"+OK\r\n"]:
                    talker.queues = True
                elif name in (b"EXEC", b"DISCARD", b"RESET"):
                    talker.queues = False
                messages = []
                for at, other in enumerate(talkers):
                    if other.queues:
                        messages.append([])
                        continue
                    other.flush()
                    wanted = len(expected[number][1][at]) if expected else 0
                    messages.append(sorted(other.take_messages(wanted)))
                if expected is None:
                    subscribed = watcher.seen()
                else:
                    subscribed = expected[number][2]
                    watcher.wait_for(subscribed)
                for text, real in ids.items() if step.is_about_clients() else ():
                    replies = [reply.replace(b":%s\r\n" % real, b":%s\r\n" % text) for reply in replies]
                outcome.append((replies, messages, subscribed))
            return outcome
        except Silent as silent:
            raise Silent("at step %d, %r: %s" % (len(outcome), self.steps[len(outcome)], silent)) from silent
        finally:
            for talker in talkers:
                talker.close()
            watcher.wait_for((set(), set(), 0))
            for talker in watcher.talkers:
                talker.close()

    def compare(self, ours, theirs, differences, situation):
        """What differs, as text; empty if nothing does."""
        for step, (our, our_messages, _), (their, their_messages, _) in zip(self.steps, ours, theirs):
            if our_messages != their_messages:
                return "messages after %r\n  plain  %r\n  ours   %r" % (step, their_messages, our_messages)
            if our == their:
                continue
            if len(our) == len(their) == len(step.requests):
                if all(one == other or are_same(request, one, other) or
                       differences.explanation(request, one, other, situation)
                       for request, one, other in zip(step.requests, our, their)):
                    continue
            elif len(step.requests) == 1 and are_same(step.requests[0], b"".join(our), b"".join(their)):
                continue
            return "replies to %r\n  plain  %r\n  ours   %r" % (step, their, our)
        return ""


def is_answered_twice(request):
    """CLIENT TRACKING with prefixes behind the first that overlap: Redis 7.0 says -ERR, and then +OK."""
    behind = [value for word, value in zip(request, request[1:]) if word.upper() == b"PREFIX"][1:]
    return any(one.startswith(other) or other.startswith(one)
               for number, one in enumerate(behind) for other in behind[number + 1:])


def are_same(request, ours, theirs):
    """Where the order follows from a hash table."""
    name = request[0].upper()
    if name in UNSUBSCRIBE and len(request) == 1:
        return _sorted_names(ours) == _sorted_names(theirs)
    if name == b"PUBSUB" and ours[:1] == theirs[:1] == b"*":
        return sorted(split(ours)[0].split(b"\r\n")) == sorted(split(theirs)[0].split(b"\r\n")) and \
            request[1].upper() in (b"CHANNELS", b"SHARDCHANNELS")
    return False


def _sorted_names(raw):
    frames = [parse(frame) for frame in split(raw)]
    if not all(isinstance(items, list) and len(items) == 3 for _, items in frames):
        return raw
    return [kind for kind, _ in frames], sorted(str(items[1]) for _, items in frames), [items[2] for _, items in frames]
