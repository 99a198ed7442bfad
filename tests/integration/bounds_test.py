#!/usr/bin/env python3
"""Limits hold: what is too much is refused in words, memory stays bounded and is given back, and whoever is within
his limits notices nothing.

    bounds_test.py --pikaproxy build/dev/pikaproxy [--seed N] [names of tests]
"""

import hashlib
import re
import resource
import select
import signal
import socket
import sys
import time

from checks import Background, keys_of_group, pipeline, run_tests
from resp import RespError, encode
from servers import PikaProxy, RedisServer, wait_until

MB = 1 << 20
GROUPS = 3
GIVE_BACK_S = 20  # How long the proxy may take to return memory to the system.


class Cluster:
    def __init__(self, t, options=None, groups=1, allowed_errors=()):
        self.servers = []
        try:
            for _ in range(groups):
                self.servers.append(RedisServer("--enable-debug-command", "local"))
            self.proxy = PikaProxy(t.pikaproxy, self.servers, options, allowed_errors=allowed_errors)
            self.proxy.wait_for_servers()
        except BaseException:
            self.stop_servers()
            raise

    def client(self, timeout=30):
        return self.proxy.client(timeout=timeout)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        try:
            self.proxy.__exit__(*exception)
        finally:
            self.stop_servers()

    def stop_servers(self):
        for server in self.servers:
            server.stop()


class PeakRss:
    """Watches the resident memory of the proxy."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.start_kb = self.peak_kb = proxy.rss_kb()
        self._watching = True
        self._watcher = Background(self._watch)

    def _watch(self):
        while self._watching and self.proxy.is_running():
            self.peak_kb = max(self.peak_kb, self.proxy.rss_kb())
            time.sleep(0.005)

    def growth_mb(self):
        self._watching = False
        self._watcher.result()
        return (self.peak_kb - self.start_kb) / 1024


class Busy:
    """A client that asks all the time, as others do who must not notice anything."""

    def __init__(self, cluster):
        self.client = cluster.client(timeout=10)
        self.stopping = False
        self.work = Background(self._run)

    def _run(self):
        number = 0
        while not self.stopping:
            value = b"%d" % number
            if self.client.call_many([("SET", "busy", value), ("GET", "busy")]) != ["OK", value]:
                return "wrong reply after %d" % number
            number += 1
            time.sleep(0.001)
        return number

    def check(self, t, what):
        self.stopping = True
        done = self.work.result()
        self.client.close()
        t.check(isinstance(done, int) and done > 0, what + ": another client notices nothing", done)


def mem_available_gib():
    with open("/proc/meminfo", encoding="ascii") as meminfo:
        return int(re.search(r"MemAvailable:\s+(\d+)", meminfo.read()).group(1)) / (1 << 20)


def is_silent(client):
    return not select.select([client.socket], [], [], 0)[0]


def is_closed(client):
    """Whether the other side has closed, looking at no more than is there."""
    if is_silent(client):
        return False
    try:
        return client.socket.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True


def send_until_closed(client, raw, times):
    """Sends without reading; whether the other side closed before all was sent."""
    client.set_timeout(30)
    try:
        for _ in range(times):
            client.send_bytes(raw)
    except socket.timeout:
        raise
    except OSError:
        return True
    return False


# ---- Clients ------------------------------------------------------------------------------------


def test_max_clients(t):
    with Cluster(t, {"proxy.max_clients": 5}) as cluster:
        wait_until(lambda: cluster.proxy.metric("pikaproxy_client_connections") == 0, 10,
                   "the connection that found the proxy to be up to be forgotten")
        clients = [cluster.client() for _ in range(5)]
        for client in clients:
            t.equal(client.call("PING"), "PONG", "a client within the limit")
        for _ in range(3):
            with cluster.client() as client:
                t.equal(client.read(), RespError("ERR max number of clients reached"), "one too many")
                t.check(client.at_end(), "is closed")
        t.equal([client.call("PING") for client in clients], ["PONG"] * 5, "the others stay")
        wait_until(lambda: cluster.proxy.metric("pikaproxy_client_connections_rejected_total") == 3, 10,
                   "them to be counted")
        clients.pop().close()

        def one_more():
            client = cluster.client()
            clients.append(client)
            return client.call("PING") == "PONG"
        wait_until(one_more, 10, "room after one left")
        t.equal(clients[0].call("CONFIG", "SET", "maxclients", 50), "OK", "CONFIG SET maxclients")
        more = [cluster.client() for _ in range(20)]
        t.equal([client.call("PING") for client in more], ["PONG"] * 20, "room for more")
        t.equal(clients[0].call("CONFIG", "SET", "maxclients", 3), "OK", "fewer than there are")
        t.equal([client.call("PING") for client in more], ["PONG"] * 20, "closes nobody")
        for client in clients + more:
            client.close()


def test_long_pipeline(t):
    """A hundred thousand small commands, by clients that send first and read afterwards as far as buffers allow."""
    for pipeline_max in (1, 16, 4096):
        count = 2_000 if pipeline_max == 1 else 100_000
        with Cluster(t, {"proxy.client_pipeline_max": pipeline_max}, groups=GROUPS) as cluster:
            with cluster.client() as client:
                kinds = [encode("SET", "k%d", "%d")]
                raw = bytearray()
                expected = []
                for number in range(count):
                    kind = number % 4
                    if kind == 0:
                        raw += encode("SET", "k%d" % (number % 1000), number)
                        expected.append(b"+OK\r\n")
                    elif kind == 1:
                        raw += encode("GET", "k%d" % ((number - 1) % 1000))
                        expected.append(b"$%d\r\n%d\r\n" % (len(str(number - 1)), number - 1))
                    elif kind == 2:
                        raw += encode("ECHO", number)
                        expected.append(b"$%d\r\n%d\r\n" % (len(str(number)), number))
                    else:
                        raw += encode("MGET", "none", "k%d" % ((number - 3) % 1000))
                        expected.append(b"*2\r\n$-1\r\n$%d\r\n%d\r\n" % (len(str(number - 3)), number - 3))
                del kinds
                replies = pipeline(client, bytes(raw), count)
                t.check(replies == expected, "%d commands with client_pipeline_max %d" % (count, pipeline_max))
                # The same, with nothing more to send from the start: the end of input comes while all waits.
                sender = Background(send_and_shut, client, bytes(raw))
                received = client.reader.read()
                sender.result()
                t.check(received == b"".join(expected), "the same, half-closed, client_pipeline_max %d" % pipeline_max,
                        len(received), len(b"".join(expected)))


def send_and_shut(client, raw):
    client.send_bytes(raw)
    client.socket.shutdown(socket.SHUT_WR)


def test_pipeline_max_bounds_what_is_in_flight(t):
    with Cluster(t, {"proxy.client_pipeline_max": 16, "backend.request_timeout": "20s"}) as cluster:
        with cluster.client() as client, cluster.client() as other:
            client.call("SET", "k", "v")
            cluster.servers[0].send_signal(signal.SIGSTOP)
            sender = Background(client.send_bytes, encode("GET", "k") * 10_000)
            wait_until(lambda: in_flight(cluster) >= 16, 10, "16 requests in flight")
            t.equal(other.call("PING"), "PONG", "another client")
            t.equal(in_flight(cluster), 16.0, "no more than client_pipeline_max in flight")
            cluster.servers[0].send_signal(signal.SIGCONT)
            t.check([client.read() for _ in range(10_000)] == [b"v"] * 10_000, "all are answered afterwards")
            sender.result()


def in_flight(cluster):
    return cluster.proxy.metric("pikaproxy_backend_inflight_requests", group="g0")


def test_client_that_does_not_read(t):
    """Pipelined GETs of 16 KiB, nothing read."""
    with Cluster(t, {"proxy.client_output_max": "4mb", "proxy.client_output_timeout": "1s"}) as cluster:
        with cluster.client() as client:
            client.call("SET", "k", b"x" * 16_384)
        busy = Busy(cluster)
        peak = PeakRss(cluster.proxy)
        for _ in range(3):
            with cluster.client() as client:
                # 200 MB of requests: whatever the kernel's buffers take, some cannot be sent.
                sender = Background(send_until_closed, client, encode("GET", "k") * 1000, 9000)
                t.check(sender.result(40), "the client is closed")
        growth = peak.growth_mb()
        t.check(growth < 48, "memory stays bounded (%.1f MB more at the peak)" % growth)
        busy.check(t, "a client that does not read")
        cluster.proxy.wait_for_log("client does not read its replies: closed")
        wait_until(lambda: cluster.proxy.metric("pikaproxy_client_disconnects_total", reason="output_buffer") == 3, 10,
                   "them to be counted")


def test_client_output_timeout(t):
    """Within client_output_max, but nothing is taken for too long. A slow reader is not meant."""
    with Cluster(t, {"proxy.client_output_timeout": "3s", "proxy.client_output_max": "1gb"}) as cluster:
        with cluster.client() as client, cluster.client() as slow:
            client.call("SET", "k", b"x" * (32 * MB))
            client.send("GET", "k")
            slow.send("GET", "k")
            size = 0
            deadline = time.monotonic() + 20
            while "client does not read its replies: closed" not in cluster.proxy.log():
                size += len(slow.reader.read1(60_000))
                time.sleep(0.01)
                if time.monotonic() > deadline:
                    break
            t.check("stalled_s=" in cluster.proxy.log(), "the log says so", cluster.proxy.log()[-400:])
            size += len(slow.reader.read(32 * MB + 13 - size))
            t.equal(size, 32 * MB + 13, "a slow reader gets all of its reply")
            t.equal(slow.call("PING"), "PONG", "and stays")
            try:
                rest = client.reader.read()
                t.check(len(rest) < 32 * MB, "the other one was closed", len(rest))
            except ConnectionError:
                t.check(True, "the other one was closed")


def test_client_idle_timeout(t):
    with Cluster(t, {"proxy.client_idle_timeout": "1s", "backend.request_timeout": "3s"}) as cluster:
        idle = [cluster.client() for _ in range(4)]
        half = cluster.client()
        half.send_bytes(b"*2\r\n$3\r\nGET\r\n")
        with cluster.client() as active, cluster.client() as waiting:
            cluster.servers[0].send_signal(signal.SIGSTOP)
            waiting.send("GET", "k")
            pinger = Background(ping_until_closed, active, 0.4, 3)
            wait_until(lambda: all(is_closed(client) for client in idle + [half]) and not is_silent(waiting), 20,
                       "idle clients to be closed")
            gap = pinger.result()
            t.check(gap is None or gap > 0.9, "an active client stays",
                    "closed %.2f s after its last request" % (gap or 0))
            t.check(all(is_closed(client) for client in idle), "idle clients are closed")
            t.check(is_closed(half), "half a request does not keep a client alive")
            t.error(waiting.read(), "ERR server .* did not answer", "a client that waits for a reply is not idle")
            cluster.servers[0].send_signal(signal.SIGCONT)


def ping_until_closed(client, pause_s, duration_s):
    """The seconds from the last reply to the next request if the client was closed, else None."""
    end = time.monotonic() + duration_s
    last = time.monotonic()
    while time.monotonic() < end:
        time.sleep(pause_s)
        now = time.monotonic()
        try:
            client.call("PING")
        except OSError:
            return now - last
        last = time.monotonic()
    return None


def test_ten_thousand_idle_clients(t):
    """Each has asked once and is quiet now."""
    count = 10_000
    wanted = count + 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        except (ValueError, OSError):
            t.note("skipped: no more than %d open files are allowed here" % hard)
            return
    else:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    with Cluster(t, {"proxy.max_clients": count + 300}) as cluster:
        value = b"x" * 100
        sockets = []
        try:
            with cluster.client() as client:
                client.call("SET", "k", value)
            connect_and_get(cluster, sockets, 200, value)
            before_kb = cluster.proxy.rss_kb()
            connect_and_get(cluster, sockets, count, value)

            def bytes_each():
                return (cluster.proxy.rss_kb() - before_kb) * 1024 / count
            try:
                wait_until(lambda: bytes_each() <= 600, GIVE_BACK_S, "memory to be given back")
            except TimeoutError:
                pass
            each = bytes_each()
            t.check(each <= 600, "an idle client costs at most 600 bytes", "it costs %.0f" % each)
            t.note("an idle client costs %.0f bytes" % each)
            with cluster.client() as client:
                t.equal(client.call("GET", "k"), value, "one more is served")
                t.check("connected_clients:%d" % (count + 201) in client.call("INFO", "clients").decode(),
                        "all are there")
        finally:
            for one in sockets:
                one.close()


def connect_and_get(cluster, sockets, count, value):
    request, reply = encode("GET", "k"), b"$%d\r\n%s\r\n" % (len(value), value)
    for start in range(0, count, 100):
        batch = []
        for number in range(start, start + 100):
            one = socket.socket()
            one.settimeout(20)
            one.bind(("127.0.0.%d" % (number % 5 + 1), 0))
            one.connect(("127.0.0.1", cluster.proxy.port))
            one.sendall(request)
            batch.append(one)
        for one in batch:
            received = b""
            while len(received) < len(reply):
                part = one.recv(1000)
                if not part:
                    raise ConnectionError("closed after %r" % received)
                received += part
        sockets += batch


# ---- Sizes --------------------------------------------------------------------------------------


def pattern(size, step=MB):
    """Chunks of data that differ, so that a mix-up shows."""
    base = bytes(range(256)) * (step // 256 + 1)
    for at in range(0, size, step):
        shift = at // step % 251
        yield base[shift:shift + min(step, size - at)]


def test_largest_value(t):
    if mem_available_gib() < 6:
        t.note("skipped: less than 6 GiB of memory are available")
        return
    size = 512 * MB
    with Cluster(t) as cluster, cluster.client(timeout=60) as client:
        busy = Busy(cluster)
        peak = PeakRss(cluster.proxy)
        sent = hashlib.blake2b()

        def send():
            client.send_bytes(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % size)
            for chunk in pattern(size):
                sent.update(chunk)
                client.send_bytes(chunk)
            client.send_bytes(b"\r\n")
        sender = Background(send)
        t.equal(client.read(), "OK", "SET of 512 MiB")
        sender.result()
        t.equal(client.call("STRLEN", "k"), size, "STRLEN")
        client.send("GET", "k")
        t.equal(client.reader.readline(), b"$%d\r\n" % size, "the length of GET's reply")
        received, left = hashlib.blake2b(), size
        while left > 0:
            part = client.reader.read(min(left, 4 * MB))
            if not part:
                break
            received.update(part)
            left -= len(part)
        t.equal(client.reader.read(2), b"\r\n", "its end")
        t.equal(received.hexdigest(), sent.hexdigest(), "the value comes back as it was sent")
        t.equal(client.call("PING"), "PONG", "the connection goes on")
        growth = peak.growth_mb()
        t.note("the proxy grew by %.0f MB at the peak" % growth)
        t.check(growth < 1300, "memory stays bounded (%.0f MB more at the peak)" % growth)
        busy.check(t, "512 MiB")
        client.send_bytes(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (size + 1))
        t.equal(client.read(), RespError("ERR Protocol error: invalid bulk length"), "one byte more")
        t.check(client.at_end(), "closes the connection")


def test_bulk_and_request_max(t):
    with Cluster(t, {"proxy.bulk_max": "4kb", "proxy.request_max": "10kb"}) as cluster:
        with cluster.client() as client:
            t.equal(client.call("SET", "k", b"x" * 4096), "OK", "an argument of bulk_max")
            t.equal(client.call("RPUSH", "l", b"x" * 4096, b"x" * 4096), 2, "a request below request_max")
            client.send("SET", "k", b"x" * 4097)
            t.equal(client.read(), RespError("ERR Protocol error: invalid bulk length"), "an argument that is too long")
            t.check(closes(client), "closes the connection")
        for many in (3, 100_000):
            with cluster.client() as client:
                sender = Background(send_until_closed, client, encode("RPUSH", "l", *[b"x" * 4096] * 3)
                                    if many == 3 else encode("RPUSH", "l", *[b"x"] * many), 1)
                t.error(client.read(), "ERR Protocol error: ", "a request that is too long, %d arguments" % many)
                t.check(closes(client), "closes the connection")
                sender.result()
        with cluster.client() as client:
            t.equal(client.call("LLEN", "l"), 2, "nothing of it was executed")


def closes(client):
    try:
        return client.at_end()
    except ConnectionError:
        return True


def test_announced_lengths_cost_nothing(t):
    """Two hundred clients that announce half a gigabyte each and send nothing of it."""
    with Cluster(t) as cluster:
        peak = PeakRss(cluster.proxy)
        clients = [cluster.client() for _ in range(200)]
        for client in clients:
            client.send_bytes(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$500000000\r\nabc")
        for client in clients[:100]:
            client.send_bytes(b"d")
        with cluster.client() as client:
            t.equal(client.call("PING"), "PONG", "another client")
            wait_until(lambda: b"connected_clients:201" in client.call("INFO", "clients"), 10, "all to be connected")
        growth = peak.growth_mb()
        t.check(growth < 210, "at most a MB each (%.1f MB more at the peak)" % growth)
        t.note("%.1f MB more at the peak" % growth)
        for client in clients:
            client.close()


def check_gives_back(t, cluster, before_kb, what):
    # What each worker may keep for the next burst: blocks, tasks, and what the allocator rounds up.
    allowed_kb = before_kb * 1.1 + 8192
    try:
        wait_until(lambda: cluster.proxy.rss_kb() <= allowed_kb, GIVE_BACK_S, "memory to be given back")
    except TimeoutError:
        pass
    now_kb = cluster.proxy.rss_kb()
    t.check(now_kb <= allowed_kb, "memory is given back after %s" % what,
            "%.1f MB before, %.1f MB now" % (before_kb / 1024, now_kb / 1024))


def warm_up(cluster):
    with cluster.client() as client:
        for _ in range(20):
            pipeline(client, encode("SET", "warm", "x" * 100) * 500, 500)
    with cluster.client() as client:
        client.call("DEL", "warm")
    return cluster.proxy.rss_kb()


def test_memory_after_a_large_pipeline(t):
    """64 MiB of small SETs, sent as fast as the proxy takes them."""
    with Cluster(t, groups=GROUPS) as cluster:
        before_kb = warm_up(cluster)
        chunk = b"".join(encode("SET", "k%d" % number, b"x" * 100) for number in range(8000))
        times = 64 * MB // len(chunk) + 1
        with cluster.client() as client:
            sender = Background(lambda: [client.send_bytes(chunk) for _ in range(times)])
            left = times * 8000 * 5
            wrong = 0
            while left > 0:
                part = client.reader.read(min(left, 50_000))
                if not part:
                    raise ConnectionError("closed with %d bytes to come" % left)
                wrong += part != b"+OK\r\n" * (len(part) // 5)
                left -= len(part)
            sender.result()
            t.equal(wrong, 0, "all are answered with OK")
            check_gives_back(t, cluster, before_kb, "a pipeline of 64 MiB")
        # The same while the server does not read for a while: the requests pile up in the proxy.
        cluster.servers[0].send_signal(signal.SIGSTOP)
        with cluster.client() as client:
            request = encode("SET", keys_of_group(0, GROUPS, 1)[0], b"y" * MB)
            sender = Background(client.send_bytes, request * 64)
            wait_until(lambda: cluster.proxy.metric("pikaproxy_queued_bytes") > 30 * MB, 20, "requests to pile up")
            cluster.servers[0].send_signal(signal.SIGCONT)
            t.check([client.read() for _ in range(64)] == ["OK"] * 64, "64 requests of a MiB")
            sender.result()
            check_gives_back(t, cluster, before_kb, "requests that had to wait")


def test_memory_after_bursts(t):
    """Bursts of 96 MB by 16 clients, each served in two parts: what the first leaves must not keep the rest."""
    with Cluster(t, {"proxy.workers": 1, "backend.request_timeout": "20s"}) as cluster:
        before_kb = warm_up(cluster)
        request = encode("SET", "k", b"y" * 20_000)
        for number in range(3):
            cluster.servers[0].send_signal(signal.SIGSTOP)
            clients = [cluster.client() for _ in range(16)]
            senders = [Background(client.send_bytes, request * 300) for client in clients]
            wait_until(lambda: cluster.proxy.metric("pikaproxy_queued_bytes") > 20 * MB, 20, "requests to pile up")
            cluster.servers[0].send_signal(signal.SIGCONT)
            answered = sum(client.read() == "OK" for client in clients for _ in range(number))
            cluster.servers[0].send_signal(signal.SIGSTOP)
            time.sleep(2.5)  # Longer than the pause between two looks at the memory.
            cluster.servers[0].send_signal(signal.SIGCONT)
            answered += sum(client.read() == "OK" for client in clients for _ in range(300 - number))
            t.equal(answered, 16 * 300, "all are answered")
            for sender in senders:
                sender.result()
            for client in clients:
                client.close()
        check_gives_back(t, cluster, before_kb, "three bursts")


def test_memory_after_a_large_reply(t):
    with Cluster(t, groups=GROUPS) as cluster:
        keys = [keys_of_group(group, GROUPS, 1)[0] for group in range(GROUPS)]
        with cluster.servers[0].client() as direct:
            for _ in range(64):
                direct.call("APPEND", keys[0], b"x" * MB)
                direct.call("RPUSH", "list", *[b"y" * 1024] * 1024)
        lists = keys_of_group(0, GROUPS, 1, "list")
        with cluster.servers[0].client() as direct:
            direct.call("RENAME", "list", lists[0])
        before_kb = warm_up(cluster)
        with cluster.client() as client:
            t.check(client.call("GET", keys[0]) == b"x" * (64 * MB), "GET of 64 MiB")
            check_gives_back(t, cluster, before_kb, "GET of 64 MiB")
            t.check(client.call("LRANGE", lists[0], 0, -1) == [b"y" * 1024] * 65_536, "LRANGE of 64 MiB")
            check_gives_back(t, cluster, before_kb, "LRANGE of 64 MiB")
            reply = client.call("MGET", *keys)
            t.check(reply == [b"x" * (64 * MB), None, None], "MGET over groups of 64 MiB")
            check_gives_back(t, cluster, before_kb, "MGET over groups of 64 MiB")


def test_memory_after_large_requests(t):
    with Cluster(t, groups=GROUPS) as cluster:
        before_kb = warm_up(cluster)
        with cluster.client() as client:
            for _ in range(8):
                client.call("MSET", *(word for number in range(8) for word in ("m%d" % number, b"z" * MB)))
            check_gives_back(t, cluster, before_kb, "MSETs over groups of 64 MiB")
            keys = ["k%d" % number for number in range(200_000)]
            t.equal(client.call("DEL", *keys), 0, "DEL of 200,000 keys")
            t.equal(client.call("MGET", *keys), [None] * 200_000, "MGET of 200,000 keys")
            check_gives_back(t, cluster, before_kb, "MGET of 200,000 keys")
            client.call("EVAL", "return 1 --" + "x" * (16 * MB), 1, "k")
            check_gives_back(t, cluster, before_kb, "EVAL of a script of 16 MiB")
            t.check(client.call("ECHO", b"e" * (64 * MB)) == b"e" * (64 * MB), "ECHO of 64 MiB")
            check_gives_back(t, cluster, before_kb, "ECHO of 64 MiB")
            half = cluster.client()
            half.send_bytes(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000000\r\n" + b"x" * (64 * MB))
            wait_until(lambda: cluster.proxy.metric("pikaproxy_queued_bytes") > 60 * MB, 20, "half a request to arrive")
            half.close()
            check_gives_back(t, cluster, before_kb, "half a request of 100 MB")


# ---- Servers ------------------------------------------------------------------------------------


def test_pending_max(t):
    with Cluster(t, {"backend.pending_max": 10, "backend.request_timeout": "20s"}) as cluster:
        with cluster.client() as client:
            client.call("SET", "k", "v")
            cluster.servers[0].send_signal(signal.SIGSTOP)
            client.send_bytes(encode("GET", "k") * 30 + encode("PING"))
            wait_until(lambda: in_flight(cluster) >= 10, 10, "10 requests in flight")
            t.equal(in_flight(cluster), 10.0, "no more than pending_max in flight")
            cluster.servers[0].send_signal(signal.SIGCONT)
            replies = [client.read() for _ in range(31)]
            t.equal(replies[:10], [b"v"] * 10, "those within the limit are answered")
            error = RespError("ERR server %s of group g0 has too many requests waiting (backend.pending_max)"
                              % cluster.servers[0].address)
            t.equal(replies[10:], [error] * 20 + ["PONG"], "those beyond fail with a reason")
            t.equal(client.call("GET", "k"), b"v", "afterwards it works")


def test_queue_max(t):
    """Clients send to a server that hangs, until one is told that the queue is full."""
    with Cluster(t, {"backend.queue_max": "64kb", "backend.request_timeout": "20s", "proxy.workers": 1}) as cluster:
        with cluster.client() as client, cluster.client() as other:
            other.call("SET", "k", "v")
            cluster.servers[0].send_signal(signal.SIGSTOP)
            peak = PeakRss(cluster.proxy)
            request = encode("SET", "k", b"x" * 16_384)
            full = RespError("ERR server %s of group g0 has too many bytes waiting (backend.queue_max)"
                             % cluster.servers[0].address)
            clients = [cluster.client() for _ in range(20)]
            senders = [Background(client.send_bytes, request * 100) for client in clients]
            waiting = []

            def is_refused():
                waiting.append(cluster.client())
                waiting[-1].send_bytes(request)
                return select.select([waiting[-1].socket], [], [], 0.2)[0]
            wait_until(is_refused, 15, "a request to be refused")
            t.equal(waiting.pop().read(), full, "a client is told that the queue is full")
            t.equal(other.call("PING"), "PONG", "another client")
            cluster.servers[0].send_signal(signal.SIGCONT)
            replies = [client.read() for client in clients for _ in range(100)] + [client.read() for client in waiting]
            for sender in senders:
                sender.result()
            growth = peak.growth_mb()
            t.check(growth < 24, "memory stays bounded (%.1f MB more at the peak)" % growth)
            done = replies.count("OK")
            t.check(done > 0 and replies.count(full) == len(replies) - done, "each is answered with OK or the reason",
                    done, [reply for reply in replies if reply not in ("OK", full)][:3])
            t.equal(client.call("SET", "k", b"y" * MB), "OK", "a request above queue_max, alone, is sent")
            for one in clients + waiting:
                one.close()


def test_memory_max(t):
    """Twenty clients send 4 MB each to a server that hangs."""
    with Cluster(t, {"proxy.memory_max": "8mb", "proxy.request_max": "2mb", "proxy.bulk_max": "1mb",
                     "backend.request_timeout": "20s"}) as cluster:
        oom = RespError("OOM the proxy holds as many bytes as it may (proxy.memory_max); try again later")
        with cluster.client() as other:
            other.call("SET", "k", "v")
            cluster.servers[0].send_signal(signal.SIGSTOP)
            peak = PeakRss(cluster.proxy)
            clients = [cluster.client() for _ in range(20)]
            senders = [Background(client.send_bytes, encode("SET", "k", b"x" * 900_000) * 4) for client in clients]
            wait_until(lambda: cluster.proxy.metric("pikaproxy_refused_requests_total", reason="memory") > 0, 15,
                       "memory_max to be reached")
            t.equal(other.call("GET", "k"), oom, "another client is told so")
            t.equal(other.call("PING"), "PONG", "what needs no server works")
            cluster.servers[0].send_signal(signal.SIGCONT)
            replies = [client.read() for client in clients for _ in range(4)]
            for sender in senders:
                sender.result()
            growth = peak.growth_mb()
            # Beside the 8 MB each client may have one request that is only arriving.
            t.check(growth < 8 + 20 + 20, "memory stays bounded (%.1f MB more at the peak)" % growth)
            done = replies.count("OK")
            t.check(0 < done < 80 and replies.count(oom) == 80 - done, "each is answered with OK or the reason",
                    done, [reply for reply in replies if reply not in ("OK", oom)][:3])
            wait_until(lambda: other.call("SET", "k", "v") == "OK", 10, "memory to be free")
            t.equal(clients[0].call("GET", "k"), b"v", "afterwards it works")
            for client in clients:
                client.close()


def test_memory_max_bounds_large_replies(t):
    """Twelve clients ask for 32 MiB each and do not read."""
    with Cluster(t, {"proxy.memory_max": "64mb", "proxy.request_max": "64mb", "proxy.bulk_max": "64mb",
                     "proxy.client_output_max": "48mb"}) as cluster:
        with cluster.client() as client:
            client.call("SET", "k", b"x" * (32 * MB))
        wait_until(lambda: cluster.proxy.metric("pikaproxy_queued_bytes") < MB, 10, "the request to be gone")
        busy = Busy(cluster)
        peak = PeakRss(cluster.proxy)
        clients = [cluster.client() for _ in range(12)]
        for client in clients:
            client.send("GET", "k")
        requests = cluster.proxy.metric("pikaproxy_commands_total", command="get")
        wait_until(lambda: in_flight(cluster) <= 1, 30, "the server to have answered")
        growth = peak.growth_mb()
        t.check(growth < 160, "memory stays bounded by memory_max (%.0f MB more at the peak, %r requests)"
                % (growth, requests))
        for client in clients:
            client.close()
        busy.stopping = True
        busy.work.result()  # May have been told that memory is short; must not hang.
        busy.client.close()
        wait_until(lambda: cluster.proxy.metric("pikaproxy_queued_bytes") < MB, 10, "all to be dropped")
        with cluster.client() as client:
            t.equal(client.call("STRLEN", "k"), 32 * MB, "afterwards it works")


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
