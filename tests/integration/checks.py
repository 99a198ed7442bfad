"""What the integration tests have in common: the way a test file runs and reports, and keys by group.

    def test_echo(t):
        with PikaProxy(t.pikaproxy, [server]) as proxy, proxy.client() as client:
            t.equal(client.call("ECHO", "a"), b"a", "ECHO a")

    if __name__ == "__main__":
        sys.exit(run_tests(__doc__))

A file takes --pikaproxy PATH, --seed N and names of tests (all without names), prints what fails and ends with
"N passed, N failed".
"""

import argparse
import random
import re
import sys
import threading
import time
import traceback
import zlib

SLOTS = 1024
SHOWN_MAX = 600  # Characters of a value in a failure.


class Tests:
    """Counts checks. Also holds what the command line said."""

    def __init__(self, pikaproxy, seed):
        self.pikaproxy = pikaproxy
        self.seed = seed
        self.passed = 0
        self.failed = 0
        self.test = ""

    def check(self, ok, what, *details):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            print("FAILED: %s: %s%s" % (self.test, what,
                                        "".join("\n    %s" % shorten(detail) for detail in details)), flush=True)
        return bool(ok)

    def equal(self, got, expected, what):
        return self.check(got == expected, what, "expected %r" % (expected,), "got      %r" % (got,))

    def error(self, got, pattern, what):
        """`got` must be an error reply that matches (from its start)."""
        from resp import RespError
        return self.check(isinstance(got, RespError) and re.match(pattern, got, re.S), what,
                          "expected an error like %s" % pattern, "got      %r" % (got,))

    def note(self, text):
        print("%s: %s" % (self.test, text), flush=True)

    def rng(self):
        """The same sequence for the same test and seed, whatever else runs."""
        return self.rng_of("")

    def rng_of(self, part):
        """The same for a part of a test, of a thread for instance."""
        return random.Random(("%d %s %s" % (self.seed, self.test, part)).rstrip())


def shorten(text):
    text = str(text)
    return text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "... (%d characters)" % len(text)


def tests_of_main():
    """All test_* functions of the file that was started, by their names without test_, in the order of definition."""
    return {name[len("test_"):]: test for name, test in vars(sys.modules["__main__"]).items()
            if name.startswith("test_")}


def run_tests(doc):
    """The main() of a test file; the exit code."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pikaproxy", required=True, help="the binary to test")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--times", action="store_true", help="print how long each test takes")
    parser.add_argument("names", nargs="*", help="tests to run, without their test_")
    options = parser.parse_args()
    print("seed %d" % options.seed, flush=True)
    t = Tests(options.pikaproxy, options.seed)
    known = tests_of_main()
    for name in options.names or known:
        t.test = name
        start = time.monotonic()
        try:
            known[name](t)
        except Exception:  # A test that cannot go on has failed; the others still run.
            t.check(False, "ended early", traceback.format_exc()[-4 * SHOWN_MAX:][-SHOWN_MAX:])
        if options.times:
            print("%s: %.1f s" % (name, time.monotonic() - start), flush=True)
    print("%d passed, %d failed" % (t.passed, t.failed))
    return 1 if t.failed else 0


def slot_of(key):
    """The slot of a key (str or bytes): CRC-32 of its hash part, mod 1024."""
    if isinstance(key, str):
        key = key.encode()
    start = key.find(b"{")
    end = key.find(b"}", start + 1)
    return zlib.crc32(key[start + 1:end] if start >= 0 and end >= 0 else key) % SLOTS


def keys_of_group(group, groups, count, prefix="k"):
    """`count` keys that lie in group number `group` of `groups` that share the slots evenly."""
    first, last = slots_of_group(group, groups)
    found = []
    number = 0
    while len(found) < count:
        key = "%s%d" % (prefix, number)
        if first <= slot_of(key) <= last:
            found.append(key)
        number += 1
    return found


def group_of(key, groups):
    """The number of the group that serves the key."""
    return next(group for group in range(groups) if slot_of(key) <= slots_of_group(group, groups)[1])


def slots_of_group(group, groups):
    """First and last slot."""
    return group * SLOTS // groups, (group + 1) * SLOTS // groups - 1


def read_raw(reader):
    """One reply exactly as it came."""
    line = reader.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionError("the connection was closed after %r" % line)
    kind = line[:1]
    if kind in b"$=!":
        size = int(line[1:])
        if size < 0:
            return line
        body = reader.read(size + 2)
        if len(body) != size + 2:
            raise ConnectionError("the connection was closed inside a bulk string")
        return line + body
    if kind in b"*~>":
        return line + b"".join(read_raw(reader) for _ in range(max(0, int(line[1:]))))
    if kind in b"%|":  # Of a map keys and values; an attribute's are followed by what it describes.
        return line + b"".join(read_raw(reader) for _ in range(2 * int(line[1:]) + (kind == b"|")))
    if kind in b"+-:_#,(":
        return line
    raise ValueError("not a reply: %r" % line)


class Background:
    """Runs work in a thread; result() waits for it and hands on what it returned or raised."""

    def __init__(self, work, *args):
        self._work = work
        self._args = args
        self._value = None
        self._error = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self._value = self._work(*self._args)
        except BaseException as error:  # Handed on by result().
            self._error = error

    def is_running(self):
        return self._thread.is_alive()

    def result(self, timeout_s=60):
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise TimeoutError("still not done after %g s" % timeout_s)
        if self._error is not None:
            raise self._error
        return self._value


def pipeline(client, raw, count, read=None):
    """Sends `raw`, which asks for `count` replies, while it reads them: nothing can fill up. `read` reads one
    reply from the client's reader (default: as raw bytes)."""
    sender = Background(client.send_bytes, raw)
    replies = [read_raw(client.reader) if read is None else read() for _ in range(count)]
    sender.result()
    return replies
