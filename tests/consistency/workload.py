"""Clients that work on objects through the proxy, in one event loop.

Each client is a connection that sends a batch of requests, waits for all replies, pauses, and goes on; after a lost
connection it makes a new one. Objects live for some hundred operations; then one more client reads them, their
history goes to be checked, and another takes their place.
"""

import heapq
import itertools
import re
import select
import socket
import time

import hiredis

from history import OPEN, Op
from objects import KINDS, WAITED_FOR, WATCHED, Object, in_any_order, quiet_keys, transfer, wait_for, whole
from request import EXECUTED_OR_NOT, NOT_EXECUTED, Request, Wrong, encode
from resp import RespError
from transactions import transaction, watched_change

OBJECTS_OF_A_KIND = 7
WAITERS = 6            # Clients that do nothing but wait for elements.
LEAVES_AFTER_S = 1.5   # So long one waits that would wait for ever; then it goes without a word.
HOT_SHARE = 0.3        # Of the operations, on few objects.
LOST_MAX = 6           # An object with so many operations of unknown outcome is given up: checking gets slow.
AGE_MAX_S = 40.0
KEPT_MAX = 300         # Objects nobody changes any more, beside those that never changed.
SILENCE_MAX_S = 30.0   # A client that waits longer for a reply hangs.


class Kept:
    """A key, or a few, that nobody changes: each read must give what it gave at first."""

    def __init__(self, name, db, keys, requests, expected):
        self.name = name
        self.db = db
        self.keys = keys
        self.requests = requests
        self.expected = expected
        self.inflight = 0


class Client:
    def __init__(self, number, db, waits=False):
        self.number = number
        self.db = db
        self.waits = waits
        self.program = None        # A generator of batches, see transactions.py.
        self.leaves_at = None
        self.socket = None
        self.reader = None
        self.output = b""
        self.pending = []
        self.at = 0           # The next of `pending` to be answered.
        self.sleeps = False   # It will be woken.


class Workload:
    """address: of the proxy. tags: objects.Tags. ship(object): takes a history that is complete."""

    def __init__(self, address, tags, rng, ship, clients=16, rate=2000, dbs=(0, 0, 0, 3)):
        self.host, port = address.rsplit(":", 1)
        self.port = int(port)
        self.tags = tags
        self.rng = rng
        self.ship = ship
        self.pause_s = clients / rate
        self.poll = select.epoll()
        self.clients = [Client(number, dbs[number % len(dbs)]) for number in range(clients)]
        self.clients += [Client(clients + number, dbs[number % len(dbs)], waits=True) for number in range(WAITERS)]
        self.by_fd = {}
        self.wake_ups = []
        self.order = itertools.count()
        self.numbers = itertools.count(1)
        self.dbs = sorted(set(dbs))
        self.objects = {db: [] for db in self.dbs}
        self.closing = {db: [] for db in self.dbs}
        self.kept = {db: [] for db in self.dbs}
        self.quiet = []
        self.dropping = []
        self.deleted = {}     # (db, key) -> name, of objects that were deleted for good.
        self.unsure = set()   # (db, key) of keys on which an operation may still take effect.
        self.counts = {"requests": 0, "not executed": 0, "unknown": 0, "connections": 0, "objects": 0,
                       "transactions": 0, "nil": 0, "waits": 0}
        self.errors = {}
        self.slowest_s = 0.0
        self.ending = False
        self.silence_since = 0.0  # Clients' patience starts anew here: the proxy itself was stopped.
        for db in self.dbs:
            for kind in KINDS:
                for _ in range(OBJECTS_OF_A_KIND):
                    self.objects[db].append(self.new_object(kind, db))

    # ---- Objects

    def new_object(self, kind, db):
        tag, slot = self.tags.next()
        one = Object(kind, next(self.numbers), tag, db, slot, kind == "register" and self.rng.random() < 0.2)
        one.ops_max = self.rng.randrange(100, 900)
        one.born = time.monotonic()
        self.counts["objects"] += 1
        return one

    def choose(self, db, kinds=None):
        objects = self.objects[db]
        if kinds is not None:
            objects = [one for one in objects if one.kind in kinds]
            return objects[0] if self.rng.random() < HOT_SHARE else self.rng.choice(objects)
        if self.rng.random() < HOT_SHARE:
            return objects[self.rng.randrange(0, len(objects), 9)]
        return self.rng.choice(objects)

    def replace_if_old(self, one, now):
        if len(one.ops) < one.ops_max and one.lost < LOST_MAX and now - one.born < AGE_MAX_S:
            return
        objects = self.objects[one.db]
        if one in objects:
            objects[objects.index(one)] = self.new_object(one.kind, one.db)
            self.closing[one.db].append(one)

    # ---- Requests

    def new_op(self, client, one, args):
        after = one.last.get(client.number)
        # Of a line most requests name one list only. Those for different keys may overtake each other while their slot
        # moves: one key is there before the other.
        is_in_order = after is not None and after.status == OPEN and one.kind != "line"
        op = Op(client.number, 0.0, args, after if is_in_order else None)
        one.last[client.number] = op
        one.ops.append(op)
        one.inflight += 1
        return op

    def request(self, client, one, words, args, result_of):
        op = self.new_op(client, one, args)

        def done(reply, moment):
            self.take_reply(words, one, op, result_of, reply, moment)

        def lost(moment, note):
            self.lose_reply(one, op, moment, note)
        request = Request(words, done, lost)
        return request, [op]

    def take_reply(self, words, one, op, result_of, reply, moment):
        one.inflight -= 1
        if isinstance(reply, hiredis.ReplyError):
            self.judge_error(words, one, op, str(reply), moment)
            return
        try:
            op.answered(moment, result_of(reply))
        except (ValueError, TypeError, IndexError) as error:
            raise Wrong("%s: %r got the reply %.200r: %s" % (one.name, words[:2], reply, error)) from error

    def lose_reply(self, one, op, moment, note):
        one.inflight -= 1
        self.lose(one, op, moment, note)

    def judge_error(self, words, one, op, text, moment):
        kind = re.sub(r"server \S+ of group \S+ ", "", text)[:50]
        self.errors[kind] = self.errors.get(kind, 0) + 1
        if NOT_EXECUTED.match(text):
            self.counts["not executed"] += 1
            op.failed(moment, text)
        elif EXECUTED_OR_NOT.match(text):
            self.lose(one, op, moment, text)
        else:
            raise Wrong("%s: %r got an error that nobody expects: %s" % (one.name, words[:3], text))

    def lose(self, one, op, moment, note):
        self.counts["unknown"] += 1
        op.lost(moment, note)
        one.lost += 1
        for key in one.keys:
            self.unsure.add((one.db, key))

    def split(self, client):
        """One request for registers in several slots; each part of it is an operation of its own."""
        registers = [one for one in self.objects[client.db] if one.kind == "register" and not one.padded]
        chosen = self.rng.sample(registers, min(len(registers), self.rng.randrange(2, 5)))
        values = [b"%d" % next(self.numbers) for _ in chosen]
        command = self.rng.choice((b"MGET", b"MGET", b"MSET", b"DEL"))
        if command == b"MGET":
            words = (command, *(one.key for one in chosen))
            ops = [self.new_op(client, one, ("GET",)) for one in chosen]
        elif command == b"MSET":
            words = (command, *(word for one, value in zip(chosen, values) for word in (one.key, value)))
            ops = [self.new_op(client, one, ("SET", value)) for one, value in zip(chosen, values)]
        else:
            words = (command, *(one.key for one in chosen))
            ops = [self.new_op(client, one, ("DEL*",)) for one in chosen]

        def done(reply, moment):
            for at, (one, op) in enumerate(zip(chosen, ops)):
                one.inflight -= 1
                if isinstance(reply, hiredis.ReplyError):
                    text = str(reply)
                    if not NOT_EXECUTED.match(text) and not EXECUTED_OR_NOT.match(text):
                        raise Wrong("%r got an error that nobody expects: %s" % (words[:3], text))
                    if command == b"MGET":
                        op.failed(moment, text)
                    else:  # Of some part; the others may have been executed.
                        self.lose(one, op, moment, text)
                elif command == b"MGET":
                    op.answered(moment, reply[at])
                else:
                    op.answered(moment, "OK" if command == b"MSET" else None)

        def lost(moment, note):
            for one, op in zip(chosen, ops):
                one.inflight -= 1
                self.lose(one, op, moment, note)
        return Request(words, done, lost), ops

    def read_kept(self, kept):
        requests = []
        for number, words in enumerate(kept.requests):
            def done(reply, _, number=number, words=words):
                kept.inflight -= 1
                if isinstance(reply, hiredis.ReplyError):
                    if not NOT_EXECUTED.match(str(reply)) and not EXECUTED_OR_NOT.match(str(reply)):
                        raise Wrong("%s: %r got %s" % (kept.name, words[:3], reply))
                elif in_any_order(words, reply) != kept.expected[number]:
                    raise Wrong("%s: %r of a key that nobody changes gave\n    %.400r\ninstead of\n    %.400r" % (
                        kept.name, words[:3], reply, kept.expected[number]))

            def lost(_moment, _note):
                kept.inflight -= 1
            kept.inflight += 1
            requests.append(Request(words, done, lost))
        return requests

    def keep(self, one, words, reply):
        kept = self.kept[one.db]
        kept.append(Kept(one.name, one.db, one.keys, [words], [in_any_order(words, reply)]))
        idle = [each for each in kept if each.inflight == 0 and each not in self.quiet]
        if len(kept) > KEPT_MAX and idle and not self.ending:
            kept.remove(idle[0])
            self.dropping.append(idle[0])

    def close_object(self, client, one):
        """Reads it once more; then its history is complete."""
        words, args, result_of = whole(one)
        request, (op,) = self.request(client, one, words, args, result_of)
        inner_done, inner_lost = request.done, request.lost

        def done(reply, moment):
            inner_done(reply, moment)
            if op.status != "ok":
                self.closing[one.db].append(one)
                return
            self.ship(one)
            if one.lost == 0 and one.kind != "expiring" and (self.ending or self.rng.random() < 0.3):
                self.keep(one, words, reply)
            elif not self.ending:
                self.dropping.append(one)
            one.ops = []

        def lost(moment, note):
            inner_lost(moment, note)
            self.closing[one.db].append(one)
        request.done, request.lost = done, lost
        return request, [op]

    def delete(self, one):
        """For good: its keys must never be seen again."""
        def done(reply, _):
            if isinstance(reply, hiredis.ReplyError):
                for key in one.keys:
                    self.unsure.add((one.db, key))
                return
            for key in one.keys:
                if (one.db, key) not in self.unsure:
                    self.deleted[(one.db, key)] = one.name

        def lost(_moment, _note):
            for key in one.keys:
                self.unsure.add((one.db, key))
        return Request((b"DEL", *one.keys), done, lost)

    # ---- What a client does next

    def batch(self, client):
        """(requests, operations that begin when they are sent)"""
        if client.program is not None:
            following = next(client.program, None)
            if following is not None:
                return following
            client.program = None
        if client.waits:
            return self.wait_batch(client)
        rng = self.rng
        requests, ops = [], []

        def add(request, its_ops):
            requests.append(request)
            ops.extend(its_ops)
        waiting = self.closing[client.db]
        for at, one in enumerate(waiting):
            if one.inflight == 0:
                del waiting[at]
                add(*self.close_object(client, one))
                return requests, ops
        dropped = [one for one in self.dropping if one.db == client.db]
        if dropped:
            self.dropping.remove(dropped[0])
            return [self.delete(dropped[0])], []
        if self.ending:
            return [], []
        draw = rng.random()
        if draw < 0.04 and self.kept[client.db]:
            kept = rng.choice(self.kept[client.db])
            return self.read_kept(kept), []
        if draw < 0.10:
            add(*self.split(client))
            return requests, ops
        if draw < 0.18:
            one = self.choose(client.db, WATCHED)
            self.replace_if_old(one, time.monotonic())
            if one.kind == "purse" and rng.random() < 0.4:
                return transaction(self, client, one, *transfer(one, rng))
            client.program = watched_change(self, client, one)
            return next(client.program)
        now = time.monotonic()
        for _ in range(1 if draw < 0.8 else rng.randrange(2, 8)):
            one = self.choose(client.db)
            if one.kind == "expiring":
                parts = KINDS[one.kind](one, rng, next(self.numbers), (now, now + self.wall_offset))
            else:
                parts = KINDS[one.kind](one, rng, next(self.numbers))
            add(*self.request(client, one, *parts))
            self.replace_if_old(one, now)
        return requests, ops

    def wait_batch(self, client):
        """A request that waits for elements; now and then others stand behind it, and have to wait with it."""
        if self.ending:
            return [], []
        one = self.choose(client.db, WAITED_FOR)
        timeout = self.rng.choice((0.01, 0.1, 0.5, 1.0, 1.0, 0.0))
        if timeout == 0.0:
            client.leaves_at = time.monotonic() + self.rng.uniform(0.0, LEAVES_AFTER_S)
        request, ops = self.request(client, one, *wait_for(one, self.rng, timeout))
        requests = [request]
        self.counts["waits"] += 1
        self.replace_if_old(one, time.monotonic())
        if self.rng.random() < 0.2:
            behind = self.choose(client.db, WAITED_FOR)
            request, more = self.request(client, behind, *KINDS[behind.kind](behind, self.rng, next(self.numbers)))
            requests.append(request)
            ops += more
        return requests, ops

    # ---- The loop

    def start(self):
        self.wall_offset = time.time() - time.monotonic()
        for client in self.clients:
            self.wake(client, self.rng.random() * 0.05)

    def wake(self, client, seconds):
        if client.sleeps:
            return
        client.sleeps = True
        heapq.heappush(self.wake_ups, (time.monotonic() + seconds, next(self.order), client))

    def run_until(self, stop):
        """Goes on until stop() is true; looks some ten times a second."""
        next_look = 0.0
        while True:
            now = time.monotonic()
            if now >= next_look:
                if stop():
                    return
                self.look_for_silence(now)
                next_look = now + 0.1
            while self.wake_ups and self.wake_ups[0][0] <= now:
                client = heapq.heappop(self.wake_ups)[2]
                client.sleeps = False
                self.go_on(client)
            wait = min(next_look, self.wake_ups[0][0] if self.wake_ups else next_look) - time.monotonic()
            for fd, events in self.poll.poll(max(0.0, wait)):
                client = self.by_fd.get(fd)
                if client is not None:
                    self.ready(client, events)

    def look_for_silence(self, now):
        for client in self.clients:
            if client.leaves_at is not None and now > client.leaves_at:
                if client.pending:
                    self.disconnect(client, "it left while it waited")
                client.leaves_at = None
            if client.pending:
                since = max(client.pending[client.at].sent, self.silence_since)
                if now - since > SILENCE_MAX_S:
                    raise Wrong("client %d waits for %.1f s for the reply to %r" % (
                        client.number, now - client.pending[client.at].sent, client.pending[client.at].words[:3]))

    def go_on(self, client):
        if client.socket is None:
            self.connect(client)
            return
        requests, ops = self.batch(client)
        if not requests:
            self.wake(client, 0.05)
            return
        client.pending, client.at = requests, 0
        client.output = b"".join([encode(request.words) for request in requests])
        now = time.monotonic()
        for op in ops:
            op.inv = now
        for request in requests:
            request.sent = now
        self.write(client)

    def connect(self, client):
        sock = socket.socket()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(1.0)
        try:
            sock.connect((self.host, self.port))
            sock.sendall(encode((b"SELECT", b"%d" % client.db)))
        except OSError:
            sock.close()
            self.wake(client, 0.03)
            return
        sock.setblocking(False)
        client.socket = sock
        client.reader = hiredis.Reader()
        client.output = b""
        self.by_fd[sock.fileno()] = client
        self.poll.register(sock.fileno(), select.EPOLLIN)
        self.counts["connections"] += 1

        def done(reply, _):
            if reply != b"OK":
                raise Wrong("SELECT %d got %r" % (client.db, reply))
        client.pending, client.at = [Request((b"SELECT",), done, lambda moment, note: None)], 0
        client.pending[0].sent = time.monotonic()

    def write(self, client):
        try:
            sent = client.socket.send(client.output)
            client.output = client.output[sent:]
        except BlockingIOError:
            pass
        except OSError as error:
            self.disconnect(client, str(error))
            return
        self.poll.modify(client.socket.fileno(), select.EPOLLIN | (select.EPOLLOUT if client.output else 0))

    def ready(self, client, events):
        if events & select.EPOLLOUT and client.output:
            self.write(client)
            if client.socket is None:
                return
        if not events & ~select.EPOLLOUT:
            return
        try:
            data = client.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError as error:
            self.disconnect(client, str(error))
            return
        if not data:
            self.disconnect(client, "the proxy closed the connection")
            return
        now = time.monotonic()
        client.reader.feed(data)
        while True:
            reply = client.reader.gets()
            if reply is False:
                return
            if client.at >= len(client.pending):
                raise Wrong("client %d got a reply it did not ask for: %.200r" % (client.number, reply))
            request = client.pending[client.at]
            client.at += 1
            self.counts["requests"] += 1
            if not client.waits:
                self.slowest_s = max(self.slowest_s, now - request.sent)
            request.done(reply, now)
            if client.at == len(client.pending):
                client.pending, client.at = [], 0
                client.leaves_at = None
                self.wake(client, self.rng.expovariate(1.0 / self.pause_s))

    def disconnect(self, client, why):
        self.poll.unregister(client.socket.fileno())
        del self.by_fd[client.socket.fileno()]
        client.socket.close()
        client.socket = None
        if client.program is not None:
            client.program.close()
            client.program = None
        now = time.monotonic()
        pending, client.pending = client.pending[client.at:], []
        client.at = 0
        for request in pending:
            request.lost(now, "the connection was lost: %s" % why)
        self.wake(client, 0.02)

    # ---- The beginning and the end

    def write_quiet_keys(self, call, count, rng):
        """Keys that never change; call(db, words) asks the proxy."""
        for number in range(count):
            tag, _ = self.tags.next()
            db = self.dbs[number % len(self.dbs)]
            for name, writes, reads in quiet_keys(tag, number, rng, large=number < 2):
                for words in writes:
                    reply = call(db, words)
                    if isinstance(reply, RespError):
                        raise RuntimeError("%r got %s" % (words[:3], reply))
                kept = Kept(repr(name), db, [name], reads, [in_any_order(words, call(db, words)) for words in reads])
                self.quiet.append(kept)
                self.kept[db].append(kept)

    def retire_all(self):
        """No new work; every object is read once more and its history handed over."""
        self.ending = True
        for db in self.dbs:
            self.closing[db] += self.objects[db]
            self.objects[db] = []

    def is_done(self):
        return not any(self.closing.values()) and not any(client.pending for client in self.clients)

    def close(self):
        for client in self.clients:
            if client.socket is not None:
                client.socket.close()
                client.socket = None
