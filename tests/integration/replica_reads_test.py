#!/usr/bin/python3
"""Reads go to replicas where that is asked for, and never to one that may be too old."""

import os
import signal
import socket
import sys
import threading
import time

from admin_api import AdminApi
from checks import Background, keys_of_group, run_tests, slot_of
from resp import Resp, RespError
from servers import PikaProxy, RedisServer, free_port, wait_until

IO_TIMEOUT_S = 20
# What is known of a replica may be old where the machine is slow: only tests of ages bound it closely.
OPTIONS = {"proxy.workers": 2, "proxy.replica_max_lag": "10s", "backend.request_timeout": "10s"}
BOUNDED = {"proxy.replica_max_lag": "800ms"}
BOUND_S = 0.8
ATTEMPTS = 5


def replicate(replica, master):
    with replica.client() as client:
        client.call("REPLICAOF", master.host, master.port)
    wait_until(lambda: is_up(replica), 30, "a replica to be online")


def is_up(replica):
    with replica.client() as client:
        return b"master_link_status:up" in client.call("INFO", "replication")


def calls(server, command):
    """How often the server has executed it."""
    with server.client() as client:
        for line in client.call("INFO", "commandstats").decode().splitlines():
            if line.startswith("cmdstat_%s:" % command):
                return int(line.split("calls=")[1].split(",")[0])
    return 0


class Stalling:
    """Between a replica and its master: when it is held, both take the link for up and nothing comes."""

    def __init__(self, master):
        self.host = "127.0.0.1"
        self.master = master
        self.may_pass = threading.Event()
        self.may_pass.set()
        self.listener = socket.create_server((self.host, 0))
        self.port = self.listener.getsockname()[1]
        self.sockets = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near = self.listener.accept()[0]
            except OSError:
                return
            try:
                far = socket.create_connection((self.master.host, self.master.port))
            except OSError:
                near.close()
                continue
            self.sockets += [near, far]
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source, target):
        try:
            while data := source.recv(65536):
                self.may_pass.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def hold(self):
        self.may_pass.clear()

    def close(self):
        self.may_pass.set()
        self.listener.close()
        for one in self.sockets:
            one.close()


class Replicated:
    """Two groups, the first with two replicas and the second with one."""

    def __init__(self, t, options=None, **kwargs):
        server_options = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
        self.masters = [RedisServer(*server_options) for _ in range(2)]
        self.replicas = [RedisServer() for _ in range(3)]
        for replica, master in zip(self.replicas, (self.masters[0], self.masters[0], self.masters[1])):
            replicate(replica, master)
        groups = [{"server": self.masters[0].address, "replicas": [one.address for one in self.replicas[:2]]},
                  {"server": self.masters[1].address, "replicas": [self.replicas[2].address]}]
        self.proxy = PikaProxy(t.pikaproxy, groups, {**OPTIONS, **(options or {})}, **kwargs)
        self.proxy.wait_for_servers()
        self.keys = [keys_of_group(group, 2, 20) for group in range(2)]

    def client(self):
        return self.proxy.client(timeout=IO_TIMEOUT_S)

    def all_servers(self):
        return [*self.masters, *self.replicas]

    def wait_for_replica(self, client, key, replicas, command=("GET",)):
        """Until a read of this client goes to one of these replicas."""
        name = command[0].lower()

        def went_there():
            before = sum(calls(replica, name) for replica in replicas)
            client.call(*command, key)
            return sum(calls(replica, name) for replica in replicas) > before
        wait_until(went_there, 20, "reads to go to a replica")

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        self.proxy.__exit__(kind, *rest)
        for server in self.all_servers():
            server.send_signal(signal.SIGCONT)
            server.stop()


def test_who_reads_where(t):
    with Replicated(t) as cluster, cluster.client() as plain, cluster.client() as reader:
        first, second = cluster.keys[0][0], cluster.keys[1][0]
        plain.call("MSET", first, "a", second, "b")
        t.equal(reader.call("READONLY"), "OK", "READONLY")
        cluster.wait_for_replica(reader, first, cluster.replicas[:2])
        cluster.wait_for_replica(reader, second, cluster.replicas[2:])

        before = [calls(server, "get") for server in cluster.all_servers()]
        for _ in range(50):
            t.equal(plain.call("GET", first), b"a", "a plain client's read")
        after = [calls(server, "get") for server in cluster.all_servers()]
        t.equal([after[i] - before[i] for i in range(5)], [50, 0, 0, 0, 0], "goes to the master")
        t.equal(reader.call("GET", first), b"a", "a READONLY client's read")
        served = [calls(server, "get") - count for server, count in zip(cluster.all_servers(), after)]
        t.check(served[0] == 0 and sorted(served[2:4]) == [0, 1], "goes to one of the replicas", served)

        # A replica gets reads, whatever else this client asks for.
        def spread(*request):
            name = request[0].lower()
            before = [calls(server, name) for server in cluster.all_servers()]
            reply = reader.call(*request)
            counts = [calls(server, name) - count for server, count in zip(cluster.all_servers(), before)]
            return reply, sum(counts[:2]), sum(counts[2:])
        t.equal(spread("MGET", first, second, "{%s}x" % first), ([b"a", b"b", None], 0, 2), "MGET is split over replicas")
        t.equal(spread("EXISTS", first), (1, 0, 1), "EXISTS")
        t.equal(spread("STRLEN", first), (1, 0, 1), "STRLEN")
        t.equal(spread("LCS", "{%s}x" % first, first), (b"", 0, 1), "a read with several keys")
        t.equal(spread("PFCOUNT", "{%s}x" % first), (0, 1, 0), "PFCOUNT may write")
        t.equal(spread("DBSIZE"), (2, 2, 0), "what concerns all groups goes to masters")
        reader.call("MULTI")
        reader.call("GET", first)
        before = sum(calls(server, "get") for server in cluster.replicas)
        t.equal(reader.call("EXEC"), [b"a"], "a transaction")
        t.equal(sum(calls(server, "get") for server in cluster.replicas), before, "goes to the master")
        t.equal(reader.call("SET", first, "c"), "OK", "a write")
        t.equal(reader.call("READWRITE"), "OK", "READWRITE")
        t.equal(spread("GET", first), (b"c", 1, 0), "and then reads go to masters again")
        reader.call("READONLY")
        reader.call("RESET")
        t.equal(spread("GET", first), (b"c", 1, 0), "RESET ends it, too")


def test_resp3(t):
    """Each protocol has its own connection to a replica."""
    with Replicated(t) as cluster, cluster.client() as old, cluster.client() as new:
        key = cluster.keys[1][0]
        old.call("HSET", key, "field", "value")
        new.call("HELLO", "3")
        for client in (old, new):
            client.call("READONLY")
            cluster.wait_for_replica(client, key, cluster.replicas[2:], ("HGETALL",))
        for _ in range(20):
            t.equal(old.call("HGETALL", key), [b"field", b"value"], "RESP2")
            t.equal(new.call("HGETALL", key), {b"field": b"value"}, "RESP3")
            t.equal(new.call("GET", "{%s}x" % key), None, "null")
        new.call("CLIENT", "TRACKING", "ON")
        before = calls(cluster.replicas[2], "strlen")
        new.call("STRLEN", key + "x")
        t.equal(calls(cluster.replicas[2], "strlen"), before, "with CLIENT TRACKING the master is asked")


def test_own_writes(t):
    """A client that reads from replicas finds what it has written, however it pipelines and whoever lags."""
    with Replicated(t) as cluster, cluster.client() as client:
        client.call("READONLY")
        key = cluster.keys[0][0]
        cluster.wait_for_replica(client, key, cluster.replicas[:2])
        for number in range(300):
            t.equal(client.call_many([["SET", key, number], ["GET", key]])[1], b"%d" % number, "pipelined")
            t.equal(client.call("GET", key), b"%d" % number, "afterwards")
        for replica in cluster.replicas[:2]:
            with replica.client() as direct:
                direct.call("REPLICAOF", "127.0.0.1", 1)  # Nobody: it keeps what it has.
        t.equal(client.call("SET", key, "new"), "OK", "a write that replicas do not get")
        for _ in range(50):
            t.equal(client.call("GET", key), b"new", "is read all the same")
        cluster.wait_for_replica(client, cluster.keys[1][0], cluster.replicas[2:])


def test_bounded_age(t):
    """A replica that lags is read from for replica_max_lag and no longer."""
    with Replicated(t, BOUNDED) as cluster, cluster.client() as client, cluster.client() as writer:
        client.call("READONLY")
        key = cluster.keys[1][0]
        writer.call("SET", key, 0)
        cluster.wait_for_replica(client, key, cluster.replicas[2:])
        with cluster.replicas[2].client() as direct:
            direct.call("REPLICAOF", "127.0.0.1", 1)
        written = []
        end = time.monotonic() + 3
        number = 0
        while time.monotonic() < end:
            number += 1
            writer.call("SET", key, number)
            written.append((time.monotonic(), number))
            asked = time.monotonic()
            value = int(client.call("GET", key))
            # The newest that was written more than the bound before the read began must be seen.
            due = max((count for when, count in written if when < asked - BOUND_S), default=0)
            if not t.check(value >= due, "no older than replica_max_lag", value, due):
                break
            time.sleep(0.005)
        before = calls(cluster.replicas[2], "get")
        t.equal(int(client.call("GET", key)), number, "then the master is read")
        t.equal(calls(cluster.replicas[2], "get"), before, "and the replica is not")
        wait_until(lambda: "not reading from replica" in cluster.proxy.log(), 10, "the proxy to say so")
        replicate(cluster.replicas[2], cluster.masters[1])
        cluster.wait_for_replica(client, key, cluster.replicas[2:])


def test_stalled(t):
    """A replica whose link is up, and over which nothing comes, is read from no longer than the bound says."""
    master, replica = RedisServer("--repl-diskless-sync-delay", "0"), RedisServer()
    link = Stalling(master)
    replicate(replica, link)
    groups = [{"server": master.address, "replicas": [replica.address]}]
    try:
        with PikaProxy(t.pikaproxy, groups, {**OPTIONS, **BOUNDED}) as proxy, proxy.client() as client, \
                proxy.client() as writer:
            client.call("READONLY")
            writer.call("SET", "key", 0)
            number = 0
            seen_old = False
            # Where the time was up before anybody had read, nothing has been seen.
            for _ in range(ATTEMPTS):
                link.may_pass.set()
                before = calls(replica, "get")
                wait_until(lambda: client.call("GET", "key") and calls(replica, "get") > before, 20,
                           "reads from the replica")
                link.hold()
                due = []
                end = time.monotonic() + 2.5
                while time.monotonic() < end:
                    number += 1
                    writer.call("SET", "key", number)
                    due.append((time.monotonic(), number))
                    asked = time.monotonic()
                    value = int(client.call("GET", "key"))
                    seen_old = seen_old or value < number
                    oldest = max((count for when, count in due if when < asked - BOUND_S), default=0)
                    if not t.check(value >= oldest, "no older than replica_max_lag", value, oldest):
                        break
                    time.sleep(0.01)
                if seen_old:
                    break
            t.check(seen_old, "it was read from at first")
            t.equal(int(client.call("GET", "key")), number, "and not at last")
            t.check(is_up(replica), "though its link is up")
    finally:
        link.close()
        master.stop()
        replica.stop()


def test_what_came_with_a_slot(t):
    """A replica that has not got what was moved to its group is not asked for it, however fresh it is."""
    servers = [RedisServer("--repl-diskless-sync-delay", "0") for _ in range(3)]
    link = Stalling(servers[1])
    replicate(servers[2], link)
    proxy = PikaProxy(t.pikaproxy, [], {**OPTIONS, "proxy.replica_max_lag": "10m"})
    try:
        api = log_in(proxy)
        groups = [api.add_group([servers[0].address]), api.add_group([servers[1].address, servers[2].address])]
        keys = ["{a}", "{b}"]
        other = next("k%d" % number for number in range(100)
                     if slot_of("k%d" % number) not in {slot_of(key) for key in keys})
        api.assign(0, 1023, groups[0])
        api.await_migration(api.migrate(slot_of(other), slot_of(other), groups[1]))
        with proxy.client() as client, proxy.client() as writer:
            client.call("READONLY")
            for key in (*keys, other):
                writer.call("SET", key, "value")
            before = calls(servers[2], "get")
            wait_until(lambda: client.call("GET", other) and calls(servers[2], "get") > before, 20,
                       "the replica to be read from")
            link.hold()
            for key in keys:
                api.await_migration(api.migrate(slot_of(key), slot_of(key), groups[1]))
                for _ in range(20):
                    t.equal(client.call("GET", key), b"value", "what has just been moved is there")
            before = calls(servers[2], "get")
            t.equal(client.call("GET", other), b"value", "another key of the group")
            t.equal(calls(servers[2], "get"), before + 1, "is read from the replica all the same")
            link.may_pass.set()
            before = calls(servers[2], "get")
            wait_until(lambda: client.call("GET", keys[0]) == b"value" and calls(servers[2], "get") > before, 20,
                       "the replica to be read from when it has it")
    finally:
        link.close()
        proxy.stop()
        for server in servers:
            server.stop()


def test_replicas_that_fail(t):
    with Replicated(t, {"backend.request_timeout": "1s", "proxy.replica_max_lag": "2s"}) as cluster, \
            cluster.client() as client:
        client.call("READONLY")
        key = cluster.keys[1][0]
        client.call("SET", key, "v")
        cluster.wait_for_replica(client, key, cluster.replicas[2:])
        # Hanging: the reads that it got go to the master when the time is up, later ones at once.
        cluster.replicas[2].send_signal(signal.SIGSTOP)
        replies = client.call_many([["GET", key]] * 20 + [["MGET", key, cluster.keys[0][0]]])
        t.equal(replies, [b"v"] * 20 + [[b"v", None]], "reads that a hanging replica got")
        start = time.monotonic()
        for _ in range(20):
            t.equal(client.call("GET", key), b"v", "a later read")
        t.check(time.monotonic() - start < 10, "later reads do not wait for it, a second each")
        cluster.replicas[2].send_signal(signal.SIGCONT)
        cluster.wait_for_replica(client, key, cluster.replicas[2:])
        # Without its master, and told not to serve old data.
        with cluster.replicas[2].client() as direct:
            direct.call("CONFIG", "SET", "replica-serve-stale-data", "no")
            direct.call("REPLICAOF", "127.0.0.1", 1)
            t.error(direct.call("GET", key), "MASTERDOWN ", "it refuses reads")
        for _ in range(100):
            t.equal(client.call("GET", key), b"v", "which the master then answers")
        with cluster.replicas[2].client() as direct:
            direct.call("REPLICAOF", cluster.masters[1].host, cluster.masters[1].port)
        cluster.wait_for_replica(client, key, cluster.replicas[2:])
        # Gone: its connections end in the middle of reads.
        reads = Background(lambda: [client.call("GET", key) for _ in range(2000)])
        cluster.replicas[2].kill()
        t.equal(set(reads.result()), {b"v"}, "reads while it dies")
        # Made a master: its data is its own from then on.
        client.call("SET", cluster.keys[0][0], "w")
        for replica in cluster.replicas[:2]:
            with replica.client() as direct:
                direct.call("REPLICAOF", "NO", "ONE")
                direct.call("SET", cluster.keys[0][0], "other")
        wait_until(lambda: cluster.proxy.log().count("is a master itself") >= 2, 20, "both to be found out")
        t.equal(client.call("GET", cluster.keys[0][0]), b"w", "a promoted replica is not read from")
        t.check(cluster.proxy.http("/readyz")[0] == 200, "a proxy without replicas is ready")


def test_settings(t):
    with Replicated(t, {"proxy.read_from": "replica"}) as cluster, cluster.client() as client, \
            cluster.client() as writer:
        key = cluster.keys[1][0]
        writer.call("READWRITE")
        writer.call("SET", key, "v")
        wait_until(lambda: client.call("GET", key) == b"v", 20, "replicas to be known")
        before = calls(cluster.masters[1], "get")
        for _ in range(50):
            reply = client.call("GET", key)
            t.check(reply == b"v" or isinstance(reply, RespError), "reads from replicas only", reply)
        t.equal(calls(cluster.masters[1], "get"), before, "and none from the master")
        cluster.replicas[2].kill()

        def refused():
            reply = client.call("GET", key)
            return isinstance(reply, RespError) and "no replica of group g1 can be read from" in reply
        wait_until(refused, 20, "reads to be refused")
        t.error(client.call("MGET", key, cluster.keys[0][0]), "ERR no replica of group g1", "MGET, too")
        t.equal(client.call("CONFIG", "SET", "proxy.read_from", "prefer_replica"), "OK", "another setting")
        with cluster.client() as later:
            t.equal(later.call("GET", key), b"v", "for connections made from then on")
        t.equal(client.call("CONFIG", "GET", "proxy.read_from"), [b"proxy.read_from", b"prefer_replica"], "CONFIG GET")
        cluster.proxy.groups[0]["replicas"] = []
        cluster.proxy.options["proxy.read_from"] = "prefer_replica"
        cluster.proxy.reload()
        first = cluster.keys[0][0]

        def from_master():
            before = calls(cluster.masters[0], "strlen")
            with cluster.client() as later:
                later.call("STRLEN", first)
            return calls(cluster.masters[0], "strlen") > before
        wait_until(from_master, 20, "replicas that were taken out to be left alone")


def log_in(proxy):
    password = os.path.join(proxy.directory, "pikaproxy-data", "admin-password")
    wait_until(lambda: os.path.exists(password) and open(password).read().strip(), 20, "the first password")
    api = AdminApi("http://127.0.0.1:%d" % proxy.admin_port)
    api.log_in("admin", open(password).read().strip())
    return api


def test_moving(t):
    """While a slot goes back and forth, nobody finds a key missing or older than the bound."""
    servers = [RedisServer("--repl-diskless-sync-delay", "0") for _ in range(4)]
    for master, replica in ((0, 1), (2, 3)):
        replicate(servers[replica], servers[master])
    proxy = PikaProxy(t.pikaproxy, [], {**OPTIONS, **BOUNDED})
    try:
        api = log_in(proxy)
        groups = [api.add_group([servers[first].address, servers[first + 1].address]) for first in (0, 2)]
        api.assign(0, 1023, groups[0])
        key = "counter"
        written = []  # (when it was answered, the value)
        ended = threading.Event()

        def write():
            with proxy.client(timeout=IO_TIMEOUT_S) as client:
                while not ended.is_set():
                    value = client.call("INCR", key)
                    written.append((time.monotonic(), value))
                    time.sleep(0.001)

        def read():
            late = []
            with proxy.client(timeout=IO_TIMEOUT_S) as client:
                client.call("READONLY")
                while not ended.is_set():
                    asked = time.monotonic()
                    value = int(client.call("GET", key) or 0)
                    due = max((count for when, count in list(written)[-4000:] if when < asked - BOUND_S), default=0)
                    if value < due:
                        late.append((value, due))
            return late

        with proxy.client() as client:
            client.call("SET", key, 0)
        work = [Background(write), Background(read), Background(read)]
        slot = slot_of(key)
        for number in range(6):
            replica = servers[1 if number % 2 == 0 else 3]
            before = calls(replica, "get")
            wait_until(lambda: calls(replica, "get") > before + 5, 20, "the group's replica to be read from")
            api.await_migration(api.migrate(slot, slot, groups[1 - number % 2]))
        ended.set()
        for one in work:
            t.check(not one.result(), "no read was older than the bound", one.result())
        t.check(len(written) > 200, "there was something to see", len(written))
    finally:
        proxy.stop()
        for server in servers:
            server.stop()


def logged_in(proxy, user, port=None):
    client = Resp(proxy.host, port or proxy.port, timeout=IO_TIMEOUT_S)
    if user is not None and client.call("AUTH", user, "p") != "OK":
        raise RuntimeError("cannot log in as %s" % user)
    return client


def test_users_and_listeners(t):
    """The connection's word counts before the user's, this before the listener's, this before [proxy]'s."""
    users = [{"name": "default", "admin": True}, {"name": "plain", "password": "p"},
             {"name": "near", "password": "p", "read_from": "prefer_replica"},
             {"name": "only", "password": "p", "read_from": "replica"},
             {"name": "far", "password": "p", "read_from": "master"}]
    port = free_port()
    listener = {"address": "127.0.0.1:%d" % port, "read_from": "prefer_replica"}
    with Replicated(t, users=users, tables=[("listener", listener)]) as cluster:
        proxy, key = cluster.proxy, cluster.keys[0][0]
        with cluster.client() as writer:
            writer.call("SET", key, "v")

        def reads_from_replica(client, expected=True):
            if expected:  # What replicas have is asked for when somebody wants to know.
                cluster.wait_for_replica(client, key, cluster.replicas[:2])
            before = [sum(calls(server, "get") for server in servers) for servers in (cluster.masters, cluster.replicas)]
            for _ in range(5):
                t.equal(client.call("GET", key), b"v", "GET")
            after = [sum(calls(server, "get") for server in servers) for servers in (cluster.masters, cluster.replicas)]
            got = [after[i] - before[i] for i in range(2)]
            t.check(sorted(got) == [0, 5], "all to one kind", got)
            return got[1] == 5

        with logged_in(proxy, "near") as warm:
            cluster.wait_for_replica(warm, key, cluster.replicas[:2])
        for by_listener, user, expected in (
                (False, None, False), (False, "plain", False), (False, "near", True), (False, "only", True), (False, "far", False),
                (True, None, True), (True, "plain", True), (True, "near", True), (True, "only", True), (True, "far", False)):
            with logged_in(proxy, user, port if by_listener else None) as client:
                what = "%s by the %s" % (user, "listener" if by_listener else "usual port")
                t.equal(reads_from_replica(client, expected), expected, what)
                client.call("READWRITE")
                t.equal(reads_from_replica(client, False), False, what + ", READWRITE")
                client.call("READONLY")
                t.equal(reads_from_replica(client), True, what + ", READONLY")
                # What the connection says stays when its user changes; RESET ends both.
                client.call("AUTH", "far", "p")
                t.equal(reads_from_replica(client), True, what + ", READONLY, then AUTH far")
                client.call("RESET")
                t.equal(reads_from_replica(client, by_listener), by_listener, what + ", RESET")
                client.call("AUTH", "far", "p")
                t.equal(reads_from_replica(client, False), False, what + ", AUTH far")
        # Another policy for those who are connected.
        with logged_in(proxy, "near") as client, logged_in(proxy, None, port) as other:
            proxy.users[2]["read_from"] = "master"
            proxy.tables = [("listener", {**listener, "read_from": "master"})]
            proxy.reload()
            wait_until(lambda: not reads_from_replica(client, False), 20, "the user's new policy")
            t.equal(reads_from_replica(other), True, "a listener's is for connections made from then on")
        with logged_in(proxy, None, port) as client:
            t.equal(reads_from_replica(client, False), False, "such as this")


def test_bounds_of_users(t):
    """Each has a bound of their own on the age of what they read."""
    users = [{"name": "default", "admin": True}, {"name": "patient", "password": "p", "read_from": "replica", "replica_max_lag": "10m"},
             {"name": "strict", "password": "p", "read_from": "replica", "replica_max_lag": "800ms"}]
    with Replicated(t, {"proxy.replica_max_lag": "20s"}, users=users) as cluster:
        key = cluster.keys[1][0]
        replica = cluster.replicas[2]
        with logged_in(cluster.proxy, "patient") as patient, logged_in(cluster.proxy, "strict") as strict, \
                cluster.client() as writer:
            writer.call("SET", key, "old")
            for client in (patient, strict):
                wait_until(lambda client=client: client.call("GET", key) == b"old", 20, "the replica to be read from")
            replica.send_signal(signal.SIGSTOP)
            cluster.masters[1].send_signal(signal.SIGSTOP)
            # Nothing is heard of them any more.
            replica_error = "ERR no replica of group g1 can be read from: none is known to be fresh enough"
            wait_until(lambda: str(strict.call("GET", key)).startswith(replica_error), 20, "the strict bound to be over")
            replica.send_signal(signal.SIGCONT)
            t.equal(patient.call("GET", key), b"old", "who is patient reads on")
            t.error(strict.call("GET", key), replica_error, "who is not gets an error")
            cluster.masters[1].send_signal(signal.SIGCONT)


def test_nearest(t):
    """Replicas of the proxy's own zone are read from, and otherwise the master."""
    with Replicated(t, {"proxy.read_from": "nearest", "proxy.zone": "east"}, tables=[
            ("zone", {"name": "east", "servers": ["10.9.*"]}), ("zone", {"name": "west", "servers": ["127.*"]})]) as cluster:
        first, second = cluster.keys[0][0], cluster.keys[1][0]
        proxy = cluster.proxy

        def served(client, key, times=10):
            before = [calls(server, "get") for server in cluster.all_servers()]
            for _ in range(times):
                client.call("GET", key)
            return [calls(server, "get") - count for server, count in zip(cluster.all_servers(), before)]

        def use(zone, near):
            proxy.options["proxy.zone"] = zone
            proxy.tables = [("zone", {"name": "east", "servers": near}), ("zone", {"name": "west", "servers": ["127.*"]})]
            proxy.reload()

        with cluster.client() as client:
            with cluster.client() as other:
                other.call("READWRITE")
                other.call("READONLY")  # Stays "nearest".
                t.equal(served(other, first)[2:], [0, 0, 0], "READONLY leads to no other zone")
            t.equal(served(client, first), [10, 0, 0, 0, 0], "no replica is near")
            use("east", [cluster.replicas[1].address])
            cluster.wait_for_replica(client, first, cluster.replicas[1:2])
            t.equal(served(client, first), [0, 0, 0, 10, 0], "the replica that is near, and no other")
            t.equal(served(client, second), [0, 10, 0, 0, 0], "in a group without one, the master")
            t.equal(client.call("SET", first, "v"), "OK", "a write")
            use("west", [cluster.replicas[1].address])
            cluster.wait_for_replica(client, second, cluster.replicas[2:])
            use("east", [cluster.replicas[1].address])
            wait_until(lambda: served(client, second, 1)[4] == 0, 20, "the zone to change")
            cluster.wait_for_replica(client, first, cluster.replicas[1:2])
            cluster.replicas[1].stop()
            t.equal(client.call("GET", first), b"v", "the master makes up for a replica that is near and gone")


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
