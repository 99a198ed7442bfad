"""Publishers and subscribers beside the other clients: what is published arrives once, in order, and where nothing was
wrong it arrives.

Each publisher numbers its messages. A subscriber's session is one connection from its confirmations to its end. What may
be lost is what was published while something went wrong, or soon after (docs/pubsub.md).
"""

import itertools
import random
import socket
import threading
import time

import hiredis

from request import EXECUTED_OR_NOT, NOT_EXECUTED, encode

CHANNELS = 6
SHARDED = 3
PUBLISHERS = 2
PAUSE_S = 0.01
# A link's silence is noticed, it is made again and everything is subscribed to again; on a machine that is busy.
BEFORE_S = 1.0
GRACE_S = 10.0
FLOW_S = 60.0
POLL_S = 0.2

SENT, NOT_SENT, UNKNOWN = "sent", "not sent", "unknown"


class Message:
    """inv, ret: before it was sent, after its answer."""

    __slots__ = ("publisher", "number", "channel", "inv", "ret", "outcome")

    def __init__(self, publisher, number, channel, inv):
        self.publisher = publisher
        self.number = number
        self.channel = channel
        self.inv = inv
        self.ret = None
        self.outcome = UNKNOWN

    def __str__(self):
        return "message %d of publisher %d to %s (%s)" % (self.number, self.publisher, self.channel.decode(), self.outcome)


class Session:
    """What one connection of a subscriber was told. got: by channel, (publisher, number) in their order."""

    def __init__(self, name):
        self.name = name
        self.since = {}  # By channel: when it was confirmed.
        self.got = {}
        self.has_ended = False


def judge(published, sessions, windows):
    """Complaints. published: Messages. windows: [(begin, end)] in which something was wrong."""
    complaints = []
    by_channel = {}
    for message in published:
        by_channel.setdefault(message.channel, {})[message.publisher, message.number] = message
    for session in sessions:
        for channel, got in session.got.items():
            known = by_channel.get(channel, {})
            complaints += ["%s: %s" % (session.name, text) for text in judge_order(channel, got, known)]
        if session.has_ended:
            continue  # What was under way when its connection broke is lost with it.
        for channel, since in session.since.items():
            got = set(session.got.get(channel, ()))
            complaints += ["%s did not get %s" % (session.name, message)
                           for key, message in by_channel.get(channel, {}).items()
                           if message.outcome == SENT and message.inv > since and key not in got
                           and not is_excused(message, windows)]
    return complaints


def judge_order(channel, got, known):
    """What is wrong with what came over a channel. One of unknown outcome may come late, but once."""
    seen = set()
    last = {}
    for key in got:
        message = known.get(key)
        if message is None:
            yield "%r came over %s, and nobody published it" % (key, channel)
            continue
        if key in seen:
            yield "%s came twice" % message
        if message.outcome == NOT_SENT:
            yield "%s came, though its publisher was told otherwise" % message
        elif message.outcome == SENT:
            if key not in seen and message.number < last.get(message.publisher, -1):
                yield "%s came after %d" % (message, last[message.publisher])
            last[message.publisher] = max(message.number, last.get(message.publisher, -1))
        seen.add(key)


def is_excused(message, windows):
    return any(message.ret >= begin - BEFORE_S and message.inv <= end + GRACE_S for begin, end in windows)


class Connection:
    """One that is read from in small steps. Every failure is an OSError."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, 5)
        self.socket.settimeout(POLL_S)
        self.reader = hiredis.Reader()

    def send(self, *words):
        self.socket.sendall(encode(words))

    def read(self, patience_s=POLL_S):
        """A reply, or False if none comes in time."""
        deadline = time.monotonic() + patience_s
        while True:
            reply = self.reader.gets()
            if reply is not False:
                return reply
            try:
                data = self.socket.recv(1 << 16)
            except socket.timeout:
                if time.monotonic() >= deadline:
                    return False
                continue
            if not data:
                raise ConnectionError("closed")
            self.reader.feed(data)

    def call(self, *words):
        self.send(*words)
        reply = self.read(30.0)
        if reply is False:
            raise ConnectionError("no answer")
        return reply

    def close(self):
        self.socket.close()


class Subscriber:
    """requests: what it says first, and the channels that it hears then."""

    def __init__(self, name, address, requests, stop):
        self.name = name
        self.address = address
        self.requests = requests
        self.channels = [channel for _, channels in requests for channel in channels]
        self.stop = stop
        self.sessions = []

    def run(self):
        while not self.stop.is_set():
            connection = None
            try:
                connection = Connection(self.address)
                self.listen(connection)
            except OSError:
                if self.sessions:
                    self.sessions[-1].has_ended = True
                self.stop.wait(0.05)
            finally:
                if connection is not None:
                    connection.close()

    def listen(self, connection):
        session = Session("%s, session %d" % (self.name, len(self.sessions) + 1))
        self.sessions.append(session)
        waiting = list(self.requests)
        asked = None
        while not self.stop.is_set():
            if asked is None and waiting:
                asked = waiting.pop(0)
                connection.send(*asked[0])
            reply = connection.read()
            if reply is False:
                continue
            if isinstance(reply, hiredis.ReplyError):
                # Its server cannot be reached.
                waiting.append(asked)
                asked = None
                self.stop.wait(0.05)
            elif reply[0].endswith(b"subscribe"):
                now = time.monotonic()
                session.since.update(dict.fromkeys(asked[1], now))
                asked = None
            else:
                publisher, number = reply[-1].split(b":")
                session.got.setdefault(reply[-2], []).append((int(publisher), int(number)))

    def hears(self, messages):
        """Whether one of these messages has come over each channel, over the connection that there is now."""
        session = self.sessions[-1] if self.sessions else None
        if session is None or session.has_ended:
            return False
        wanted = {channel: set() for channel in self.channels}
        for message in messages:
            if message.channel in wanted:
                wanted[message.channel].add((message.publisher, message.number))
        return all(wanted[channel] & set(session.got.get(channel, ())) for channel in self.channels)


class Messages:
    """All of it. tags: objects.Tags, for the channels' slots. Threads, from start() to finish()."""

    def __init__(self, address, tags, rng):
        host, port = address.rsplit(":", 1)
        self.address = (host, int(port))
        self.rng = random.Random(rng.getrandbits(64))
        self.plain = [b"news{%s}%d" % (tags.next()[0], number) for number in range(CHANNELS)]
        self.sharded = [b"shard{%s}%d" % (tags.next()[0], number) for number in range(SHARDED)]
        self.published = []
        self.trouble = []
        self.quiet = threading.Event()
        self.stop = threading.Event()
        each = [((b"SUBSCRIBE", channel), [channel]) for channel in self.plain]
        shards = [((b"SSUBSCRIBE", channel), [channel]) for channel in self.sharded]
        everything = [((b"PSUBSCRIBE", b"news*"), self.plain)]
        # Two of a sort: clients of two workers.
        self.subscribers = [Subscriber("%s %d" % (name, number), self.address, requests, self.stop)
                            for name, requests in (("a subscriber", each + shards), ("a pattern", everything))
                            for number in (1, 2)]
        self.threads = [threading.Thread(target=one.run, daemon=True) for one in self.subscribers]
        self.publishers = [threading.Thread(target=self.publish, args=(number, random.Random(self.rng.getrandbits(64))),
                                            daemon=True) for number in range(PUBLISHERS)]

    def start(self):
        for thread in self.threads + self.publishers:
            thread.start()

    def publish(self, publisher, rng):
        connection = None
        for number in itertools.count():
            if self.quiet.wait(rng.expovariate(1 / PAUSE_S)):
                return
            if connection is None:
                try:
                    connection = Connection(self.address)
                except OSError:
                    continue
            channel = rng.choice(self.plain + self.sharded)
            if not self.publish_one(connection, publisher, number, channel):
                connection.close()
                connection = None

    def publish_one(self, connection, publisher, number, channel):
        """False: the connection was lost."""
        message = Message(publisher, number, channel, time.monotonic())
        self.published.append(message)
        command = b"SPUBLISH" if channel in self.sharded else b"PUBLISH"
        try:
            reply = connection.call(command, channel, b"%d:%d" % (publisher, number))
        except OSError:
            message.ret = time.monotonic()
            return False
        message.ret = time.monotonic()
        if isinstance(reply, int):
            message.outcome = SENT
        elif NOT_EXECUTED.match(str(reply)):
            message.outcome = NOT_SENT
        elif not EXECUTED_OR_NOT.match(str(reply)):
            self.trouble.append("%s got %s" % (message, reply))
        return True

    def finish(self, windows):
        """When all is well again: complaints."""
        now = time.monotonic()
        complaints = self.wait_for_flow(lambda: [message for message in list(self.published) if message.inv > now])
        self.quiet.set()
        for thread in self.publishers:
            thread.join(60)
        if not complaints:
            # Behind the last ones, so that these have come.
            ends = []
            connection = Connection(self.address)
            for number, channel in enumerate(self.plain + self.sharded):
                self.publish_one(connection, PUBLISHERS, number, channel)
                ends.append(self.published[-1])
            connection.close()
            complaints = self.wait_for_flow(lambda: ends)
        self.stop.set()
        for thread in self.threads:
            thread.join(60)
        sessions = [session for one in self.subscribers for session in one.sessions]
        return complaints + self.trouble + judge(self.published, sessions, windows)

    def wait_for_flow(self, messages):
        deadline = time.monotonic() + FLOW_S
        while True:
            deaf = [one.name for one in self.subscribers if not one.hears(messages())]
            if not deaf:
                return []
            if time.monotonic() > deadline:
                return ["%s does not get messages of each channel within %d s" % (name, FLOW_S) for name in deaf]
            time.sleep(0.05)

    def summary(self):
        return "%d messages (%d of unknown outcome), %d received in %d sessions" % (
            len(self.published), sum(message.outcome == UNKNOWN for message in self.published),
            sum(len(got) for one in self.subscribers for session in one.sessions for got in session.got.values()),
            sum(len(one.sessions) for one in self.subscribers))
