#!/usr/bin/env python3
"""Sends the same random requests to a plain redis-server and through pikaproxy: the replies must be the same.

    run.py --pikaproxy build/dev/pikaproxy [--seconds 40] [--seed N] [--protocol 2|3] [--sequences N]

The proxy is tried over one group and over three. Replies are equal byte for byte, or differences.yaml explains the
difference; each of its entries must be shown to be needed by its example. A difference without an explanation
is printed with the shortest sequence of requests that shows it. The last line is "N passed, N failed".
"""

import argparse
import collections
import concurrent.futures
import os
import random
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))

import document  # noqa: E402
from arguments import LIBRARIES, Arguments  # noqa: E402
from connection import Connection, Lost  # noqa: E402
from differences import Differences  # noqa: E402
from grammar import read_grammar  # noqa: E402
from replies import Incomplete, parse, split  # noqa: E402
from sequences import SequenceMaker, Unit, encode, shown  # noqa: E402
from servers import PikaProxy, RedisServer  # noqa: E402

# Larger strings are refused by every server: offsets that are too large cost nothing.
SERVER_OPTIONS = ("--proto-max-bulk-len", "1048576", "--enable-debug-command", "local")
UNITS_PER_SEQUENCE = 400
SHRINK_SECONDS = 15
DIFFERENCES_SHOWN_MAX = 12
EXAMPLE_ATTEMPTS = 40
SENT_ENOUGH = 200
SHOWN_MAX = 1500
# All that a sequence leaves behind on the servers and in the proxy.
RESET = [[b"FLUSHALL"], [b"SCRIPT", b"FLUSH"], [b"FUNCTION", b"FLUSH"]]


class Target:
    """What a sequence is sent to. situation: what differences.yaml may ask for in "when"."""

    def __init__(self, name, address, situation):
        self.name = name
        self.address = address
        self.situation = situation

    def run(self, batches, protocol, rng, last=None, whole=False):
        """Per batch of units the bytes of all replies. `last`: a request after which the server closes."""
        connection = Connection(self.address)
        try:
            connection.exchange(b"".join(map(encode, RESET)), rng, True)
            if protocol == 3:
                connection.exchange(encode([b"HELLO", b"3"]), rng, True)
            answers = [connection.exchange(b"".join(unit.encoded() for unit in batch), rng, whole) for batch in batches]
            if last is not None:
                answers.append(connection.last_words(encode(last)))
            return answers
        finally:
            connection.close()


class Found(Exception):
    """A difference without explanation."""

    def __init__(self, number, request, ours, theirs, about=""):
        super().__init__(about)
        self.number = number  # Of the unit.
        self.request = request
        self.ours = ours
        self.theirs = theirs


class Judge:
    """Compares the replies to units."""

    def __init__(self, differences):
        self.differences = differences
        self.compared = 0
        self.sent = collections.Counter()  # Names of commands.
        self.succeeded = set()  # Those of them that had a reply other than an error.

    def compare(self, units, ours, theirs, situation, first_number=0):
        """Raises Found at the first reply that differs. ours, theirs: all bytes."""
        owners = [(number, unit, request) for number, unit in enumerate(units, first_number)
                  for request in unit.owners()]
        if ours == theirs:
            self.compared += len(owners)
            return
        try:
            our_replies, their_replies = split(ours), split(theirs)
        except (Incomplete, ValueError) as error:
            raise Found(first_number + len(units) - 1, None, ours, theirs, str(error)) from error
        queue = None
        for at, (number, unit, request) in enumerate(owners):
            if at >= len(our_replies) or at >= len(their_replies):
                raise Found(number, request, b"".join(our_replies[at:]), b"".join(their_replies[at:]), "no reply")
            our, their = our_replies[at], their_replies[at]
            if request is None:
                continue
            where = situation | ({"several slots"} if unit.may_cross else set())
            name = request[0].upper() if request else b""
            is_end = name in (b"EXEC", b"DISCARD", b"RESET")
            if our != their and not self._are_explained(request, our, their, where, queue if is_end else None):
                raise Found(number, request, our, their)
            if name == b"MULTI" and their == b"+OK\r\n":
                queue = []
            elif is_end:
                queue = None
            elif queue is not None and their == b"+QUEUED\r\n":
                queue.append(request)
            self.compared += 1
        if len(our_replies) != len(owners) or len(their_replies) != len(owners):
            raise Found(first_number + len(units) - 1, None, b"".join(our_replies[len(owners):]),
                        b"".join(their_replies[len(owners):]), "more replies than requests")

    def _are_explained(self, request, ours, theirs, situation, queue):
        if queue and ours[:1] == theirs[:1] == b"*":
            header = b"*%d\r\n" % len(queue)
            if ours.startswith(header) and theirs.startswith(header):
                return all(our == their or self._are_explained(queued, our, their, situation, None)
                           for queued, our, their in zip(queue, split(ours[len(header):]), split(theirs[len(header):])))
        return self.differences.explanation(request, ours, theirs, situation) is not None

    def note_successes(self, units, theirs):
        owners = [request for unit in units for request in unit.owners()]
        for request, reply in zip(owners, split(theirs)):
            if request:
                name = request[0].decode("latin-1").lower()
                self.sent[name] += 1
                if reply[:1] != b"-":
                    self.succeeded.add(name)


def in_batches(units, rng):
    batches = []
    at = 0
    while at < len(units):
        size = rng.choice((1, 2, 10, 50, 200))
        batches.append(units[at:at + size])
        at += size
    return batches


def ask_all(targets, units, protocol, seed, last=None):
    """Per target, all at the same time, what it answers or the exception that it raised."""
    batches = in_batches(units, random.Random(seed))
    with concurrent.futures.ThreadPoolExecutor(len(targets)) as pool:
        asked = [pool.submit(target.run, batches, protocol, random.Random(seed), last) for target in targets]
        return [one.exception() or one.result() for one in asked]


def compare_sequence(judge, units, plain, target, protocol, seed, last=None, answers=None):
    """Raises Found. answers: what the plain server and the target answered, if they have been asked already."""
    batches = in_batches(units, random.Random(seed))
    theirs, ours = answers or ask_all([plain, target], units, protocol, seed, last)
    if isinstance(theirs, Exception):
        raise theirs
    if isinstance(ours, Lost):
        lost = ours
        raise Found(len(units) - 1, None, lost.received, b"", "%s: %s" % (target.name, lost)) from lost
    if isinstance(ours, Exception):
        raise ours
    number = 0
    for batch, our, their in zip(batches, ours, theirs):
        judge.compare(batch, our, their, target.situation, number)
        number += len(batch)
    if last is not None and ours[-1] != theirs[-1]:
        raise Found(len(units) - 1, last, repr(ours[-1]).encode(), repr(theirs[-1]).encode(), "the connection's end")


def shrink(judge, units, plain, target, protocol, seed, found):
    """The shortest sequence found that still shows a difference, and that difference."""
    best, best_found = units[:found.number + 1], found
    deadline = time.monotonic() + SHRINK_SECONDS

    def still_differs(candidate):
        nonlocal best, best_found
        try:
            compare_sequence(judge, candidate, plain, target, protocol, seed)
        except Found as again:
            best, best_found = candidate[:again.number + 1], again
            return True
        except Lost:
            pass
        return False

    size = max(1, len(best) // 2)
    while time.monotonic() < deadline:
        at = 0
        shorter = False
        while at < len(best) and time.monotonic() < deadline:
            if len(best) > 1 and still_differs(best[:at] + best[at + size:]):
                shorter = True
            else:
                at += size
        if size == 1 and not shorter:
            break
        size = max(1, size // 2)
    # Then what stands between MULTI and EXEC.
    for number in range(len(best)):
        at = 0
        while number < len(best) and at < len(best[number].requests) and time.monotonic() < deadline:
            unit = best[number]
            less = Unit(unit.requests[:at] + unit.requests[at + 1:], unit.cleanup, (), unit.may_cross, unit.is_inline)
            is_needed = unit.silent or unit.requests[at][0] in (b"MULTI", b"EXEC", b"DISCARD") or len(unit.requests) == 1
            if is_needed or not still_differs(best[:number] + [less] + best[number + 1:]):
                at += 1
    return best, best_found


def report(units, found, target, protocol, seed):
    def short(raw):
        return repr(raw[:SHOWN_MAX])[1:] + ("... (%d bytes)" % len(raw) if len(raw) > SHOWN_MAX else "")
    print("FAILED: %s, RESP%d, --only %s%s" % (target.name, protocol, seed, ": %s" % found if str(found) else ""))
    for unit in units:
        for line in repr(unit).split("\n"):
            print("    " + (line if len(line) < 400 else line[:400] + "..."))
    if found.request is not None:
        print("  replies to " + " ".join(map(shown, found.request))[:300])
    print("  plain  %s\n  ours   %s" % (short(found.theirs), short(found.ours)), flush=True)


# ---- Tests ------------------------------------------------------------------------------------------------------------


class Suite:
    def __init__(self, options, plain, targets, protocols):
        self.options = options
        self.plain = plain
        self.targets = targets
        self.protocols = protocols
        self.differences = Differences()
        self.judge = Judge(self.differences)
        self.rules = read_grammar()
        self.failed = 0
        self.passed = 0

    def fail(self, text):
        self.failed += 1
        print("FAILED: " + text, flush=True)

    def payloads(self):
        """What DUMP and FUNCTION DUMP answer, for RESTORE."""
        fill = [[b"SET", b"a", b"text"], [b"SET", b"b", b"17"], [b"RPUSH", b"c", b"a", b"2"], [b"SADD", b"d", b"1", b"2"],
                [b"ZADD", b"e", b"1.5", b"m1"], [b"HSET", b"f", b"f1", b"v"], [b"XADD", b"g", b"1-1", b"f", b"v"],
                [b"PFADD", b"h", b"m"], [b"FUNCTION", b"LOAD", LIBRARIES["one"].encode()]]
        asked = [[b"DUMP", key] for key in b"a b c d e f g h".split()] + [[b"FUNCTION", b"DUMP"]]
        raw = self.plain.run([[Unit(fill)], [Unit(asked)]], 2, random.Random(0))[1]
        dumps = [parse(reply)[1] for reply in split(raw)]
        return dumps[:-1], dumps[-1:]

    def check_grammar(self, commands):
        """Every command of the server is in the grammar, or differences.yaml says why not."""
        known = {rule.name for rule in self.rules} | {"multi", "quit", "client|reply"} | \
            {"%s|%s" % (rule.name, rule.second_word) for rule in self.rules if rule.second_word}
        for name in commands:
            sent = name in known
            explained = any(name == one or name.startswith(one + "|") for one in self.differences.not_sent)
            if sent == explained:
                self.fail("%s is %s, and differences.yaml %s" % (
                    name, "sent" if sent else "not sent", "says why not" if explained else "does not say why"))
            else:
                self.passed += 1

    def check_document(self):
        if document.read() == document.renewed(document.read()):
            self.passed += 1
        else:
            self.fail("docs/compatibility.md is not up to date: run tests/differential/document.py")

    def check_examples(self):
        """Each entry of the table is needed: without it, its example would fail."""
        for entry in self.differences.entries:
            protocol = entry.protocol or 2
            if protocol not in self.protocols:
                continue
            units = [Unit([[_bytes(word) for word in request]], may_cross=entry.when == "several slots")
                     for request in entry.example]
            end = Unit([[b"DISCARD"]])  # Of a MULTI, or an error.
            target = self.targets[-1]
            for _ in range(EXAMPLE_ATTEMPTS):
                theirs, ours = (split(one.run([units + [end]], protocol, random.Random(0), whole=True)[0])[-2]
                                for one in (self.plain, target))
                if ours != theirs:
                    break
            situation = target.situation | {entry.when}
            if ours == theirs and not entry.is_certain:
                self.passed += 1
            elif ours == theirs:
                self.fail("no difference is shown by the example of %s: %r" % (entry.commands, ours[:300]))
            elif not (entry.is_about(units[-1].requests[-1], situation) and
                      entry.explains(units[-1].requests[-1], ours, theirs)):
                self.fail("%s: does not explain its example:\n  plain  %r\n  ours   %r" % (
                    entry.commands, theirs[:300], ours[:300]))
            else:
                self.passed += 1

    def check_random(self):
        rng = random.Random(self.options.seed)
        payloads = self.payloads()
        deadline = time.monotonic() + self.options.seconds
        number = 0
        shown_count = 0
        most = 1 if self.options.only is not None else self.options.sequences
        while number < most if most else time.monotonic() < deadline:
            seed = self.options.only if self.options.only is not None else rng.getrandbits(32)
            protocol = self.protocols[seed % len(self.protocols)]
            maker_rng = random.Random(seed)
            maker = SequenceMaker(maker_rng, self.rules, Arguments(maker_rng, "t%d" % (seed % 1000), *payloads), protocol)
            units = maker.sequence(UNITS_PER_SEQUENCE)
            last = [b"QUIT"] if seed % 4 == 0 else None
            theirs, *ours = ask_all([self.plain] + self.targets, units, protocol, seed, last)
            if isinstance(theirs, Exception):
                raise theirs
            for batch, their in zip(in_batches(units, random.Random(seed)), theirs):
                self.judge.note_successes(batch, their)
            for target, our in zip(self.targets, ours):
                try:
                    compare_sequence(self.judge, units, self.plain, target, protocol, seed, last, (theirs, our))
                except Found as found:
                    self.failed += 1
                    report(*shrink(self.judge, units, self.plain, target, protocol, seed, found), target, protocol, seed)
                    shown_count += 1
            number += 1
            if shown_count >= DIFFERENCES_SHOWN_MAX:
                print("Enough differences.")
                break
        self.passed += self.judge.compared
        print("%d sequences of %d units" % (number, UNITS_PER_SEQUENCE))

    def check_successes(self, commands):
        """A generator whose requests all fail would prove little."""
        for name in commands:
            if self.judge.sent[name] > SENT_ENOUGH and name not in self.judge.succeeded:
                self.fail("no %s has succeeded" % name.upper())


def _bytes(word):
    return word if isinstance(word, bytes) else str(word).encode()


def names_of_commands(server):
    with server.client() as client:
        return [name.decode() for name in client.call("COMMAND", "LIST")
                if not (name == name.lower() and b"|" not in name and _has_subcommands(client, name))]


def _has_subcommands(client, name):
    info = client.call("COMMAND", "INFO", name)[0]
    return bool(info[9]) and name != b"command"


def speaks_resp3(proxy):
    with proxy.client() as client:
        return isinstance(client.call("HELLO", "3"), dict)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pikaproxy", required=True, help="the program")
    parser.add_argument("--seconds", type=float, default=40, help="how long random sequences are tried")
    parser.add_argument("--sequences", type=int, help="how many are tried, however long it takes")
    parser.add_argument("--only", type=int, help="only the sequence of this seed, which a failure names")
    parser.add_argument("--protocol", type=int, choices=(2, 3), help="only this one")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    options = parser.parse_args()
    print("seed %d" % options.seed, flush=True)

    servers = []
    try:
        for _ in range(5):
            servers.append(RedisServer(*SERVER_OPTIONS))
        with PikaProxy(options.pikaproxy, servers[1:2]) as one, PikaProxy(options.pikaproxy, servers[2:5]) as three:
            for proxy in (one, three):
                proxy.wait_for_servers()
            plain = Target("redis-server", ("127.0.0.1", servers[0].port), set())
            targets = [Target("one group", ("127.0.0.1", one.port), set()),
                       Target("three groups", ("127.0.0.1", three.port), {"three groups"})]
            protocols = [options.protocol] if options.protocol else [2, 3] if speaks_resp3(one) else [2]
            suite = Suite(options, plain, targets, protocols)
            commands = names_of_commands(servers[0])
            suite.check_grammar(commands)
            suite.check_document()
            suite.check_examples()
            suite.check_random()
            suite.check_successes(commands)
    finally:
        for server in servers:
            server.stop()
    print("%d passed, %d failed" % (suite.passed, suite.failed))
    return 1 if suite.failed else 0


if __name__ == "__main__":
    sys.exit(main())
