#!/usr/bin/python3
"""Users of the Redis port may do what they are allowed, and are told the rest in redis-server's words."""

import sys

from checks import run_tests
from resp import RespError
from servers import PikaProxy, RedisServer, wait_until

# name, keys of [[user]], the same for ACL SETUSER. Where a user is an administrator here, so is the one of Redis.
RULES = [
    ("reader", {"commands": "+@read +@connection +@transaction +@pubsub"}, "+@read +@connection +@transaction +@pubsub ~* &*"),
    ("app", {"commands": "+@all -@scripting -@dangerous", "keys": ["{app}:*"], "channels": ["{app}:*", "{c}:?"]},
     "+@all -@scripting -@dangerous ~{app}:* &{app}:* &{c}:?"),
    ("half", {"commands": "+@all -@scripting", "keys": ["%R~{app}:in*", "%W~{app}:out*", "~{app}:both"], "admin": True},
     "+@all -@scripting %R~{app}:in* %W~{app}:out* ~{app}:both &*"),
    ("few", {"commands": "+get +set +client|getname +config|get", "keys": ["*"], "channels": [], "admin": True},
     "+get +set +client|getname +config|get ~* resetchannels"),
    ("nokeys", {"commands": "+@all -@scripting", "keys": []}, "+@all -@scripting &* resetkeys"),
    ("scripts", {"commands": "-@all +@scripting +get +set", "keys": ["{app}:*"]}, "-@all +@scripting +get +set ~{app}:* &*"),
]

REQUESTS = """
GET {app}:in1|GET other|SET {app}:out1 x|SET {app}:in1 x|SET {app}:both x GET|SET {app}:out1 x GET|GETSET {app}:in1 1
MGET {app}:in1 {app}:both|MGET {app}:in1 {x}:b|MSET {app}:out1 a {app}:in1 b|MSET {app}:out1 a|DEL {app}:both|DEL x
COPY {app}:in1 {app}:out2|COPY {app}:out1 {app}:in2|RENAME {app}:both {app}:out9|LMOVE {app}:in1 {app}:out1 LEFT LEFT
SORT {app}:in1|SORT {app}:in1 STORE {app}:in2|SORT {app}:in1 STORE {app}:out2|SORT {app}:in1 BY nosort
SUNIONSTORE {app}:out7 {app}:in1 {app}:in2|ZADD {app}:in1 1 a|ZRANGESTORE {app}:out1 {app}:in2 0 1|EXISTS {app}:out1|TYPE {app}:out1
GEORADIUS {app}:in1 1 1 1 m|OBJECT ENCODING {app}:in1|XREAD STREAMS {app}:in1 0|XREAD STREAMS {app}:out1 0|XADD {app}:out3 * a b
BITFIELD {app}:in1 GET u8 0|BITFIELD {app}:in1 SET u8 0 1|PFCOUNT {app}:in1|PFMERGE {app}:both {app}:in1|GETEX {app}:in1
PING|ECHO a|CLIENT GETNAME|CLIENT SETNAME a|SELECT 0|DBSIZE|KEYS nothing*|COMMAND COUNT x|PUBLISH {app}:x a|PUBLISH x a|SPUBLISH {c}:1 a
SPUBLISH {c}:22 a|EVAL return{KEYS[1]} 1 {app}:in1|EVAL return{KEYS[1]} 1 other|EVAL x notanumber|EVAL_RO return{1} 0|GET|NOSUCH a|CLIENT NOSUCH
ACL WHOAMI|CONFIG GET nothing|EVAL return{1} 0|SCRIPT EXISTS abc|LPOP|WATCH {app}:in1|WATCH {app}:out1|UNWATCH|MULTI|GET {app}:in1|GET {app}:out1|SET {app}:in1 1
EXEC|MULTI|GET {app}:in1|EXEC|MULTI|SET {app}:both 5|EXEC|MULTI|SET other 1|DISCARD|EXEC|SUBSTR {app}:in1 0 1|BLPOP {app}:in5 0.01|BLPOP other 0.01|XREAD BLOCK 1 STREAMS other 0
"""


def servers_and_proxy(t, users, options=None):
    server = RedisServer()
    proxy = PikaProxy(t.pikaproxy, [server], options, users=users)
    proxy.wait_for_servers()
    return server, proxy


def user_entries():
    return [{"name": name, "password": "pass-" + name, **keys} for name, keys, _ in RULES]


def test_as_redis(t):
    """Each user sends each request to redis-server directly and through the proxy."""
    direct_server = RedisServer()
    server, proxy = servers_and_proxy(t, user_entries(), {"auth.password": "boss"})
    with direct_server, server, proxy:
        with direct_server.client() as admin:
            for name, _, rules in RULES:
                t.equal(admin.call("ACL", "SETUSER", name, "reset", "on", ">pass-" + name, *rules.split()), "OK", name)
        count = 0
        denied = 0
        for name, keys, _ in RULES:
            with direct_server.client() as direct, proxy.client() as client:
                for each in (direct, client):
                    t.equal(each.call("AUTH", name, "pass-" + name), "OK", "AUTH %s" % name)
                for request in REQUESTS.replace("\n", "|").strip("|").split("|"):
                    words = request.split()
                    expected = direct.call(*words)
                    got = client.call(*words)
                    count += 1
                    denied += isinstance(got, RespError) and got.startswith("NOPERM")
                    if words[0] == "XADD" and isinstance(expected, bytes) and isinstance(got, bytes):
                        continue
                    t.equal(got, expected, "%s: %s" % (name, request))
        t.check(denied > 100, "much is denied", denied)
        t.note("%d requests, %d denied" % (count, denied))


def test_subscribing(t):
    """Channels are checked; patterns must be among the rules as they are."""
    direct_server = RedisServer()
    server, proxy = servers_and_proxy(t, user_entries(), {"auth.password": "boss"})
    with direct_server, server, proxy:
        with direct_server.client() as admin:
            for name, _, rules in RULES:
                admin.call("ACL", "SETUSER", name, "reset", "on", ">pass-" + name, *rules.split())
        for request in (["SUBSCRIBE", "{app}:x"], ["SUBSCRIBE", "{app}:x", "x"], ["SUBSCRIBE", "{c}:1"], ["SUBSCRIBE", "{c}:22"],
                        ["PSUBSCRIBE", "{app}:*"], ["PSUBSCRIBE", "{app}:x"], ["PSUBSCRIBE", "*"], ["PSUBSCRIBE", "{c}:?"],
                        ["SSUBSCRIBE", "{app}:x"], ["SSUBSCRIBE", "x"], ["UNSUBSCRIBE", "x"], ["PUNSUBSCRIBE", "*"]):
            for name in ("app", "reader", "few"):
                with direct_server.client() as direct, proxy.client() as client:
                    for each in (direct, client):
                        each.call("AUTH", name, "pass-" + name)
                    t.equal(client.call(*request), direct.call(*request), "%s: %s" % (name, request))


def test_scripts_must_be_named(t):
    """Whoever is restricted runs scripts only if they are named: the server does not know the user."""
    users = [{"name": "keys", "password": "p", "keys": ["a*"]}, {"name": "ro", "password": "p", "read_only": True},
             {"name": "named", "password": "p", "keys": ["a*"], "commands": "+@all +@scripting"},
             {"name": "roscripts", "password": "p", "read_only": True, "commands": "+@all +@scripting"},
             {"name": "free", "password": "p"}]
    server, proxy = servers_and_proxy(t, users)
    with server, proxy, proxy.client() as client:
        def run(user, *request):
            client.call("AUTH", user, "p")
            return client.call(*request)
        for user in ("keys", "ro"):
            for request in (["EVAL", "return 1", 0], ["EVALSHA", "x", 0], ["FCALL", "f", 0], ["EVAL_RO", "return 1", 0],
                            ["FUNCTION", "LIST"]):
                t.error(run(user, *request), "NOPERM this user has no permissions to run", "%s %s" % (user, request))
        t.equal(run("named", "EVAL", "return 1", 1, "a1"), 1, "a script that is named")
        t.error(run("named", "EVAL", "return 1", 1, "b1"), "NOPERM this user has no permissions to access one of the keys", "with another's key")
        t.equal(run("roscripts", "EVAL_RO", "return 1", 0), 1, "a script that writes nothing")
        t.error(run("roscripts", "EVAL", "return 1", 0), "NOPERM ", "one that might")
        t.equal(run("free", "EVAL", "return 1", 0), 1, "who is not restricted")
        # Reading alone.
        t.error(run("ro", "SET", "k", "v"), "NOPERM this user has no permissions to run the 'set' command", "SET")
        t.equal(run("ro", "GET", "k"), None, "GET")
        t.equal(run("ro", "PUBLISH", "c", "m"), 0, "PUBLISH writes no key")
        t.equal(run("ro", "PFCOUNT", "k"), 0, "PFCOUNT")


def test_default_user_and_passwords(t):
    users = [{"name": "default", "read_only": True}, {"name": "boss", "passwords": ["old", "new"], "admin": True},
             {"name": "gone", "password": "p", "enabled": False}]
    server, proxy = servers_and_proxy(t, users)
    with server, proxy:
        with proxy.client() as client:
            t.equal(client.call("GET", "k"), None, "whoever connects may read")
            t.error(client.call("SET", "k", "v"), "NOPERM this user has no permissions to run the 'set' command", "not write")
            t.error(client.call("FLUSHALL"), "NOPERM ", "not administrate")
            t.error(client.call("AUTH", "x"), "ERR AUTH <password> called without any password configured", "AUTH x")
            t.error(client.call("AUTH", "gone", "p"), "WRONGPASS ", "a user that is switched off")
            for password in ("old", "new"):
                t.equal(client.call("AUTH", "boss", password), "OK", "the %s password" % password)
                t.equal(client.call("SET", "k", "v"), "OK", "may write")
                t.equal(client.call("RESET"), "RESET", "RESET")
                t.error(client.call("SET", "k", "v"), "NOPERM ", "and is nobody again")
            t.error(client.call("AUTH", "boss", "older"), "WRONGPASS ", "a wrong password")
            client.call("AUTH", "boss", "new")
            stats = client.call("INFO", "stats").decode()
            t.check("acl_access_denied_auth:2" in stats and "acl_access_denied_cmd:4" in stats, "INFO counts", stats)
            t.equal(proxy.metric("pikaproxy_refused_requests_total", reason="denied_command"), 4, "/metrics, too")


def test_acl_commands(t):
    users = [*user_entries(), {"name": "ops", "password": "p", "admin": True}]
    direct_server = RedisServer()
    server, proxy = servers_and_proxy(t, users, {"auth.password": "boss"})
    with direct_server, server, proxy, direct_server.client() as direct, proxy.client() as client:
        client.call("AUTH", "boss")
        for name, _, rules in RULES:
            direct.call("ACL", "SETUSER", name, "reset", "on", ">pass-" + name, *rules.split())
        t.equal(client.call("ACL", "WHOAMI"), b"default", "ACL WHOAMI")
        t.equal(client.call("ACL", "USERS"), sorted([b"default", b"ops"] + [name.encode() for name, _, _ in RULES]), "ACL USERS")
        t.equal(client.call("ACL", "CAT"), direct.call("ACL", "CAT"), "ACL CAT")
        for category in direct.call("ACL", "CAT"):
            theirs = {name for name in direct.call("ACL", "CAT", category) if b"sentinel" not in name}
            ours = set(client.call("ACL", "CAT", category))
            t.check(theirs <= ours, "ACL CAT %s has all of Redis'" % category, sorted(theirs - ours))
        for request in (["ACL", "CAT", "nosuch"], ["ACL", "CAT", "read", "x"], ["ACL", "GENPASS", "0"], ["ACL", "GENPASS", "5000"],
                        ["ACL", "GENPASS", "x"], ["ACL", "GENPASS", "1", "2"], ["ACL", "GETUSER", "nobody"], ["ACL", "WHOAMI", "x"],
                        ["ACL", "DRYRUN", "nobody", "GET", "k"], ["ACL", "DRYRUN", "app", "NOSUCH"], ["ACL", "DRYRUN", "app", "GET"],
                        ["ACL", "DRYRUN", "app", "GET", "{app}:1"], ["ACL", "DRYRUN", "app", "GET", "x"],
                        ["ACL", "DRYRUN", "app", "KEYS", "x"], ["ACL", "DRYRUN", "app", "PUBLISH", "x", "y"],
                        ["ACL", "DRYRUN", "reader", "SET", "x", "y"], ["ACL", "DRYRUN", "half", "GET", "{app}:out1"]):
            t.equal(client.call(*request), direct.call(*request), "%s" % request)
        t.equal([len(client.call("ACL", "GENPASS", *bits)) for bits in ([], [5], [4], [1024])], [64, 2, 1, 256], "ACL GENPASS")
        t.check(client.call("ACL", "GENPASS") != client.call("ACL", "GENPASS"), "another each time")
        shown = dict(zip(*[iter(client.call("ACL", "GETUSER", "half"))] * 2))
        theirs = dict(zip(*[iter(direct.call("ACL", "GETUSER", "half"))] * 2))
        t.equal(list(shown), list(theirs), "the fields of ACL GETUSER")
        for field in (b"keys", b"channels", b"selectors"):
            t.equal(shown[field], theirs[field], field)
        t.equal((shown[b"flags"], shown[b"passwords"]), ([b"on"], []), "no passwords")
        t.equal(shown[b"commands"], b"+@all -@scripting", "commands")
        listed = client.call("ACL", "LIST")
        t.check(b"user half on %R~{app}:in* %W~{app}:out* ~{app}:both &* +@all -@scripting" in listed, "ACL LIST", listed)
        # What is listed can be given to a Redis.
        for line in listed:
            words = line.decode().split()
            known = {name.decode() for name in direct.call("COMMAND", "LIST")}
            words = [word for word in words[1:] if word[0] != "-" or word[1] == "@" or word[1:].split("|")[0] in known]
            reply = direct.call("ACL", "SETUSER", words[0], *[word for word in words[1:] if "slots" not in word])
            t.equal(reply, "OK", line)
        t.error(client.call("ACL", "SETUSER", "x", "on"), "ERR users are set in the proxy's configuration file", "ACL SETUSER")
        t.check(len(client.call("ACL", "HELP")) > 10, "ACL HELP")
        new = proxy.client()
        with new:
            new.call("HELLO", 3, "AUTH", "ops", "p")
            t.check(isinstance(new.call("ACL", "GETUSER", "app"), dict), "a map in RESP3")
        with proxy.client() as plain:
            plain.call("AUTH", "app", "pass-app")
            t.equal(plain.call("ACL", "WHOAMI"), b"app", "ACL WHOAMI by anybody")
            for words in (["LIST"], ["USERS"], ["GETUSER", "app"], ["DRYRUN", "app", "GET", "x"]):
                t.error(plain.call("ACL", *words), "NOPERM this user has no permissions to run the 'acl|", "ACL %s" % words[0])


def closed(client):
    """Whether the proxy has closed that connection."""
    try:
        client.call("PING")
        return False
    except (ConnectionError, OSError):
        return True


def test_changes_reach_connections(t):
    """Who is removed is disconnected, who is restricted is restricted at once."""
    users = [{"name": "ann", "password": "a"}, {"name": "bob", "password": "b"}, {"name": "sub", "password": "s"},
             {"name": "sub2", "password": "s"}]
    server, proxy = servers_and_proxy(t, users, {"auth.password": "boss"})
    with server, proxy, proxy.client() as ann, proxy.client() as bob, proxy.client() as sub, proxy.client() as sub2:
        for client, name, password in ((ann, "ann", "a"), (bob, "bob", "b"), (sub, "sub", "s"), (sub2, "sub2", "s")):
            client.call("AUTH", name, password)
        sub.call("SUBSCRIBE", "news")
        sub2.call("SUBSCRIBE", "news")
        t.equal(bob.call("SET", "k", "v"), "OK", "not restricted yet")
        bob.call("MULTI")
        bob.call("SET", "k", "w")
        proxy.users = [{"name": "bob", "password": "another", "read_only": True},
                       {"name": "sub", "password": "s", "channels": ["weather"]},
                       {"name": "sub2", "password": "s", "channels": ["n*"]}]
        proxy.reload()
        proxy.wait_for_log("settings reloaded")  # By all workers.
        wait_until(lambda: closed(ann), 20, "the connection of a user who is gone to be closed")
        wait_until(lambda: closed(sub), 20, "that of one who may not subscribe any more")
        t.error(bob.call("EXEC"), "EXECABORT ", "what was queued before the rules changed")
        t.error(bob.call("SET", "k", "w"), "NOPERM this user has no permissions", "who is restricted")
        t.equal(bob.call("GET", "k"), b"v", "stays logged in, whatever the password is now")
        t.equal(sub2.call("PING"), [b"pong", b""], "who may go on subscribing")
        with proxy.client() as client:
            t.error(client.call("AUTH", "ann", "a"), "WRONGPASS", "nobody of that name")


def test_bad_rules_are_refused(t):
    import os
    import subprocess
    import tempfile
    cases = [
        ('commands = "+@raed"', 'names no category of commands. Did you mean "read"?'),
        ('commands = "+nosuch"', "names no command"),
        ('commands = "get"', 'begins with neither "+" nor "-"'),
        ('commands = "+config|nosuch"', "names no command"),
        ('commands = ["+get"]', "commands must be a string"),
        ('keys = "a*"', "keys must be a list of strings"),
        ('keys = [""]', "matches no key"),
        ('keys = ["%X~a"]', "which is none"),
        ('channels = ["&"]', "matches no channel"),
        ('read_from = "nowhere"', "read_from must be master or prefer_replica or replica or nearest"),
        ('replica_max_lag = "1ms"', "replica_max_lag must be"),
        ('passwords = ["a", "b"]', "give one of password"),
        ('read_only = "yes"', "read_only must be true or false"),
        ('key = "a"', "unknown option \"key\""),
    ]
    for line, expected in cases:
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "p.toml")
            with open(path, "w", encoding="utf-8") as file:
                file.write('[[user]]\nname = "ann"\npassword = "xyzzy"\n%s\n' % line)
            run = subprocess.run([t.pikaproxy, "--config", path, "--check-config"], capture_output=True, text=True, check=False)
            t.check(run.returncode == 3 and expected in run.stderr, line, run.stdout + run.stderr)
            t.check("xyzzy" not in run.stderr, "no password is shown")
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "p.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write('[[user]]\nname = "ann"\npasswords = ["a", "b", "c"]\n')
        run = subprocess.run([t.pikaproxy, "--config", path, "--check-config"], capture_output=True, text=True, check=False)
        t.check(run.returncode == 3 and "more than 2 passwords" in run.stderr, "three passwords", run.stderr)


def test_random_rules(t):
    """Random rules and requests: the proxy denies what redis-server denies."""
    rng = t.rng()
    direct_server = RedisServer()
    server, proxy = servers_and_proxy(t, [], {"auth.password": "boss"})
    with direct_server, server, proxy:
        with direct_server.client() as admin:
            names = sorted(name.decode() for name in admin.call("COMMAND", "LIST")
                           if name.decode() not in ("sentinel", "debug", "module", "shutdown"))
            categories = [name.decode() for name in admin.call("ACL", "CAT")]
        users = []
        for number in range(20):
            words = [rng.choice("+-") + (("@" + rng.choice(["all"] + categories)) if rng.random() < 0.6 else rng.choice(names))
                     for _ in range(rng.randrange(1, 8))]
            keys = [rng.choice(["", "", "%R~", "%W~"]) + rng.choice(["{a}*", "{a}1", "*", "{a}[12]", "{b}*"])
                    for _ in range(rng.randrange(0, 3))]
            keys = ["*"] if "*" in keys else keys  # Redis takes no pattern behind that one.
            users.append(("u%d" % number, words + ["+@scripting"], keys))
        proxy.users = [{"name": name, "password": "p", "admin": True, "commands": " ".join(words), "keys": keys}
                       for name, words, keys in users]
        proxy.reload()
        proxy.wait_for_log("settings reloaded")
        with direct_server.client() as admin:
            for name, words, keys in users:
                rules = [key if key.startswith("%") else "~" + key for key in keys]
                t.equal(admin.call("ACL", "SETUSER", name, "reset", "on", ">p", *words, *rules, "&*"), "OK", words)
        requests = [["GET", 1], ["SET", 1, "v"], ["MGET", 1, 1], ["DEL", 1], ["COPY", 1, 1], ["LPUSH", 1, "a"], ["SINTERSTORE", 1, 1],
                    ["ZUNION", 2, 1, 1], ["EXISTS", 1], ["PING"], ["DBSIZE"], ["CLIENT", "GETNAME"], ["CONFIG", "GET", "x"],
                    ["PUBLISH", "c", "m"], ["HGETALL", 1], ["GETDEL", 1], ["OBJECT", "REFCOUNT", 1], ["XLEN", 1], ["SCRIPT", "EXISTS", "a"]]
        counts = [0, 0]
        for name, words, keys in users:
            with direct_server.client() as direct, proxy.client() as client:
                for each in (direct, client):
                    each.call("AUTH", name, "p")
                for request in requests:
                    sent = [rng.choice(["{a}1", "{a}2", "{a}22"]) if word == 1 and at > 0 and not (request[0] == "ZUNION" and at == 1)
                            else word for at, word in enumerate(request)]
                    expected, got = direct.call(*sent), client.call(*sent)
                    denied = [isinstance(reply, RespError) and reply.code == "NOPERM" and reply for reply in (expected, got)]
                    t.check(denied[0] == denied[1], "%s %s: %s" % (words, keys, sent), expected, got)
                    counts[bool(denied[1])] += 1
        t.check(min(counts) > 20, "some of it allowed, some denied", counts)


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
