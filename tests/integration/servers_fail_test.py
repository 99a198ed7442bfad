#!/usr/bin/env python3
"""One of three groups fails, in every way a server can: its requests get one clear error each, all others their
replies, in order; the other groups never wait; and once the server is well again so are its requests.

    servers_fail_test.py --pikaproxy build/dev/pikaproxy [--seed N] [names of tests]
"""

import os
import select
import signal
import socket
import struct
import sys
import threading

import fake_dns
from checks import keys_of_group, run_tests
from fake_server import FakeServer
from resp import RespError, encode
from servers import PikaProxy, RedisServer, free_port, wait_until

GROUPS = 3
BAD = 1  # The group that fails; the others are 0 and 2.
RECOVERY_S = 20
CLIENTS = 4  # So many that each of the two workers has some.
# A server that is only slow, because the machine is, must not count as one that fails.
OPTIONS = {"proxy.workers": 2, "backend.connect_timeout": "10s", "backend.request_timeout": "20s",
           "backend.reconnect_max": "100ms"}
IMPATIENT = {"backend.connect_timeout": "500ms", "backend.request_timeout": "3s"}  # For servers that do not answer.
ATTEMPTS = 5

KEYS = [keys_of_group(group, GROUPS, 20) for group in range(GROUPS)]


class Cluster:
    """A proxy over two real servers and, as group 1, the one that fails."""

    def __init__(self, t, bad, options=None, **group):
        self.t = t
        self.bad = bad
        self.address = bad if isinstance(bad, str) else bad.address
        self.good = [RedisServer(), RedisServer()]
        servers = [self.good[0], {"server": self.address, **group}, self.good[1]]
        try:
            self.proxy = PikaProxy(t.pikaproxy, servers, {**OPTIONS, **(options or {})})
        except BaseException:
            self.stop_servers()
            raise
        self.label = r"server %s of group g1" % self.address.replace(".", r"\.")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        try:
            self.proxy.__exit__(*exception)
        finally:
            self.stop_servers()

    def stop_servers(self):
        for server in self.good:
            server.stop()

    def inflight(self):
        return self.proxy.metric("pikaproxy_backend_inflight_requests", group="g1")

    def wait_inflight(self, count):
        wait_until(lambda: self.inflight() >= count, 10, "%d requests in flight at the bad server" % count)

    def wait_up(self, expected):
        wait_until(lambda: self.proxy.metric("pikaproxy_backend_up", group="g1") == expected, 10,
                   "the metric pikaproxy_backend_up to be %d" % expected)

    def check_mixed_pipeline(self, pattern, what):
        """Requests to all groups in one pipeline: the bad group's fail, the rest is right and in order."""
        t = self.t
        with self.proxy.client() as client:
            requests, expected = mixed_pipeline(what)
            client.send_bytes(b"".join(encode(*request) for request in requests))
            check_mixed_replies(t, client, requests, expected, pattern, what)

    def check_others_answer(self, what):
        """Two hundred requests to the good groups over several clients, so over both workers."""
        clients = [self.proxy.client() for _ in range(CLIENTS)]
        try:
            for number in range(25):
                for client in clients:
                    for group in (0, 2):
                        key = KEYS[group][number % len(KEYS[group])]
                        value = b"%d-%d" % (number, group)
                        replies = client.call_many([("SET", key, value), ("GET", key)])
                        if replies != ["OK", value]:
                            self.t.equal(replies, ["OK", value], what + ": other groups answer")
                            return
        finally:
            for client in clients:
                client.close()
        self.t.check(True, what + ": other groups answer")

    def check_recovers(self, what):
        """The bad group's requests work over both workers, and stay so."""
        clients = [self.proxy.client() for _ in range(CLIENTS)]
        last = [None] * CLIENTS

        def all_work():
            for number, client in enumerate(clients):
                last[number] = client.call_many([("SET", KEYS[BAD][number], "well"), ("GET", KEYS[BAD][number])])
            return all(replies == ["OK", b"well"] for replies in last)

        try:
            wait_until(all_work, RECOVERY_S, "the group to work again")
            self.t.check(all_work(), what + ": works again and goes on doing so", last)
        except TimeoutError:
            self.t.check(False, what + ": works again", "after %d s: %r" % (RECOVERY_S, last))
        finally:
            for client in clients:
                client.close()

    def check_errors(self, count, pattern, what):
        """Requests to the bad group, by several clients at once."""
        clients = [self.proxy.client() for _ in range(CLIENTS)]
        try:
            for client in clients:
                for number in range(count):
                    client.send("GET", KEYS[BAD][number % len(KEYS[BAD])])
                client.send("ECHO", "end")
            for client in clients:
                for _ in range(count):
                    if not self.t.error(client.read(), pattern, what):
                        return
                self.t.equal(client.read(), b"end", what + ": exactly one reply each")
        finally:
            for client in clients:
                client.close()


def mixed_pipeline(value):
    """Requests, and what each answers; ERROR where the bad group takes part."""
    requests, expected = [], []
    for number in range(10):
        good, bad, other = (KEYS[group][number] for group in range(GROUPS))
        text = "%s %d" % (value, number)
        for request, reply in [
                (("SET", good, text), "OK"),
                (("GET", bad), ERROR),
                (("GET", good), text.encode()),
                (("MSET", other, text, good, text), "OK"),
                (("INCR", bad), ERROR),
                (("MGET", good, other), [text.encode()] * 2),
                (("MGET", other, bad, good), ERROR),
                (("ECHO", text), text.encode()),
                (("DEL", good, bad, other), ERROR),
                (("NOSUCH", bad), RespError("ERR unknown command 'NOSUCH', with args beginning with: '%s' " % bad)),
                (("EXISTS", good, other), 0),
        ]:
            requests.append(request)
            expected.append(reply)
    return requests, expected


ERROR = object()


def check_mixed_replies(t, client, requests, expected, pattern, what):
    client.send("ECHO", "end of the pipeline")
    for number, (request, reply) in enumerate(zip(requests, expected)):
        got = client.read()
        name = "%s: reply %d, to %r" % (what, number, request)
        if not (t.error(got, pattern, name) if reply is ERROR else t.equal(got, reply, name)):
            return
    t.equal(client.read(), b"end of the pipeline", what + ": one reply for each request")


def is_silent(client):
    return not select.select([client.socket], [], [], 0)[0]


UNREACHABLE = r"ERR %s is not reachable: "
EITHER = r"ERR %s (is not reachable: |.*; the request may or may not have been executed$)"


def test_killed(t):
    """SIGKILL with requests in flight, then a new server on the same port."""
    server = RedisServer()
    try:
        with Cluster(t, server) as cluster:
            cluster.check_recovers("before")
            server.send_signal(signal.SIGSTOP)  # Requests stay in flight until the kill.
            with cluster.proxy.client() as client:
                requests, expected = mixed_pipeline("killed")
                client.send_bytes(b"".join(encode(*request) for request in requests))
                cluster.wait_inflight(40)
                cluster.check_others_answer("while it hangs")
                port = server.port
                server.kill()
                check_mixed_replies(t, client, requests, expected, EITHER % cluster.label, "in flight at the kill")
            # The dying process may still take a connection before its port is closed.
            cluster.check_errors(20, UNREACHABLE % cluster.label + "(Connection re(fused|set by peer)|it closed the "
                                 "connection)$", "after the kill")
            cluster.check_mixed_pipeline(UNREACHABLE % cluster.label, "after the kill, mixed")
            cluster.check_others_answer("after the kill")
            cluster.wait_up(0)
            server.stop()
            server = RedisServer(port=port)
            cluster.check_recovers("a new server on the port")
            cluster.wait_up(1)
            wait_until(lambda: cluster.inflight() == 0, 10, "nothing to be in flight")
            t.check(True, "metrics say down and up, and that nothing is left in flight")
    finally:
        server.stop()


def test_stopped(t):
    """SIGSTOP: the kernel still takes connections and bytes."""
    with RedisServer() as server, Cluster(t, server, IMPATIENT) as cluster:
        cluster.check_recovers("before")
        # Where the others took so long that the time was up before, nothing is said about them.
        for _ in range(ATTEMPTS):
            server.send_signal(signal.SIGSTOP)
            with cluster.proxy.client() as client:
                requests, expected = mixed_pipeline("stopped")
                client.send_bytes(b"".join(encode(*request) for request in requests))
                try:
                    wait_until(lambda: cluster.inflight() >= 40, 2, "requests in flight")
                    cluster.check_others_answer("while it is stuck")
                    were_stuck = cluster.inflight() >= 40 and not client_has_errors(client)
                except TimeoutError:
                    were_stuck = False
                check_mixed_replies(t, client, requests, expected,
                                    r"ERR %s did not answer within 3000 ms; " % cluster.label, "stuck")
            if were_stuck:
                break
            server.send_signal(signal.SIGCONT)
            cluster.check_recovers("after SIGCONT")
        t.check(were_stuck, "the others answered while requests were stuck")
        cluster.check_errors(20, r"ERR %s (is not reachable: |did not answer within )" % cluster.label,
                             "later requests")
        cluster.check_others_answer("after the time-out")
        server.send_signal(signal.SIGCONT)
        cluster.check_recovers("after SIGCONT")


class SlowReader(socket.socket):
    """Takes `size` bytes with `pauses` pauses in between."""
    size, pauses, pause_s = 48 << 20, 12, 0.3

    def recv_into(self, *args):
        count = super().recv_into(*args)
        self.taken = getattr(self, "taken", 0) + count
        if self.taken // (self.size // self.pauses) > (self.taken - count) // (self.size // self.pauses):
            threading.Event().wait(self.pause_s)
        return count


def test_takes_a_large_request_bit_by_bit(t):
    """Longer than backend.request_timeout in all, but never silent for so long."""
    def slow_down(connection):
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        connection.socket = SlowReader(fileno=connection.socket.detach())

    with FakeServer() as bad:
        bad.on_accept = slow_down
        with Cluster(t, bad, {"backend.request_timeout": "2s"}) as cluster, \
                cluster.proxy.client(timeout=60) as client:
            key = KEYS[BAD][0]
            value = b"x" * SlowReader.size
            t.equal(client.call("SET", key, value), "OK", "a request that takes its time")
            t.check(client.call("GET", key) == value, "is whole")


def client_has_errors(client):
    """Whether an error has come, without reading it: only the good groups' replies are there."""
    if is_silent(client):
        return False
    return b"-ERR server" in client.socket.recv(1 << 20, socket.MSG_PEEK)


def fake_cluster(t, options=None, **group):
    fake = FakeServer()
    try:
        return fake, Cluster(t, fake, options, **group)
    except BaseException:
        fake.stop()
        raise


def check_broken_answer(t, answer, reason):
    """Every GET, MGET, INCR and DEL is answered with `answer`, a protocol violation; then the server is well."""
    fake, cluster = fake_cluster(t)
    with fake, cluster:
        cluster.check_recovers("before")
        fake.behave = lambda connection, args: (
            fake.healthy(args) if args[0] == b"PING" else answer)
        cluster.check_errors(20, EITHER % cluster.label, "broken answers")
        cluster.check_mixed_pipeline(EITHER % cluster.label, "broken answers, mixed")
        cluster.check_others_answer("broken answers")
        cluster.proxy.wait_for_log(reason)
        fake.behave = lambda connection, args: fake.healthy(args)
        cluster.check_recovers("after broken answers")


def test_garbage(t):
    check_broken_answer(t, b"garbage\r\n", "not RESP2")
    # The first byte is no reply's: "+" and a line that does not end would only be a slow reply.
    check_broken_answer(t, b"\xff" + os.urandom(64), "not RESP2")


def test_resp3_answer(t):
    check_broken_answer(t, b"%1\r\n+a\r\n+b\r\n", "not RESP2")


def test_huge_length(t):
    check_broken_answer(t, b"$1000000000000000\r\nabc", "not RESP2")
    check_broken_answer(t, b"*1000000000000000\r\n$1\r\na\r\n", "not RESP2")
    check_broken_answer(t, b"$-2\r\n", "not RESP2")


def test_garbage_from_the_start(t):
    """Also the handshake is answered with garbage."""
    fake, cluster = fake_cluster(t)
    with fake, cluster:
        cluster.check_recovers("before")
        fake.behave = lambda connection, args: b"\x00\x01\x02"
        cluster.check_errors(5, EITHER % cluster.label, "garbage at once")
        fake.close_connections()
        wait_until(lambda: cluster.proxy.metric("pikaproxy_backend_up", group="g1") == 0, 10, "down in metrics")
        cluster.check_errors(5, UNREACHABLE % cluster.label, "no handshake")
        cluster.check_mixed_pipeline(UNREACHABLE % cluster.label, "no handshake, mixed")
        cluster.check_others_answer("garbage at once")
        fake.behave = lambda connection, args: fake.healthy(args)
        cluster.check_recovers("after garbage")


def test_closes_in_mid_reply(t):
    """Ten bytes announced, three sent."""
    fake, cluster = fake_cluster(t)
    with fake, cluster:
        cluster.check_recovers("before")

        def behave(connection, args):
            if args[0] == b"PING":
                return fake.healthy(args)
            connection.send(b"$10\r\nabc")
            connection.close()
            return None

        fake.behave = behave
        cluster.check_errors(20, EITHER % cluster.label, "closed in mid-reply")
        cluster.check_mixed_pipeline(EITHER % cluster.label, "closed in mid-reply, mixed")
        cluster.check_others_answer("closed in mid-reply")
        fake.behave = lambda connection, args: fake.healthy(args)
        cluster.check_recovers("after closing in mid-reply")


def test_closes_after_some_replies(t):
    """Of ten requests the first three are answered, in one piece with a part of the fourth."""
    # Connections that are made meanwhile get no answer.
    fake, cluster = fake_cluster(t, IMPATIENT)
    with fake, cluster:
        cluster.check_recovers("before")
        answered = {}

        def behave(connection, args):
            if args[0] == b"PING":
                return fake.healthy(args)
            number = answered[connection] = answered.get(connection, 0) + 1
            if number == 10:
                connection.send(b"".join(b"$1\r\n%d\r\n" % one for one in (1, 2, 3)) + b"*2\r\n$1\r\nx\r\n$")
                connection.close()
            return None

        wait_until(lambda: cluster.inflight() == 0, 10, "nothing in flight")
        fake.behave = behave
        with cluster.proxy.client() as client:
            replies = client.call_many([("GET", KEYS[BAD][number]) for number in range(10)] + [("ECHO", "end")])
        t.equal(replies[:3], [b"1", b"2", b"3"], "what was answered arrives")
        for reply in replies[3:10]:
            t.error(reply, EITHER % cluster.label, "the rest gets errors")
        t.equal(replies[10], b"end", "one reply each")
        fake.behave = lambda connection, args: fake.healthy(args)
        cluster.check_recovers("afterwards")


def test_closes_in_a_large_reply(t):
    """Half of a large reply has gone to the client: it can only be told by closing. Nobody else is hit."""
    fake, cluster = fake_cluster(t)
    with fake, cluster:
        cluster.check_recovers("before")

        def behave(connection, args):
            if args[0] != b"GET":
                return fake.healthy(args)
            connection.send(b"$1000000\r\n" + 400_000 * b"x")
            connection.close()
            return None

        fake.behave = behave
        with cluster.proxy.client() as client, cluster.proxy.client() as other:
            client.send("GET", KEYS[BAD][0])
            received = client.reader.read()
            t.check(received == b"" or received.startswith(b"-ERR server") or
                    (received.startswith(b"$1000000\r\nxxx") and len(received) <= 400_011),
                    "only bytes of the reply, then the end", received[:200], len(received))
            t.equal(other.call("ECHO", "well"), b"well", "another client goes on")
        cluster.check_others_answer("closed in a large reply")
        fake.behave = lambda connection, args: fake.healthy(args)
        cluster.check_recovers("after closing in a large reply")


def test_unsolicited(t):
    """A reply that nobody asked for must never become the answer to the next request."""
    fake, cluster = fake_cluster(t)
    with fake, cluster:
        cluster.check_recovers("before")
        wait_until(lambda: cluster.inflight() == 0, 10, "nothing in flight")
        lost = cluster.proxy.metric("pikaproxy_backend_connections_lost_total", group="g1")
        alive = [connection for connection in fake.connections if connection.socket.fileno() >= 0]
        for connection in alive:
            connection.send(b"+unasked\r\n")
        wait_until(lambda: cluster.proxy.metric("pikaproxy_backend_connections_lost_total", group="g1") > lost,
                   10, "the proxy to drop the connection")
        cluster.check_recovers("after an unasked reply")
        # Two replies to one request: the second is unasked.
        fake.behave = lambda connection, args: (
            b"+first\r\n+second\r\n" if args[0] == b"GET" else fake.healthy(args))
        for _ in range(20):
            with cluster.proxy.client() as client:
                got = client.call("GET", KEYS[BAD][0])
                if got != "first":
                    t.error(got, EITHER % cluster.label, "the first reply or an error, never the second")
        cluster.check_others_answer("unasked replies")
        fake.behave = lambda connection, args: fake.healthy(args)
        cluster.check_recovers("after double replies")


def test_error_answers(t):
    """Errors of the server are for the clients to see; the connection stays."""
    fake, cluster = fake_cluster(t)
    with fake, cluster:
        cluster.check_recovers("before")
        count = len(fake.connections)
        for text in ("LOADING Redis is loading the dataset in memory",
                     "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
                     "READONLY You can't write against a read only replica."):
            fake.behave = lambda connection, args, text=text: b"-%s\r\n" % text.encode()
            cluster.check_errors(10, "%s$" % text, text.split()[0])
            cluster.check_mixed_pipeline("%s$" % text, text.split()[0] + " mixed")
        t.equal(len(fake.connections), count, "the connections were kept")
        cluster.check_others_answer("error answers")
        # A server that is loading from the start is reachable: its own error is the answer.
        fake.behave = lambda connection, args: b"-LOADING Redis is loading the dataset in memory\r\n"
        fake.close_connections()
        wait_until(lambda: len(fake.connections) >= count + 2, 10, "new connections")
        cluster.check_errors(10, "(LOADING |%s)" % (EITHER % cluster.label), "loading from the start")

        def says_loading():
            with cluster.proxy.client() as client:
                return str(client.call("GET", KEYS[BAD][0])).startswith("LOADING ")
        wait_until(says_loading, RECOVERY_S, "LOADING as the answer")
        fake.behave = lambda connection, args: fake.healthy(args)
        cluster.check_recovers("after error answers")


def test_noauth(t):
    """A password was set at the server while it ran."""
    fake, cluster = fake_cluster(t)
    with fake, cluster:
        cluster.check_recovers("before")
        fake.behave = lambda connection, args: b"-NOAUTH Authentication required.\r\n"
        cluster.check_errors(10, r"ERR %s .*asks for a password; check the group's user and password" % cluster.label,
                             "NOAUTH")
        cluster.check_mixed_pipeline(r"ERR %s .*asks for a password" % cluster.label, "NOAUTH mixed")
        cluster.check_others_answer("NOAUTH")
        fake.behave = lambda connection, args: fake.healthy(args)
        cluster.check_recovers("after NOAUTH")


def test_accepts_and_closes(t):
    fake, cluster = fake_cluster(t)
    with fake, cluster:
        cluster.check_recovers("before")
        fake.on_accept = lambda connection: connection.close()
        fake.close_connections()
        wait_until(lambda: cluster.proxy.metric("pikaproxy_backend_up", group="g1") == 0, 10, "down in metrics")
        cluster.check_errors(20, UNREACHABLE % cluster.label, "closed at once")
        cluster.check_mixed_pipeline(UNREACHABLE % cluster.label, "closed at once, mixed")
        cluster.check_others_answer("closed at once")
        connects = len(fake.connections)
        wait_until(lambda: len(fake.connections) > connects, 10, "further attempts")
        fake.on_accept = None
        cluster.check_recovers("after closing at once")


def test_never_accepts(t):
    """A full backlog: connects neither succeed nor fail."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = []
        for _ in range(8):  # Two fill the queue; the others wait for ever in SYN_SENT.
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        cluster = Cluster(t, "127.0.0.1:%d" % port, IMPATIENT)
        with cluster:
            cluster.check_others_answer("a full backlog")
            cluster.check_errors(10, UNREACHABLE % cluster.label + "no answer within 500 ms$", "a full backlog")
            cluster.check_mixed_pipeline(UNREACHABLE % cluster.label, "a full backlog, mixed")
            for filler in fillers:
                filler.close()
            listener.close()
            server = RedisServer(port=port)
            try:
                cluster.check_recovers("a server that accepts")
            finally:
                server.stop()


def test_wrong_password(t):
    """The server refuses AUTH; later its password is what the proxy says."""
    with RedisServer("--requirepass", "right") as server, Cluster(t, server, password="wrong") as cluster:
        cluster.check_errors(10, UNREACHABLE % cluster.label + "it refused AUTH: WRONGPASS ", "wrong password")
        cluster.check_mixed_pipeline(UNREACHABLE % cluster.label, "wrong password, mixed")
        cluster.check_others_answer("wrong password")
        cluster.proxy.wait_for_log("it refused AUTH")
        t.check("wrong" not in cluster.proxy.log().replace("WRONGPASS", ""), "the log does not hold the password")
        wait_until(lambda: cluster.proxy.http("/readyz")[0] == 503, 10, "/readyz to say so")
        body = cluster.proxy.http("/readyz")[1]
        t.check("g1" in body, "/readyz names the group", body)
        with server.client() as client:
            client.call("AUTH", "right")
            client.call("CONFIG", "SET", "requirepass", "wrong")
        cluster.check_recovers("after the password was set")


def test_missing_password(t):
    """The server wants a password, the proxy has none."""
    with RedisServer("--requirepass", "right") as server, Cluster(t, server) as cluster:
        cluster.check_errors(10, UNREACHABLE % cluster.label + "it asks for a password; check the group's user",
                             "no password")
        cluster.check_others_answer("no password")
        with server.client() as client:
            client.call("AUTH", "right")
            client.call("CONFIG", "SET", "requirepass", "")
        cluster.check_recovers("after the password was removed")


def test_password_with_user(t):
    with RedisServer("--requirepass", "secret") as server, \
            Cluster(t, server, user="default", password="secret") as cluster:
        cluster.check_recovers("AUTH default secret")
    with RedisServer("--user", "app", "on", ">pass", "~*", "+@all") as server, \
            Cluster(t, server, user="app", password="pass") as cluster:
        cluster.check_recovers("AUTH app pass")
        with server.client() as direct:
            t.check(b"user=app" in direct.call("CLIENT", "LIST"), "the server knows the proxy as app")


def test_old_auth(t):
    """Servers before Redis 6 know only AUTH with one argument."""
    fake = FakeServer()
    logged_in = set()

    def behave(connection, args):
        if args[0] == b"AUTH":
            if len(args) != 2:
                return b"-ERR wrong number of arguments for 'auth' command\r\n"
            if args[1] != b"old":
                return b"-ERR invalid password\r\n"
            logged_in.add(connection)
            return b"+OK\r\n"
        if connection not in logged_in:
            return b"-NOAUTH Authentication required.\r\n"
        return fake.healthy(args)

    fake.behave = behave
    with fake, Cluster(t, fake, password="old") as cluster:
        cluster.check_recovers("AUTH with one argument")
    t.check([b"AUTH", b"default", b"old"] in fake.seen, "the form with a user is tried first",
            [args[:2] for args in fake.seen[:6]])
    with FakeServer(behave) as old, Cluster(t, old, password="false") as cluster:
        cluster.check_errors(5, UNREACHABLE % cluster.label + "it refused AUTH: ERR invalid password",
                             "bad old password")


def test_host_names(t):
    with RedisServer() as server, Cluster(t, "localhost:%d" % server.port) as cluster:
        cluster.check_recovers("localhost")
    port = free_port()
    with Cluster(t, "localhost:%d" % port) as cluster:
        cluster.check_errors(5, UNREACHABLE % cluster.label, "nobody listens there")
        server = RedisServer(port=port)
        try:
            cluster.check_recovers("a server that comes later")
        finally:
            server.stop()


def test_unknown_host(t):
    """The top-level domain "invalid" never exists."""
    with Cluster(t, "no-such-host.invalid:6379", {"backend.connect_timeout": "5s"}) as cluster:
        cluster.check_others_answer("while the name is looked up")
        cluster.check_errors(5, UNREACHABLE % cluster.label + "(cannot resolve no-such-host.invalid: .+|no answer)",
                             "an unknown host")
        cluster.check_others_answer("an unknown host")
        wait_until(lambda: cluster.proxy.http("/readyz")[0] == 503, 10, "/readyz to say so")
        body = cluster.proxy.http("/readyz")[1]
        t.check("no-such-host.invalid" in body, "/readyz names it", body)


def test_slow_dns(t):
    """One name is never answered, one late: neither may hold up the others, nor be held up for ever."""
    if not fake_dns.available():
        t.note("skipped: needs root, for a name server of its own")
        return
    delays = {"good.test": 0, "slow.test": 1.5, "silent.test": None}
    with fake_dns.FakeDns(delays) as dns, RedisServer() as good, RedisServer() as slow, RedisServer() as local:
        servers = ["silent.test:6379", "good.test:%d" % good.port, "slow.test:%d" % slow.port,
                   "localhost:%d" % local.port]
        keys = [keys_of_group(group, len(servers), 1)[0] for group in range(len(servers))]
        with PikaProxy(dns.wrapper(t.pikaproxy), servers, {"backend.connect_timeout": "1s"}) as proxy:
            clients = [proxy.client() for _ in range(CLIENTS)]
            for number in (3, 1, 2):
                replies = []

                def all_work():
                    replies[:] = [client.call("SET", keys[number], "v") for client in clients]
                    return replies == ["OK"] * CLIENTS
                try:
                    wait_until(all_work, 15, "all to work")
                except TimeoutError:
                    pass
                t.equal(replies, ["OK"] * CLIENTS, "%s is found" % servers[number])
            for client in clients:
                t.error(client.call("GET", keys[0]), "ERR server silent.test:6379 of group g0 is not reachable: ",
                        "a name that nobody answers for")
                client.close()
            asked = dns.asked.count("silent.test")
            t.check(asked < 100, "it is not asked for all the time", asked)


def test_reply_for_a_client_that_left(t):
    """Abandoned requests must not shift the replies of others on the same connection."""
    with RedisServer() as server, Cluster(t, server) as cluster:
        cluster.check_recovers("before")
        with server.client() as direct:
            for number, key in enumerate(KEYS[BAD]):
                direct.call("SET", key, "value %d" % number)
        wait_until(lambda: cluster.proxy.metric("pikaproxy_client_connections") == 0, 10, "earlier clients to be gone")
        server.send_signal(signal.SIGSTOP)
        staying = cluster.proxy.client()
        leaving = [cluster.proxy.client() for _ in range(6)]
        for client in leaving:
            client.send_bytes(b"".join(encode("GET", key) for key in KEYS[BAD][:5]))
            client.send("MGET", KEYS[0][0], KEYS[BAD][0])
        for key in KEYS[BAD]:
            staying.send("GET", key)
        cluster.wait_inflight(len(leaving) * 6 + len(KEYS[BAD]))
        # Half of them without a word; the end of what the others send is not the end of what they wait for.
        for client in leaving[:3]:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for client in leaving:
            client.close()
        wait_until(lambda: cluster.proxy.metric("pikaproxy_client_connections") == 4, 10, "three clients to be gone")
        server.send_signal(signal.SIGCONT)
        for number, key in enumerate(KEYS[BAD]):
            t.equal(staying.read(), b"value %d" % number, "the reply to GET %s" % key)
        staying.close()


def test_missing_database(t):
    """The server has fewer databases than the proxy: only the requests for those fail."""
    with RedisServer("--databases", "2") as server, Cluster(t, server) as cluster:
        with cluster.proxy.client() as client:
            for db, works in ((1, True), (2, False), (15, False), (0, True)):
                t.equal(client.call("SELECT", db), "OK", "SELECT %d" % db)
                for _ in range(3):
                    got = client.call("SET", KEYS[BAD][0], db)
                    if works:
                        t.equal(got, "OK", "SET in database %d" % db)
                    else:
                        t.error(got, UNREACHABLE % cluster.label + "it refused SELECT: ERR DB index is out of range",
                                "SET in database %d" % db)
                    t.equal(client.call("SET", KEYS[0][0], db), "OK", "SET of another group in database %d" % db)
        cluster.check_recovers("database 0")
        t.equal(cluster.proxy.http("/readyz")[0], 200, "/readyz")


def test_mset_with_a_dead_group(t):
    """An error of one part is the answer; the other parts' keys may have been set."""
    port = free_port()
    with Cluster(t, "127.0.0.1:%d" % port) as cluster, cluster.proxy.client() as client:
        for request in (["MSET", KEYS[0][0], "1", KEYS[BAD][0], "2", KEYS[2][0], "3"],
                        ["MGET", KEYS[0][0], KEYS[BAD][0], KEYS[2][0]],
                        ["DEL", KEYS[0][0], KEYS[BAD][0]], ["EXISTS", KEYS[BAD][0], KEYS[2][0]],
                        ["UNLINK", KEYS[BAD][0], KEYS[2][0]], ["TOUCH", KEYS[BAD][0], KEYS[2][0]],
                        ["DBSIZE"], ["KEYS", "*"], ["FLUSHDB"], ["FLUSHALL"],
                        ["SCRIPT", "FLUSH"], ["SCRIPT", "LOAD", "return 1"]):
            t.error(client.call(*request), UNREACHABLE % cluster.label, "%s with a dead group" % request[0])
        t.equal(client.call("PING"), "PONG", "the connection is kept")
        t.equal(client.call("EVAL", "return 1", "0"), 1, "a script without keys runs at a group that lives")


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
