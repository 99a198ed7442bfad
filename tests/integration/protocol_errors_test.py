#!/usr/bin/env python3
"""Malformed and odd requests get the answers a redis-server gives, and never reach a server as they are.

    protocol_errors_test.py --pikaproxy build/dev/pikaproxy [--seed N] [names of tests]

Each case is sent to a redis-server and to the proxy, once alone and once with a valid request behind it, which is
answered if the connection is still in order. Where the proxy differs on purpose the case says what it answers and
why; a difference that is gone is a failure too.
"""

import socket
import sys

from checks import Background, keys_of_group, run_tests
from fake_server import FakeServer
from resp import encode
from servers import PikaProxy, RedisServer

PROBE = encode("ECHO", "still here")
PROBE_REPLY = b"$10\r\nstill here\r\n"
TIMEOUT_S = 20
BY_BYTE_MAX = 300  # Longer cases are not sent byte by byte.
MUTATIONS = 400

EARLIER = "an error is reported before the rest of the line is there"
CRLF = "the proxy checks the line end behind each argument, since servers get these bytes as they are"
LINE_FEED = "the proxy wants CR LF behind a length; Redis takes any byte for the LF"
NUL_ENDS = "Redis' string functions stop at a NUL byte"


class Case:
    """`ours`: what the proxy answers, where it differs from Redis: alone, and with the probe behind it. `alone`: a
    probe would become a part of the request, which says nothing. `by_byte`: the pieces make no difference."""

    def __init__(self, name, raw, ours=None, why=None, alone=False, by_byte=True):
        self.name = name
        self.raw = raw
        self.ours = ours
        self.why = why
        self.alone = alone
        self.by_byte = by_byte


def protocol_error(text):
    return b"-ERR Protocol error: " + text + b"\r\n"


BAD_ARRAY = protocol_error(b"invalid multibulk length")
BAD_BULK = protocol_error(b"invalid bulk length")
BAD_NUL = protocol_error(b"NUL byte in inline request")
BAD_END = protocol_error(b"expected CRLF after bulk string")


def closed_with(reply):
    """The same whether a valid request follows or not: it is never read."""
    return reply, reply


def array_cases():
    rest = b"$4\r\nPING\r\n"
    for count in (b"", b"x", b"1x", b"x1", b"1 ", b" 1", b"+1", b"01", b"00", b"-0", b"--1", b"-", b"1.0", b"1e0",
                  b"0x1", b"*1", b"1*", b"$1", b"2147483648", b"9223372036854775807", b"9223372036854775808",
                  b"-9223372036854775809", b"18446744073709551617", b"9" * 40, b"\xff", b"1\t", b"1_0", b"NaN"):
        yield Case("array length %r" % count, b"*" + count + b"\r\n" + rest)
    for count in (b"0", b"-1", b"-2", b"-1000000"):
        yield Case("array length %r asks for nothing" % count, b"*" + count + b"\r\n" + rest)
    yield Case("the longest number Redis reads", b"*-1000000000000000000\r\n" + rest, closed_with(BAD_ARRAY),
               "a number of 19 digits is no length")
    yield Case("the largest array", b"*1048576\r\n")
    for count in (1048577, 2147483647):
        yield Case("array of %d" % count, b"*%d\r\n" % count, closed_with(BAD_ARRAY),
                   "more than 1048576 arguments, which was Redis' bound until 6.2")
    yield Case("array length without line end", b"*1")
    yield Case("only an asterisk", b"*")
    yield Case("array length ends with LF", b"*1\n$4\r\nPING\r\n")
    yield Case("array length ends with CR x", b"*1\rx$4\r\nPING\r\n", closed_with(BAD_ARRAY), LINE_FEED)
    yield Case("array length ends with CR CR LF", b"*1\r\r\n$4\r\nPING\r\n", closed_with(BAD_ARRAY), LINE_FEED)
    yield Case("array length with NUL", b"*1\0\r\n$4\r\nPING\r\n", closed_with(BAD_ARRAY), NUL_ENDS)
    yield Case("array of letters without a line end", b"*abc", closed_with(BAD_ARRAY), EARLIER)
    yield Case("an endless array length", b"*" + b"1" * 70000, closed_with(BAD_ARRAY),
               "Redis reads 64 KiB first and then calls it too big")


def bulk_cases():
    for length in (b"", b"x", b"4x", b"x4", b"4 ", b" 4", b"+4", b"04", b"-0", b"--4", b"-", b"4.0", b"0x4", b"4e0",
                   b"-1", b"-4", b"-2147483648", b"536870913", b"4294967300", b"9223372036854775807",
                   b"9223372036854775808", b"18446744073709551620", b"9" * 40, b"$4", b"*4", b"\xff", b"4\t"):
        yield Case("bulk length %r" % length, b"*1\r\n$" + length + b"\r\nPING\r\n")
        yield Case("second bulk length %r" % length, b"*2\r\n$3\r\nGET\r\n$" + length + b"\r\nabcd\r\n")
    yield Case("the longest bulk string", b"*2\r\n$3\r\nGET\r\n$536870912\r\nabc")
    yield Case("bulk length without line end", b"*1\r\n$4")
    yield Case("bulk length ends with LF", b"*1\r\n$4\nPING\r\n")
    yield Case("bulk length ends with CR x", b"*1\r\n$4\rxPING\r\n", closed_with(BAD_BULK), LINE_FEED)
    yield Case("bulk length with NUL", b"*1\r\n$4\0\r\nPING\r\n", closed_with(BAD_BULK), NUL_ENDS)
    yield Case("an endless bulk length", b"*1\r\n$" + b"1" * 70000, closed_with(BAD_BULK),
               "Redis reads 64 KiB first and then calls it too big")
    for kind in b":+-*_#,(%~>!=|PpO ":
        yield Case("an argument that begins with %r" % chr(kind), b"*1\r\n%c4\r\nPING\r\n" % kind)
        yield Case("a second argument that begins with %r" % chr(kind), b"*2\r\n$4\r\nPING\r\n%c4\r\nabcd\r\n" % kind)
    for byte, why in ((b"\r", None), (b"\n", None), (b"\x01", None), (b"\x7f", None), (b"\xff", None),
                      (b"\0", NUL_ENDS)):
        yield Case("an argument that begins with byte %r" % byte, b"*1\r\n" + byte + b"4\r\nPING\r\n",
                   closed_with(protocol_error(b"expected '$', got '?'")),
                   why or "the proxy does not repeat what cannot be shown")
    yield Case("an argument's type without a line end", b"*1\r\n:",
               closed_with(protocol_error(b"expected '$', got ':'")), EARLIER)


def end_cases():
    for name, raw in (
            ("argument longer than its length", b"*1\r\n$4\r\nPINGG\r\n"),
            ("argument shorter than its length", b"*1\r\n$5\r\nPING\r\n\r\n"),
            ("argument without line end", b"*2\r\n$4\r\nECHO$1\r\na\r\n"),
            ("argument followed by LF LF", b"*1\r\n$4\r\nPING\n\n"),
            ("argument followed by CR CR", b"*1\r\n$4\r\nPING\r\r"),
            ("argument followed by LF CR", b"*1\r\n$4\r\nPING\n\r"),
            ("argument followed by xx", b"*1\r\n$4\r\nPINGxx"),
            ("argument followed by NUL NUL", b"*1\r\n$4\r\nPING\0\0"),
            ("empty argument that is not empty", b"*2\r\n$4\r\nECHO\r\n$0\r\nx\r\n")):
        yield Case(name, raw, closed_with(BAD_END), CRLF)
    yield Case("the second argument does not end", b"*3\r\n$3\r\nSET\r\n$1\r\nkk\r\n$1\r\nv\r\n",
               closed_with(BAD_END), CRLF)
    request = encode("SET", "key", "value")
    for size in range(1, len(request)):
        yield Case("the first %d bytes of a request" % size, request[:size], alone=True)


def nothing_cases():
    for raw in (b"", b"\r\n", b"\n", b"\r", b"\r\r\n", b"  \r\n", b"\t\n", b"\r\n\r\n\r\n", b"*0\r\n*0\r\n",
                b"*-1\r\n\r\n*0\r\n"):
        yield Case("nothing: %r" % raw, raw)


def valid_cases():
    yield Case("PING", encode("PING"))
    yield Case("a name in mixed case", encode("pInG"))
    yield Case("binary arguments", encode("ECHO", b"\0\r\n\xff*1\r\n$4\r\nPING\r\n"))
    yield Case("binary keys and values", encode("SET", b"\0\r\n", b"\r\n$3\r\n\0") + encode("GET", b"\0\r\n"))
    yield Case("empty key and value", encode("SET", "", "") + encode("GET", ""))
    yield Case("a long value", encode("SET", "k", b"x" * 100000) + encode("STRLEN", "k"))
    yield Case("arrays and inline requests", encode("PING") + b"PING\r\nECHO a\r\n" + encode("ECHO", "b"))
    yield Case("many arguments", encode("DEL", *["k%d" % i for i in range(2000)]))
    yield Case("QUIT and more", encode("PING") + encode("QUIT") + encode("PING"))
    yield Case("replies before the error", encode("SET", "k", "v") + encode("GET", "k") + b"*x\r\n" + encode("PING"))
    yield Case("an inline error after replies", encode("PING") + b"GET \"k\r\n" + encode("PING"))
    yield Case("an error in the second argument after replies",
               encode("INCR", "n") + b"*2\r\n$4\r\nINCR\r\n:n\r\n" + encode("INCR", "n"))


def refused_cases():
    yield Case("an empty name", encode(""))
    yield Case("an empty name with arguments", encode("", "a", ""))
    yield Case("an unknown name", encode("NOSUCH"))
    yield Case("an unknown name with arguments", encode("NOSUCH", "a", "b c", ""))
    yield Case("an unknown name with line ends", encode("NO\r\nSUCH", "a\r\nb"))
    yield Case("an unknown name with quotes", encode("NO'SUCH", "a'b"))
    yield Case("an unknown long name", encode("N" * 300, "a" * 300))
    yield Case("an unknown name with many arguments", encode("NOSUCH", *["argument-%d" % i for i in range(50)]))
    yield Case("an unknown name of a million bytes", encode("N" * 1000000))
    yield Case("an unknown name with NUL", encode(b"NO\0SUCH", b"a\0b"))
    yield Case("a name with a space", encode("GET a"))
    yield Case("a name with line ends", encode("PING\r\n"))
    for words in (["GET"], ["GET", "a", "b"], ["SET", "a"], ["MSET", "a"], ["MSET", "a", "b", "c"], ["MGET"], ["DEL"],
                  ["ECHO"], ["PING", "a", "b"], ["SELECT"], ["SELECT", "x"], ["SELECT", "-1"], ["SELECT", "16"],
                  ["SELECT", ""], ["SELECT", "99999999999999999999"], ["CLIENT", "NOSUCH"], ["OBJECT", "NOSUCH"],
                  ["CONFIG"], ["CLIENT"], ["EXPIRE", "a", "x"], ["SET", "a", "b", "NOSUCH"], ["EVAL", "return 1"],
                  ["EVAL", "return 1", "x"], ["EVAL", "return 1", "-1"], ["EVAL", "return 1", "2", "a"],
                  ["SCAN", "x"], ["SCAN"], ["HELLO", "x"], ["HELLO", "1"], ["AUTH"], ["AUTH", "a"],
                  ["AUTH", "a", "b", "c"]):
        yield Case("refused: %s" % " ".join(words), encode(*words))


# HELLO is not among them: ids and versions differ.
INLINE_LINES = rb"""
PING
ping
ECHO a
ECHO ""
ECHO ''
ECHO "a b"
ECHO 'a b'
ECHO "\x41\x7a\xFf"
ECHO "\x4"
ECHO "\xzz"
ECHO "\x00"
ECHO "a\x0d\x0ab"
ECHO "\n\r\t\b\a\\\"\q"
ECHO 'it\'s'
ECHO 'a\nb'
ECHO a\nb
ECHO a"b"
ECHO a'b c'
ECHO "it's"
ECHO 'a"b'
"ECHO" a
""
'' a
ECHO "a
ECHO 'a
ECHO "a"b
ECHO 'a'b
ECHO "a""b"
ECHO "
ECHO '
ECHO "a\"
ECHO 'a\'
ECHO a"
ECHO "\
SET "a b" "c\r\nd"
NOSUCH a b
GET
#
$4
:1
+OK
-ERR
%1
>1
_
GET / HTTP/1.1
OPTIONS * HTTP/1.0
POST / HTTP/1.1
Host: localhost
host: x
post
"""[1:-1].split(b"\n") + [b"  PING  ", b"\tPING\t", b"PING\r", b"PING\r\r", b"ECHO\ta", b"ECHO\va", b"ECHO a\vb",
                         b"ECHO \va", b"ECHO a\fb", b"ECHO \"a\"\v", b"ECHO \xff\x80", b"ECHO\x01a", b"!" * 200]


def inline_cases():
    for line in INLINE_LINES:
        yield Case("inline %r" % line, line + b"\r\n")
        yield Case("inline %r with LF only" % line, line + b"\n")
    yield Case("an HTTP request", b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n",
               by_byte=False)  # The answer to the first line goes out before the second one ends the connection.
    yield Case("an HTTP form", b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET k v\r\n")
    yield Case("a TLS hello", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03\n",
               closed_with(BAD_NUL), NUL_ENDS)
    yield Case("inline with NUL", b"ECHO a\0b\r\n", closed_with(BAD_NUL), NUL_ENDS)
    yield Case("only NUL", b"\0\r\n", closed_with(BAD_NUL), NUL_ENDS)
    yield Case("inline without line end", b"PING")
    yield Case("an inline request of 60 000 bytes", b"ECHO " + b"a" * 60000 + b"\r\n")
    yield Case("an endless inline request", b"a" * 100000)
    yield Case("an inline request of 70 000 bytes", b"ECHO " + b"a" * 70000 + b"\r\n",
               closed_with(protocol_error(b"too big inline request")),
               "Redis' bound depends on how the bytes arrive; the proxy's is 64 KiB")


CASES = [case for cases in (array_cases, bulk_cases, end_cases, nothing_cases, valid_cases, refused_cases, inline_cases)
         for case in cases()]


def answer(port, raw, by_byte=False):
    """All that comes back until the other side closes, which it does when it has answered: we close our side."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The other side may close before it has read everything.
        sender = Background(send_and_finish, connection, raw, by_byte)
        received = []
        try:
            while True:
                data = connection.recv(65536)
                if not data:
                    break
                received.append(data)
        except ConnectionResetError:
            pass
        sender.result()
        return b"".join(received)


def send_and_finish(connection, raw, by_byte):
    try:
        if by_byte:
            for at in range(len(raw)):
                connection.sendall(raw[at:at + 1])
        else:
            connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def compare(t, cases, redis, behind, proxy, probe_reply=PROBE_REPLY):
    # Each case finds both servers empty.
    with redis.client() as control, behind.client() as control_behind:
        for client in (control, control_behind):
            client.call("AUTH", "secret")  # An error where none is needed.
        for case in cases:
            expected, got = [], []
            for raw in [case.raw] if case.alone else [case.raw, case.raw + PROBE]:
                t.equal((control.call("FLUSHALL"), control_behind.call("FLUSHALL")), ("OK", "OK"), "FLUSHALL")
                expected.append(answer(redis.port, raw))
                got.append(answer(proxy.port, raw))
                if case.by_byte and len(raw) <= BY_BYTE_MAX:
                    control_behind.call("FLUSHALL")
                    t.equal(answer(proxy.port, raw, by_byte=True), got[-1], "%s, byte by byte" % case.name)
            if case.ours is None:
                t.equal(got, expected, case.name)
            else:
                t.equal(got, list(case.ours), "%s (%s)" % (case.name, case.why))
                t.check(got != expected, "%s differs no more from Redis (%s)" % (case.name, case.why))
            if not t.equal(answer(proxy.port, PROBE), probe_reply, "%s: a new connection afterwards" % case.name):
                return


def test_as_redis(t):
    with RedisServer() as redis, RedisServer() as behind, PikaProxy(t.pikaproxy, [behind]) as proxy:
        compare(t, CASES, redis, behind, proxy)


def stranger_cases():
    yield Case("ten arguments", encode("PING", *"abcdefghi"))
    yield Case("eleven arguments", encode("PING", *"abcdefghij"))
    yield Case("eleven arguments announced", b"*11\r\n")
    yield Case("a million arguments announced", b"*1048576\r\n")
    yield Case("an argument of 16 KiB", encode("ECHO", b"x" * 16384))
    yield Case("an argument above 16 KiB", encode("ECHO", b"x" * 16385))
    yield Case("an argument of 512 MB announced", b"*2\r\n$4\r\nECHO\r\n$536870912\r\n")
    yield Case("an argument beyond all bounds announced", b"*2\r\n$4\r\nECHO\r\n$536870913\r\n")
    yield Case("not logged in", encode("GET", "k") + encode("PING") + b"GET k\r\n")
    yield Case("an unknown command", encode("NOSUCH", "a"))
    yield Case("a wrong number of arguments", encode("GET"))
    yield Case("a wrong password", encode("AUTH", "wrong") + encode("GET", "k"))
    yield Case("a wrong user", encode("AUTH", "ann", "secret") + encode("GET", "k"))
    yield Case("logging in", encode("AUTH", "secret") + encode("SET", "k", "v") + encode("GET", "k"))
    yield Case("logging in by name", encode("AUTH", "default", "secret") + encode("SET", "k", "v"))
    yield Case("logging in inline", b"AUTH secret\r\nGET k\r\n")
    yield Case("bounds end with the login", encode("AUTH", "secret") + encode("DEL", *"abcdefghijklmnop")
               + encode("SET", "k", b"x" * 20000))
    yield Case("a failed login does not log out", encode("AUTH", "secret") + encode("AUTH", "wrong")
               + encode("GET", "k"))


def test_strangers(t):
    options = {"auth.password": "secret"}
    with RedisServer("--requirepass", "secret") as redis, RedisServer() as behind:
        with PikaProxy(t.pikaproxy, [behind], options) as proxy:
            compare(t, stranger_cases(), redis, behind, proxy, b"-NOAUTH Authentication required.\r\n")


class StrictServer(FakeServer):
    """Accepts what is a request in every byte, and keeps what is not in `violations`."""

    def __init__(self):
        self.violations = []
        super().__init__()

    def _serve(self, connection):
        reader = connection.socket.makefile("rb")
        raw = b""
        try:
            while True:
                raw = b""
                line = raw = reader.readline()
                if not line:
                    return
                args = []
                for _ in range(self.number(line, b"*", 1)):
                    line = reader.readline()
                    raw += line
                    size = self.number(line, b"$", 0)
                    argument = reader.read(size + 2)
                    raw += argument
                    if argument[size:] != b"\r\n":
                        raise ValueError("no CR LF behind an argument")
                    args.append(argument[:size])
                self.seen.append(args)
                connection.send(self.healthy(args))
        except ValueError as error:
            self.violations.append((str(error), raw))
            connection.close()
        except OSError:
            pass

    @staticmethod
    def number(line, kind, smallest):
        digits = line[1:-2]
        if line[:1] != kind or line[-2:] != b"\r\n" or not digits.isdigit() or str(int(digits)).encode() != digits:
            raise ValueError("not a length after %r: %r" % (kind, line))
        if int(digits) < smallest:
            raise ValueError("too small: %r" % line)
        return int(digits)


def mutated(rng):
    """A few valid requests over both groups, then damaged a little."""
    keys = [key for group in range(2) for key in keys_of_group(group, 2, 3)]
    raw = b""
    for _ in range(rng.randint(1, 4)):
        kind = rng.randrange(5)
        if kind == 0:
            raw += encode("SET", rng.choice(keys), rng.randbytes(rng.choice((0, 1, 20, 20000))))
        elif kind == 1:
            raw += encode("MGET", *rng.choices(keys, k=rng.randint(1, 6)))
        elif kind == 2:
            raw += b'SET %s "a\\r\\n\\x00 b"\r\n' % rng.choice(keys).encode()
        else:
            raw += encode("GET", rng.choice(keys))
    damaged = bytearray(raw)
    for _ in range(rng.randint(0, 3)):
        if len(damaged) < 4:
            break
        at = rng.randrange(len(damaged))
        kind = rng.randrange(4)
        if kind == 0:
            damaged[at] = rng.choice(b"\r\n*$-+0159 \"\0\xff")
        elif kind == 1:
            damaged[at:at] = bytes([rng.choice(b"\r\n*$-+0159 \"\0\xff")])
        elif kind == 2:
            del damaged[at:at + rng.randint(1, 3)]
        else:
            del damaged[max(1, at):]
    return bytes(damaged)


def test_servers_get_requests_only(t):
    rng = t.rng()
    with StrictServer() as first, StrictServer() as second:
        with PikaProxy(t.pikaproxy, [first, second]) as proxy:
            for case in CASES:
                answer(proxy.port, case.raw)
                if len(case.raw) <= BY_BYTE_MAX:
                    answer(proxy.port, case.raw, by_byte=True)
            for _ in range(MUTATIONS):
                raw = mutated(rng)
                answer(proxy.port, raw)
                if len(raw) <= BY_BYTE_MAX:
                    answer(proxy.port, raw, by_byte=True)
            t.equal(answer(proxy.port, PROBE), PROBE_REPLY, "a new connection afterwards")
        for server in (first, second):
            t.equal(server.violations, [], "what a server got beside requests")
            t.check(len(server.seen) > MUTATIONS, "a server got requests", "only %d" % len(server.seen))


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
