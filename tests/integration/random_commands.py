"""Random commands over all types, on keys of one hash tag, whose replies depend on nothing but the commands before.

Left out is what depends on chance, on the clock or on a server's own seed: SPOP, "XADD key *", TTL, the order of a
set of texts. Types are mixed up on purpose now and then, and so are arguments: errors must be the same too.
"""

FAR = 4_102_444_800  # An expiry in the year 2100.

# By type: commands as templates. k, j = keys of that type; d = another key of it; n = small number; f = float;
# m = member or field; i = set member (a number, so that sets stay ordered); v = value; s = stream id.
TEMPLATES = {
    "string": """
        SET k v|SET k v NX|SET k v XX GET|SET k v EXAT {far}|SET k v KEEPTTL|GET k|GET k|GETSET k v|GETDEL k
        GETEX k EXAT {far}|GETEX k PERSIST|APPEND k v|STRLEN k|SETRANGE k n v|GETRANGE k n -1|SUBSTR k 0 n|INCR k
        DECR k|INCRBY k n|DECRBY k n|INCRBYFLOAT k f|SETNX k v|MSET k v j v|MGET k j d|MSETNX k v j v|LCS k j
        LCS k j LEN|LCS k j IDX WITHMATCHLEN|SET k n|SET j n|SET k v PXAT {far}000|DUMP k
        EVAL {script} 2 k j v|EVAL {incr} 1 k n""",
    "bitmap": """
        SETBIT k n 1|SETBIT k n 0|GETBIT k n|BITCOUNT k|BITCOUNT k 0 n BIT|BITPOS k 1|BITPOS k 0 0 n|BITOP AND d k j
        BITOP OR d k j|BITOP XOR d k j|BITOP NOT d k|BITFIELD k SET u8 n n GET u8 n INCRBY i5 n 1
        BITFIELD k OVERFLOW FAIL INCRBY u2 n 1|BITFIELD_RO k GET u8 n|GET k|STRLEN k""",
    "hash": """
        HSET k m v|HSET k m v m v|HSETNX k m v|HMSET k m v m v|HGET k m|HMGET k m m m|HGETALL k|HKEYS k|HVALS k|HLEN k
        HDEL k m|HDEL k m m|HEXISTS k m|HINCRBY k m n|HINCRBYFLOAT k m f|HSTRLEN k m|HSCAN k 0|HSCAN k 0 MATCH *1*""",
    "list": """
        LPUSH k v v|RPUSH k v|RPUSH k v v v|LPUSHX k v|RPUSHX k v|LPOP k|RPOP k|LPOP k n|RPOP k n|LLEN k|LINDEX k n
        LRANGE k 0 -1|LRANGE k n n|LSET k n v|LREM k n v|LREM k 0 m|LTRIM k 0 n|LINSERT k BEFORE m v|LPOS k m
        LPOS k m COUNT 0|LMOVE k j LEFT RIGHT|RPOPLPUSH k j|LMPOP 2 k j LEFT COUNT n|RPUSH k m m|SORT k ALPHA|DUMP k
        SORT k ALPHA DESC LIMIT 0 n STORE d|SORT_RO k BY nosort GET #""",
    "set": """
        SADD k i i i|SADD k i|SREM k i|SMEMBERS k|SCARD k|SISMEMBER k i|SMISMEMBER k i i i|SMOVE k j i|SINTER k j
        SUNION k j|SDIFF k j|SINTERCARD 2 k j LIMIT n|SINTERSTORE d k j|SUNIONSTORE d k j|SDIFFSTORE d k j
        SSCAN k 0|SORT k|SORT k DESC LIMIT 0 n""",
    "zset": """
        ZADD k f m f m|ZADD k n m|ZADD k NX n m|ZADD k XX CH n m|ZADD k GT CH f m|ZADD k INCR n m|ZINCRBY k f m
        ZREM k m|ZCARD k|ZCOUNT k -inf n|ZLEXCOUNT k - +|ZSCORE k m|ZMSCORE k m m|ZRANK k m|ZREVRANK k m
        ZRANGE k 0 -1 WITHSCORES|ZRANGE k 0 n REV|ZRANGE k -inf +inf BYSCORE LIMIT 0 n|ZRANGEBYSCORE k (0 n WITHSCORES
        ZREVRANGE k 0 n WITHSCORES|ZREVRANGEBYSCORE k +inf -inf|ZRANGEBYLEX k - +|ZREVRANGEBYLEX k + -
        ZREMRANGEBYRANK k 0 0|ZREMRANGEBYSCORE k n n|ZREMRANGEBYLEX k [m [m|ZPOPMIN k|ZPOPMAX k n|DUMP k
        ZUNION 2 k j WITHSCORES|ZINTER 2 k j WEIGHTS 2 n WITHSCORES|ZDIFF 2 k j|ZUNIONSTORE d 2 k j AGGREGATE MAX
        ZINTERSTORE d 2 k j|ZDIFFSTORE d 2 k j|ZINTERCARD 2 k j|ZRANGESTORE d k 0 n|ZMPOP 2 k j MIN COUNT n""",
    "stream": """
        XADD k s m v|XADD k s m v m v|XADD k MAXLEN n s m v|XADD k NOMKSTREAM s m v|XLEN k|XRANGE k - +
        XRANGE k - + COUNT n|XREVRANGE k + - COUNT n|XREAD COUNT n STREAMS k j 0 0|XREAD STREAMS k s|XDEL k s
        XTRIM k MAXLEN n|XTRIM k MINID s
        XGROUP CREATE k g 0 MKSTREAM|XGROUP CREATE k g2 $|XGROUP SETID k g 0|XGROUP DESTROY k g2
        XGROUP CREATECONSUMER k g c1|XGROUP DELCONSUMER k g c1|XREADGROUP GROUP g c1 COUNT n STREAMS k >
        XREADGROUP GROUP g c2 NOACK STREAMS k >|XREADGROUP GROUP g c1 STREAMS k 0|XACK k g s|XPENDING k g
        XINFO GROUPS k|XSETID k 99999-1""",
    "geo": """
        GEOADD k x y m|GEOADD k x y m x y m|GEODIST k m m km|GEOHASH k m m|GEOPOS k m m|ZCARD k
        GEOSEARCH k FROMLONLAT x y BYRADIUS 5000 km ASC WITHDIST|GEOSEARCH k FROMMEMBER m BYBOX 900 900 km ASC COUNT n
        GEOSEARCHSTORE d k FROMLONLAT x y BYRADIUS 9000 km ASC|GEORADIUS k x y 3000 km ASC WITHCOORD
        GEORADIUSBYMEMBER k m 3000 km ASC STORE d|GEORADIUS_RO k x y 3000 km DESC""",
    "hll": """
        PFADD k m m v|PFADD k v|PFCOUNT k|PFCOUNT k j|PFMERGE d k j""",
    "any": """
        TYPE k|EXISTS k j d k|DEL k|UNLINK k d|TOUCH k j|RENAME k d|RENAMENX k j|COPY k d|COPY k d REPLACE|PERSIST k
        EXPIREAT k {far}|PEXPIREAT k {far}000 NX|EXPIRETIME k|PEXPIRETIME k|OBJECT ENCODING k|OBJECT REFCOUNT k
        EXPIRE k 0|EXPIREAT k 1|GET k|HGET k m|LPUSH k v|SADD k i|ZADD k n m|XLEN k|PFCOUNT k|STRLEN k
        GET|SET k|HSET k m|NOSUCH k|OBJECT NOSUCH k|SET k v FOO|ZADD k x m|LPOP k x|SETBIT k -1 1|EXPIRE k x|INCRBY k x
        XADD k 0-0 m v|GEOADD k 999 999 m|ZUNION 0 k|BITOP NOT d k j|LMPOP 0 k LEFT|EVAL {bad} 1 k|EVAL {broken} 1 k""",
}
SCRIPTS = {"far": str(FAR), "script": "return {redis.call('GET',KEYS[1]),KEYS[2],ARGV[1]}",
           "incr": "return redis.call('INCRBY',KEYS[1],ARGV[1])", "bad": "return redis.call('HGET',KEYS[1])",
           "broken": "return ("}
WEIGHTS = {"any": 2}
KEYS_PER_TYPE = 4


def _words(template):
    # Scripts have blanks, so they are put in after the split.
    return [SCRIPTS[word[1:-1]] if word[1:-1] in SCRIPTS and word[0] == "{" else
            word.format(**SCRIPTS) if "{" in word else word for word in template.split(" ")]


class CommandMaker:
    def __init__(self, rng, tag):
        self.rng = rng
        self.tag = tag
        self.last_id = 1
        self.types = [name for name in TEMPLATES for _ in range(WEIGHTS.get(name, 1))]
        self.templates = {name: [_words(one.strip()) for line in text.strip().splitlines() for one in line.split("|")]
                          for name, text in TEMPLATES.items()}

    def command(self):
        """The next one, as a list of str and bytes."""
        type_name = self.rng.choice(self.types)
        # With the keys of another type it is an error, mostly.
        key_type = self.rng.choice(list(TEMPLATES)) if type_name == "any" or self.rng.random() < 0.03 else type_name
        words = self.rng.choice(self.templates[type_name])
        command = [words[0]] + [self._argument(word, key_type) for word in words[1:]]
        if self.rng.random() < 0.2:
            command[0] = command[0].lower()
        return command

    def _argument(self, word, type_name):
        rng = self.rng
        if word in ("k", "j", "d"):
            return "{%s}%s%d" % (self.tag, type_name, rng.randrange(KEYS_PER_TYPE))
        if word == "n":
            return str(rng.choice((0, 1, 2, 3, 5, 7, 12, 40)))
        if word == "f":
            return rng.choice(("0", "1.5", "-2.25", "3e2", "0.1", "100", "-0.001"))
        if word == "m":
            return "m%d" % rng.randrange(20)
        if word.startswith(("[m", "(m")):
            return "%sm%d" % (word[0], rng.randrange(20))
        if word == "i":
            return str(rng.randrange(-50, 200))
        if word == "x":
            return "%.4f" % rng.uniform(-170, 170)
        if word == "y":
            return "%.4f" % rng.uniform(-80, 80)
        if word == "s":
            self.last_id += rng.randrange(3)
            return "%d-1" % (self.last_id if rng.random() < 0.8 else rng.randrange(1, self.last_id + 1))
        if word == "v":
            return self._value(type_name)
        return word

    def _value(self, type_name):
        rng = self.rng
        kind = rng.randrange(30)
        if kind == 0:
            return b""
        if kind == 1:
            return b"\r\n$5\r\n\x00\xff"
        # Hashes with long values become hash tables, whose order depends on the server's seed.
        if type_name in ("hash", "any"):
            return "value%d" % rng.randrange(100)
        if kind == 2:
            return b"x" * rng.choice((100, 5000, 17_000))
        if kind == 3 and type_name == "string":
            return rng.choice((b"y", b"z")) * rng.choice((70_000, 300_000))
        return "value%d" % rng.randrange(100)
