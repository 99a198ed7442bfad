"""Makes up arguments: one function for each lower-case word of grammar.txt.

Values stay small or far too large: what lies between would only cost memory (SETBIT k 4000000000 1), and times are
far away or past, so that no reply depends on how fast the test runs.
"""

import hashlib

FAR_S = 4_102_444_800  # The year 2100.
KEYS_PER_TYPE = 3
DATABASES = 16
TYPES = ("string", "big", "bitmap", "hash", "list", "set", "zset", "stream", "geo", "hll")
REDIS_TYPES = ("string", "hash", "list", "set", "zset", "stream", "nosuch")

SCRIPTS = [
    "return 1", "return ARGV", "return KEYS", "return {1,{2,'three'},false,4.9,nil,5}", "return redis.call('PING')",
    "return redis.call('GET',KEYS[1])", "return redis.call('SET',KEYS[1],ARGV[1])", "return redis.pcall('HGET',KEYS[1],'a')",
    "return redis.call('HGET',KEYS[1])", "return redis.error_reply('MINE of mine')", "return redis.status_reply('FINE')",
    "return {err='ERR a table'}", "return true", "return false", "return (", "return nosuch.thing", "error('raised')",
    "return redis.call('NOSUCH')", "return redis.sha1hex(ARGV[1] or '')", "return tostring(redis.call('TYPE',KEYS[1]).ok)",
    "redis.setresp(3) return redis.call('HGETALL',KEYS[1])", "return cjson.encode({KEYS[1],#ARGV})",
    "#!lua flags=no-writes\nreturn redis.call('SET',KEYS[1],'x')", "#!lua\nreturn redis.call('STRLEN',KEYS[1])",
    "return redis.call('INCRBY',KEYS[1],ARGV[1])", "return {redis.call('EXISTS',KEYS[1]),redis.call('DEL',KEYS[1])}",
    "return string.rep('x',1000)", "return {double=3.5}", "return {map={a=1}}", "return -7.9", "return ''",
]
LIBRARIES = {
    "one": "#!lua name=one\nredis.register_function('first', function(keys, args) return {keys[1], args[1]} end)",
    "two": "#!lua name=two\nredis.register_function{function_name='reads', callback=function(keys) "
           "return redis.call('EXISTS', keys[1]) end, flags={'no-writes'}}",
    "three": "#!lua name=three\nredis.register_function('sets', function(keys, args) "
             "return redis.call('SET', keys[1], args[1] or 'none') end)",
    "bad": "#!lua name=bad\nreturn (", "nameless": "redis.register_function('x', 1)", "empty": "#!lua name=empty\nreturn 1",
}
FUNCTIONS = ("first", "reads", "sets", "nosuch")
COMMAND_NAMES = ("get", "GET", "set", "xadd", "bitop", "nosuch", "zrange", "sort", "config|get", "eval", "")

# What is no valid argument almost anywhere. Nothing here is a number that a server would wait, loop or allocate for.
HOSTILE = (b"", b"x", b"-1", b"0", b"1.5", b"1e400", b"nan", b"-inf", b"+5", b" 1", b"01", b"1 ", b"0x10",
           b"9223372036854775807", b"9223372036854775808", b"-9223372036854775808", b"18446744073709551616",
           b"99999999999999999999999", b"\r\n", b"\x00", b"\xff\xfe$5\r\n", b"*1\r\n$4\r\nPING\r\n", b"{", b"{}", b"COUNT",
           b"WITHSCORES", b"STORE", b"GET", b"KEEPTTL", b"LIMIT", b"A" * 300, b"%s%n", b"'\"\\")
# Also where a number is a time to wait.
HOSTILE_TIMEOUTS = (b"", b"x", b"-1", b"1.x", b"\x00\xff", b"\r\n", b"99999999999999999999")
# A server loops this often.
HOSTILE_COUNTS = tuple(word for word in HOSTILE if b"922337" not in word)

_VALUES = (b"", b"\r\n$5\r\n\x00\xff", b"\xf0\x9f\x8d\x8e", b"10", b"-3", b"3.5", b"a" * 20, b"b" * 70)


class Arguments:
    """rng decides everything. Keys are {tag}type0 ..., or type0 ... without a tag while `is_free`. payloads: of DUMP."""

    def __init__(self, rng, tag, payloads=(), function_payloads=()):
        self.rng = rng
        self.tag = tag
        self.is_free = False
        self.is_queued = False  # Requests are for a transaction.
        self.is_odd = False  # The request counts its keys wrongly.
        self.key_type = "string"
        self.payloads = list(payloads)
        self.function_payloads = list(function_payloads)
        self.last_id = 1
        self.keys = []  # Those made since the list was emptied last.

    def make(self, word):
        """The arguments, as a list of bytes, that a word of the grammar stands for."""
        made = getattr(self, word)()
        return [one if isinstance(one, bytes) else str(one).encode() for one in
                (made if isinstance(made, list) else [made])]

    def _one_of(self, *choices):
        return self.rng.choice(choices)

    def _name(self, prefix, count=8):
        return "%s%d" % (prefix, self.rng.randrange(count))

    # ---- Keys

    def key(self):
        name = self._name(self.key_type, KEYS_PER_TYPE)
        if self.rng.random() < 0.01:
            name = self._one_of("", "a\r\nb", "\x00", "*", "k" * 200)
        key = name if self.is_free else "{%s}%s" % (self.tag, name)
        self.keys.append(key.encode())
        return key

    def numkeys(self):
        keys = [self.key() for _ in range(self.rng.randrange(1, 4))]
        self.is_odd = not self.is_queued and self.rng.random() < 0.03
        return [self._one_of(0, 1, 5, -1, "x") if self.is_odd else len(keys)] + keys

    def streams(self):
        keys = [self.key() for _ in range(self._one_of(1, 1, 2))]
        return ["STREAMS"] + keys + [self._one_of("0", "$", self.id()) for _ in keys]

    def groupstreams(self):
        keys = [self.key() for _ in range(self._one_of(1, 1, 2))]
        return ["STREAMS"] + keys + [self._one_of(">", ">", "0", self.id()) for _ in keys]

    def sortby(self):
        return self._one_of("nosort", "{%s}string*" % self.tag, "{%s}hash*->f1" % self.tag, "string*")

    def sortget(self):
        return self._one_of("#", "{%s}string*" % self.tag, "{%s}hash*->f1" % self.tag, "hash*->f1")

    # ---- Values

    def value(self):
        return self.rng.choice(_VALUES) if self.rng.random() < 0.2 else self._name("value", 50)

    def bigvalue(self):
        return self._one_of(b"x", b"y", b"z") * self._one_of(1, 1000, 17_000, 66_000, 150_000)

    def member(self):
        return self._name("m", 12)

    def field(self):
        return self._name("f", 12)

    def number(self):
        return self.rng.randrange(-20, 40)

    def payload(self):
        if not self.payloads or self.rng.random() < 0.1:
            return b"no payload"
        payload = self.rng.choice(self.payloads)
        return payload if self.rng.random() < 0.9 else payload[:-1] + bytes([payload[-1] ^ 1])

    # ---- Numbers

    def int(self):
        return self._one_of(0, 1, -1, 5, 100, -77, 2**31, 2**62, -(2**62)) if self.rng.random() < 0.3 else self.number()

    def smallint(self):
        return self.rng.randrange(-3, 6)

    def index(self):
        return self._one_of(0, -1, 1, 2, 5, -3, 100, -100)

    def count(self):
        return self._one_of(0, 1, 2, 3, 10, 1000)

    def manycount(self):
        return self._one_of(1, 10, 10_000)

    def float(self):
        return self._one_of("0", "1.5", "-2.25", "3e2", "0.1", "100", "-0.001", "3.0e-5", "1e15", "7")

    def offset(self):
        return self._one_of(0, 1, 5, 40, 2**40)

    def bigoffset(self):
        return self._one_of(0, 1000, 70_000, 2**33)

    def bit(self):
        return self._one_of(0, 1, 7, 8, 100, 511, 2**32)

    def bits(self):
        return self._one_of("u1", "u8", "i8", "i5", "u16", "i64", "u63", "u64", "i0", "x8")

    def fieldbit(self):
        return self._one_of("0", "8", "#1", "#3", "100", "-1")

    def score(self):
        return self.float() if self.rng.random() < 0.6 else self._one_of(1, 2, 2, 3, "inf", "-inf")

    def longitude(self):
        return "%.4f" % self.rng.uniform(-181, 181)

    def latitude(self):
        return "%.4f" % self.rng.uniform(-86, 86)

    def radius(self):
        return self._one_of(0, 1, 500, "2000.5", 20_000)

    def unit(self):
        return self._one_of("m", "km", "ft", "mi", "KM", "parsec")

    def weights(self):
        return ["WEIGHTS"] + [self.float() for _ in range(self._one_of(1, 2, 2, 3))]

    # ---- Ranges

    def to(self):
        return self._one_of("+inf", "5", "(5", "100", "-2")

    def lexfrom(self):
        return self._one_of("-", "-", "[" + self.member(), "(" + self.member(), "m")

    def lexto(self):
        return self._one_of("+", "+", "[" + self.member(), "(" + self.member(), "")

    def pattern(self):
        return self._one_of("*", "*1*", "m*", "?", "[a-f]*", "nosuch", "", "{%s}*" % self.tag, "\\*")

    # ---- Times

    def seconds(self):
        # Never twice the same: GT would ask which millisecond it was.
        return self.rng.randrange(10_000, 10_000_000)

    def millis(self):
        return self.rng.randrange(10_000_000, 10_000_000_000)

    def far(self):
        return FAR_S + self.rng.randrange(3)

    def farms(self):
        return (FAR_S + self.rng.randrange(3)) * 1000 + 7

    def past(self):
        return self._one_of(0, -1, 1, -1000)

    def timeout(self):
        return self._one_of("0.001", "0.002", ".003")

    def blockms(self):
        return self._one_of(1, 3)

    # ---- Streams

    def id(self):
        return "%d-%d" % (self.rng.randrange(1, self.last_id + 2), self._one_of(0, 1, 1, 2)) \
            if self.rng.random() < 0.9 else self._one_of("0", "5", "0-0", "x", "18446744073709551615-18446744073709551615")

    def newid(self):
        self.last_id += self.rng.randrange(1, 3)
        return self._one_of("*", *("%d-1", "%d-1", "%d", "%d-*") * 4).replace("%d", str(self.last_id))

    def idfrom(self):
        return self._one_of("-", "-", self.id(), "(" + self.id())

    def idto(self):
        return self._one_of("+", "+", self.id(), "(" + self.id())

    def trim(self):
        if self.rng.random() < 0.5:
            return ["MAXLEN"] + self._one_of([], ["="], ["~"]) + [self.count()]
        return ["MINID"] + self._one_of([], ["="], ["~"]) + [self.id()]

    def group(self):
        return self._name("g", 2)

    def consumer(self):
        return self._name("c", 3)

    # ---- Scripts

    def script(self):
        return self.rng.choice(SCRIPTS)

    def sha(self):
        sha = hashlib.sha1(self.rng.choice(SCRIPTS).encode()).hexdigest()
        return self._one_of(sha, sha, sha, sha.upper(), "0" * 40, "short")

    def function(self):
        return self.rng.choice(FUNCTIONS)

    def library(self):
        return LIBRARIES[self.rng.choice(sorted(LIBRARIES))]

    def libraryname(self):
        return self._one_of("one", "two", "three", "nosuch", "t*")

    def functionpayload(self):
        return self.rng.choice(self.function_payloads) if self.function_payloads and self.rng.random() < 0.8 else b"bad"

    # ---- Connections and servers

    def database(self):
        return self._one_of(0, 0, 1, 2, 9, DATABASES - 1, DATABASES, -1, "x")

    def password(self):
        return self._one_of("", "wrong", "longer than most passwords are")

    def user(self):
        return self._one_of("default", "nobody")

    def name(self):
        return self._one_of("app", "", "two words", "caf\xe9", "a\nb", "x" * 100)

    def badversion(self):
        return self._one_of("1", "4", "x", "-2", "")

    def badcursor(self):
        return self._one_of("x", "-1", "", "1.5", "99999999999999999999999")

    def clienttype(self):
        return self._one_of("normal", "master", "replica", "pubsub", "nosuch")

    def typename(self):
        return self.rng.choice(REDIS_TYPES)

    def commandname(self):
        return self.rng.choice(COMMAND_NAMES)

    def category(self):
        return self._one_of("hyperloglog", "geo", "nosuch")

    def configname(self):
        return self._one_of("nosuch", "")

    def section(self):
        return self._one_of("server", "clients", "everything", "nosuch")

    # ---- Conversations

    def channel(self):
        return self._one_of("c1", "c2", "{%s}c" % self.tag, "c3", "__keyevent@0__:x", "", "\xff\r\n", "news")

    def channelpattern(self):
        return self._one_of("c*", "*", "c[12]", "nosuch*", "news", "{%s}?" % self.tag, "", "\\c1")

    def shardchannel(self):
        return "{%s}s%d" % (self.tag, self.rng.randrange(3))

    def message(self):
        return self._one_of("m1", "m2", "", "a\r\nb", b"\x00\xff", "m" * 300)

    def redirect(self):
        return self._one_of("<id 0>", "<id 1>", "999999", "0", "-1", "x")

    def prefix(self):
        return self._one_of("a", "ab", "b", "bc", "c:", "", "\xff")

    def option(self):
        return self._one_of("REDIRECT", "BCAST", "PREFIX", "OPTIN", "OPTOUT", "NOLOOP", "nosuch", "1", "bcast", "a")

    def nosuch(self):
        return self._one_of("NOSUCH", "nosuch", "get\r\n", "", "GETT", b"\xff", "x" * 200)


# "from" is a word of the grammar, but no name in Python.
setattr(Arguments, "from", lambda self: self._one_of("-inf", "0", "(0", "-100", "2"))
