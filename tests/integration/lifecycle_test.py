#!/usr/bin/env python3
"""Start, reload, signals, listeners, health pages and the end of the process.

    lifecycle_test.py --pikaproxy build/dev/pikaproxy [--seed N] [names of tests]
"""

import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time

from checks import Background, group_of, keys_of_group, run_tests
from resp import Resp, RespError, encode
from servers import PikaProxy, RedisServer, free_port, toml_config, wait_until

END_S = 20  # How long the process may take to end when nothing holds it up.


class Servers:
    """Redis servers, ended together."""

    def __init__(self, count):
        self.all = []
        try:
            for _ in range(count):
                self.all.append(RedisServer("--enable-debug-command", "local"))
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self.all

    def __exit__(self, *_):
        for server in self.all:
            server.stop()


def run(t, *argv):
    """Runs the binary to its end: (exit code, standard output, standard error)."""
    done = subprocess.run([t.pikaproxy, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=END_S)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class ConfigFile:
    """A configuration in a directory of its own."""

    def __init__(self, options=None, groups=("127.0.0.1:1",), text=None):
        self.directory = tempfile.mkdtemp(prefix="pikaproxy-config-")
        self.path = os.path.join(self.directory, "pikaproxy.toml")
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(toml_config({"proxy.listen": ["127.0.0.1:%d" % free_port()],
                                    "admin.listen": "127.0.0.1:%d" % free_port(), **(options or {})}, groups)
                       if text is None else text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.directory, ignore_errors=True)


def connects(proxy):
    try:
        proxy.client(timeout=5).close()
        return True
    except ConnectionRefusedError:
        return False


def is_silent(client):
    return not select.select([client.socket], [], [], 0)[0]


# ---- The end ------------------------------------------------------------------------------------


def test_sigterm_drains(t):
    """What is in flight is answered, nobody new is let in, and the exit code is 0."""
    for number in (signal.SIGTERM, signal.SIGINT):
        with Servers(2) as servers, PikaProxy(t.pikaproxy, servers, {
                "proxy.shutdown_timeout": "60s", "backend.request_timeout": "60s"}) as proxy:
            proxy.wait_for_servers()
            name = signal.Signals(number).name
            keys = [keys_of_group(group, 2, 1)[0] for group in range(2)]
            idle, waiting = proxy.client(), [proxy.client() for _ in range(4)]
            idle.call("MSET", keys[0], "a", keys[1], "b")
            servers[0].send_signal(signal.SIGSTOP)
            for client in waiting:
                client.send_bytes(encode("GET", keys[0]) + encode("MGET", *keys) + encode("GET", keys[1]))
            wait_until(lambda: proxy.metric("pikaproxy_backend_inflight_requests", group="g0") >= 8, 10,
                       "requests in flight")
            proxy.send_signal(number)
            proxy.wait_for_log("draining")
            wait_until(lambda: not connects(proxy), 10, "new connections to be refused")
            t.check(True, "%s: new connections are refused" % name)
            wait_until(lambda: proxy.http("/readyz")[0] == 503, 10, "/readyz to notice")
            t.check("draining" in proxy.http("/readyz")[1], "%s: /readyz says so" % name, proxy.http("/readyz"))
            t.equal(proxy.http("/healthz")[0], 200, "%s: /healthz is still well" % name)
            t.check(idle.at_end(), "%s: an idle client is closed" % name)
            t.check(all(is_silent(client) for client in waiting), "%s: those who wait are not" % name)
            t.check(proxy.is_running(), "%s: the process waits for them" % name)
            servers[0].send_signal(signal.SIGCONT)
            for client in waiting:
                t.equal([client.read() for _ in range(3)], [b"a", [b"a", b"b"], b"b"], "%s: their replies come" % name)
                t.check(client.at_end(), "%s: then they are closed" % name)
                client.close()
            idle.close()
            t.equal(proxy.wait_for_exit(END_S), 0, "%s: exit code" % name)
            t.check(proxy.log().rstrip().endswith("info ended"), "%s: the log says that it ended" % name,
                    proxy.log()[-300:])


def test_shutdown_timeout(t):
    """A server that never answers does not keep the process."""
    with Servers(1) as servers, PikaProxy(t.pikaproxy, servers, {
            "proxy.shutdown_timeout": "1s", "backend.request_timeout": "1h"}) as proxy:
        proxy.wait_for_servers()
        with proxy.client() as client:
            servers[0].send_signal(signal.SIGSTOP)
            client.send("GET", "k")
            wait_until(lambda: proxy.metric("pikaproxy_backend_inflight_requests", group="g0") == 1, 10, "a request")
            proxy.send_signal(signal.SIGTERM)
            t.equal(proxy.wait_for_exit(END_S), 0, "exit code")
            t.check("still had requests in flight" in proxy.log(), "the log says that some were left",
                    proxy.log()[-400:])
        servers[0].send_signal(signal.SIGCONT)
    with Servers(1) as servers, PikaProxy(t.pikaproxy, servers, {"proxy.shutdown_timeout": "0"}) as proxy:
        with proxy.client() as client:
            client.call("PING")
            proxy.send_signal(signal.SIGTERM)
            t.equal(proxy.wait_for_exit(END_S), 0, "exit code with shutdown_timeout 0")


def test_second_sigterm(t):
    with Servers(1) as servers, PikaProxy(t.pikaproxy, servers, {
            "proxy.shutdown_timeout": "1h", "backend.request_timeout": "1h"}) as proxy:
        proxy.wait_for_servers()
        with proxy.client() as client:
            servers[0].send_signal(signal.SIGSTOP)
            client.send("GET", "k")
            wait_until(lambda: proxy.metric("pikaproxy_backend_inflight_requests", group="g0") == 1, 10, "a request")
            proxy.send_signal(signal.SIGTERM)
            proxy.wait_for_log("draining")
            proxy.send_signal(signal.SIGTERM)
            proxy.wait_for_exit(END_S)
            t.check("ending at once" in proxy.log(), "the second SIGTERM ends it at once", proxy.log()[-300:])
        servers[0].send_signal(signal.SIGCONT)


def test_start_on_the_same_port(t):
    """At once after the end, with connections of clients that were closed by the proxy."""
    with Servers(1) as servers:
        with PikaProxy(t.pikaproxy, servers) as proxy:
            clients = [proxy.client() for _ in range(10)]
            t.equal([client.call("PING") for client in clients], ["PONG"] * 10, "before")
            port = proxy.port
        with PikaProxy(t.pikaproxy, servers, port=port) as proxy, proxy.client() as client:
            t.equal(client.call("SET", "k", "v"), "OK", "a new process on the same port")
        for client in clients:
            client.close()


def test_half_close(t):
    """printf 'PING\\r\\n' | nc: the end of what is asked is not the end of what is answered."""
    with Servers(2) as servers, PikaProxy(t.pikaproxy, servers) as proxy:
        key = keys_of_group(1, 2, 1)[0]
        for raw, expected in ((b"PING\r\n", b"+PONG\r\n"),
                              (encode("SET", key, "v"), b"+OK\r\n"),
                              (encode("GET", key) + b"PING\r\n", b"$1\r\nv\r\n+PONG\r\n"),
                              (encode("MGET", key, "a", "b", "c"), b"*4\r\n$1\r\nv\r\n$-1\r\n$-1\r\n$-1\r\n"),
                              (encode("CONFIG", "GET", "save"), b"*2\r\n$4\r\nsave\r\n$0\r\n\r\n"),
                              (encode("EVAL", "return 1", 0), b":1\r\n"),
                              (encode("GET", key) + b"*2\r\n$3\r\nGET\r\n$1", b"$1\r\nv\r\n"),
                              (b"QUIT\r\n", b"+OK\r\n"), (b"", b""), (b"PI", b"")):
            for _ in range(3):
                with proxy.client() as client:
                    client.send_bytes(raw)
                    client.socket.shutdown(socket.SHUT_WR)
                    t.equal(client.reader.read(), expected, "half-closed after %r" % raw)
        with proxy.client() as client:  # The server answers late.
            sleeper = Background(lambda: servers[1].client().call("DEBUG", "SLEEP", "0.5"))
            client.send("GET", key)
            client.socket.shutdown(socket.SHUT_WR)
            t.equal(client.reader.read(), b"$1\r\nv\r\n", "half-closed while the server is busy")
            sleeper.result()


# ---- Reload -------------------------------------------------------------------------------------


def config_get(client, name):
    reply = client.call("CONFIG", "GET", name)
    return reply[1].decode() if isinstance(reply, list) and len(reply) == 2 else reply


def reload_and_wait(proxy, expected_line):
    """Writes the file, sends SIGHUP, waits for a new line of the log that has the text; returns the new lines."""
    before = len(proxy.log())
    proxy.reload()
    wait_until(lambda: expected_line in proxy.log()[before:], 20, "%r in the log" % expected_line)
    return proxy.log()[before:]


def test_reload(t):
    with Servers(1) as servers, PikaProxy(t.pikaproxy, servers, allowed_errors=["reload refused"]) as proxy, \
            proxy.client() as client:
        proxy.options.update({"proxy.max_clients": 77, "backend.request_timeout": "7s"})
        lines = reload_and_wait(proxy, "settings reloaded")
        t.check("setting changed name=proxy.max_clients" in lines and "name=backend.request_timeout" in lines,
                "the log names what changed", lines)
        t.equal([config_get(client, "proxy.max_clients"), config_get(client, "backend.request_timeout")], ["77", "7s"],
                "the settings are in force")

        proxy.options["proxy.workers"] = 1
        lines = reload_and_wait(proxy, "needs a restart")
        t.check("setting needs a restart to change name=proxy.workers" in lines, "what cannot change is named", lines)

        good = dict(proxy.options)
        for change, problem in (({"proxy.max_clients": "many"}, "proxy.max_clients"),
                                ({"proxy.max_clients": 55, "proxy.nosuch": 1}, "nosuch"),
                                ({"proxy.max_clients": 0}, "proxy.max_clients")):
            proxy.options = {**good, **change}
            lines = reload_and_wait(proxy, "reload refused")
            t.check(problem in lines, "a bad file is refused with the reason", change, lines)
            t.equal(config_get(client, "proxy.max_clients"), "77", "and changes nothing, also not what is right in it")
            wait_until(lambda: proxy.metric("pikaproxy_config_last_reload_successful") == 0, 10, "the metric to say so")
        with open(proxy.config_path, "w", encoding="utf-8") as file:
            file.write("this is not TOML [")
        before = len(proxy.log())
        proxy.send_signal(signal.SIGHUP)
        wait_until(lambda: "reload refused" in proxy.log()[before:], 20, "text that is no TOML to be refused")
        os.unlink(proxy.config_path)
        before = len(proxy.log())
        proxy.send_signal(signal.SIGHUP)
        wait_until(lambda: "reload refused" in proxy.log()[before:], 20, "a missing file to be refused")
        t.equal(config_get(client, "proxy.max_clients"), "77", "nothing changed")
        proxy.options = good
        proxy.reload()
        wait_until(lambda: proxy.metric("pikaproxy_config_last_reload_successful") == 1, 20,
                   "a good file to be accepted")
        t.check(abs(proxy.metric("pikaproxy_config_last_reload_timestamp_seconds") - time.time()) < 60, "when it was")
        t.equal(client.call("PING"), "PONG", "the client has been connected all the time")


def test_reload_after_config_set(t):
    """The file counts again for what it says differently; nothing is half applied."""
    with Servers(1) as servers, PikaProxy(t.pikaproxy, servers) as proxy, proxy.client() as client:
        client.call("CONFIG", "SET", "maxclients", 55)
        proxy.options["slowlog.max_len"] = 9
        reload_and_wait(proxy, "settings reloaded")
        t.equal([config_get(client, "slowlog-max-len"), config_get(client, "maxclients")], ["9", "10000"],
                "all is as the file and the defaults say")


def test_reload_of_passwords(t):
    with Servers(1) as servers, PikaProxy(t.pikaproxy, servers) as proxy, proxy.client() as old:
        t.equal(old.call("SET", "k", "v"), "OK", "no password yet")
        proxy.options["auth.password"] = "first"
        proxy.users = [{"name": "app", "password": "apppass"}]
        lines = reload_and_wait(proxy, "settings reloaded")
        t.check("first" not in lines and "apppass" not in lines, "passwords are not logged", lines)
        with proxy.client() as client:
            t.error(client.call("GET", "k"), "NOAUTH ", "a new client must log in")
            t.equal(client.call("AUTH", "first"), "OK", "with the new password")
        with proxy.client() as client:
            t.equal(client.call("AUTH", "app", "apppass"), "OK", "or as the new user")
        proxy.options["auth.password"] = "second"
        proxy.users = []
        reload_and_wait(proxy, "settings reloaded")
        with proxy.client() as client:
            t.error(client.call("AUTH", "first"), "WRONGPASS ", "the old password")
            t.error(client.call("AUTH", "app", "apppass"), "WRONGPASS ", "the user that is gone")
            t.equal(client.call("AUTH", "second"), "OK", "the new one")
        t.check(old.call("GET", "k") in (b"v", RespError("NOAUTH Authentication required.")),
                "the old client is answered")


class Traffic:
    """Clients that write and read their own keys all the time, and never may see an error or another value."""

    def __init__(self, proxy, keys):
        self.proxy = proxy
        self.stopping = False
        self.work = [Background(self._run, keys[number::4]) for number in range(4)]

    def _run(self, keys):
        done = 0
        with self.proxy.client() as client:
            # Once at least, however quick the change is.
            while done == 0 or not self.stopping:
                for key in keys:
                    value = b"%d" % done
                    replies = client.call_many([("SET", key, value), ("GET", key)])
                    if replies != ["OK", value]:
                        return "%s: %r instead of %r" % (key, replies, value)
                    done += 1
                time.sleep(0.001)
        return done

    def check(self, t, what):
        self.stopping = True
        for work in self.work:
            done = work.result()
            t.check(isinstance(done, int) and done > 0, what, done)


def test_reload_of_groups(t):
    with Servers(3) as servers:
        groups = [{"name": "one", "server": servers[0].address, "slots": "0-1023"}]
        with PikaProxy(t.pikaproxy, groups, {"backend.request_timeout": "60s"},
                       allowed_errors=["reload refused"]) as proxy, proxy.client() as client:
            keys = ["k%d" % number for number in range(200)]
            lower = [key for key in keys if group_of(key, 2) == 0]
            upper = [key for key in keys if group_of(key, 2) == 1]
            for key in keys:
                client.call("SET", key, "old")
            t.equal(proxy.metric("pikaproxy_topology_epoch"), 1.0, "the first topology")

            # A group is added in front, so that the numbers of the groups change as well.
            traffic = Traffic(proxy, lower)
            proxy.groups = [{"name": "two", "server": servers[1].address, "slots": "512-1023"},
                            {"name": "one", "server": servers[0].address, "slots": "0-511"}]
            lines = reload_and_wait(proxy, "settings reloaded")
            t.check("topology changed" in lines, "the log says that the topology changed", lines)
            traffic.check(t, "requests for slots that stay are answered all the time")
            t.equal(client.call("MGET", *upper), [None] * len(upper),
                    "requests for slots that moved go to the new group")
            for key in upper:
                client.call("SET", key, "new")
            with servers[1].client() as direct:
                t.equal(direct.call("DBSIZE"), len(upper), "the new group has them")
            t.equal(client.call("DBSIZE"), len(keys) + len(upper), "DBSIZE asks both")
            t.equal(proxy.metric("pikaproxy_topology_epoch"), 2.0, "the second topology")
            status, body = proxy.http("/readyz")
            t.equal(status, 200, "/readyz: " + body)

            # Requests in flight to a server that leaves the topology are answered.
            with proxy.client() as waiting:
                servers[1].send_signal(signal.SIGSTOP)
                waiting.send("GET", upper[0])
                wait_until(lambda: proxy.metric("pikaproxy_backend_inflight_requests", group="two") >= 1, 10,
                           "a request")
                proxy.groups[0] = {"name": "three", "server": servers[2].address, "slots": "512-1023"}
                reload_and_wait(proxy, "settings reloaded")
                t.equal(client.call("SET", upper[0], "third"), "OK", "new requests go to the server that takes over")
                t.equal(proxy.metric("pikaproxy_backend_up", group="two"), None, "the old one is not in the metrics")
                servers[1].send_signal(signal.SIGCONT)
                t.equal(waiting.read(), b"new", "what was in flight is answered")
                t.equal(waiting.call("GET", upper[0]), b"third", "and the next request goes to the new server")

            # Slots without a group.
            proxy.groups = [{"name": "one", "server": servers[0].address, "slots": "0-511"}]
            reload_and_wait(proxy, "settings reloaded")
            t.error(client.call("GET", upper[0]), r"CLUSTERDOWN slot \d+ is not assigned", "a slot without a group")
            t.error(client.call("MGET", lower[0], upper[0]), "CLUSTERDOWN slot", "MGET with such a slot")
            t.equal(client.call("EXISTS", lower[0]), 1, "the others are served")

            # What contradicts itself changes nothing.
            proxy.groups = [{"name": "one", "server": servers[0].address, "slots": "0-600"},
                            {"name": "two", "server": servers[1].address, "slots": "600-1023"}]
            lines = reload_and_wait(proxy, "reload refused")
            t.check("600" in lines, "two groups with one slot are refused, and the slot is named", lines)
            t.equal(client.call("EXISTS", lower[0]), 1, "the old topology stays")
            proxy.groups = [{"name": "one", "server": servers[0].address, "slots": "0-511"},
                            {"name": "two", "server": servers[1].address, "slots": "512-1023"}]
            reload_and_wait(proxy, "settings reloaded")
            t.equal(client.call("GET", upper[0]), b"new", "all are served again")


def test_reload_under_load(t):
    """Many reloads that swap two groups' names and order while clients work: nobody sees an error."""
    with Servers(2) as servers:
        with PikaProxy(t.pikaproxy, servers) as proxy:
            groups = [{"name": "g0", "server": servers[0].address, "slots": "0-511"},
                      {"name": "g1", "server": servers[1].address, "slots": "512-1023"}]
            traffic = Traffic(proxy, ["k%d" % number for number in range(40)])
            for number in range(12):
                proxy.groups = groups if number % 2 == 0 else list(reversed(groups))
                proxy.options["slowlog.max_len"] = 100 + number
                reload_and_wait(proxy, "settings reloaded")
            traffic.check(t, "requests are answered over twelve reloads")


def test_log_file(t):
    directory = tempfile.mkdtemp(prefix="pikaproxy-log-")
    try:
        path = os.path.join(directory, "proxy.log")
        rotated = path + ".1"
        with Servers(1) as servers, PikaProxy(t.pikaproxy, servers, {"log.file": path}) as proxy:
            wait_until(lambda: "started" in read(path), 10, "the log file")
            os.rename(path, rotated)
            proxy.options["proxy.max_clients"] = 99
            proxy.reload()
            wait_until(lambda: "settings reloaded" in read(rotated), 10, "the old file to be written on")
            t.check(not os.path.exists(path), "no new file without SIGUSR1")
            proxy.send_signal(signal.SIGUSR1)
            wait_until(lambda: os.path.exists(path), 10, "a new file after SIGUSR1")
            size = os.path.getsize(rotated)
            proxy.options["proxy.max_clients"] = 98
            proxy.reload()
            wait_until(lambda: "settings reloaded" in read(path), 10, "the new file to be written")
            t.equal(os.path.getsize(rotated), size, "the old one is left alone")
            t.check(stat.S_IMODE(os.stat(path).st_mode) & 0o007 == 0, "others cannot read it")
            # A directory that vanished: the log goes on where it was.
            proxy.send_signal(signal.SIGUSR1)
            with proxy.client() as client:
                t.equal(client.call("PING"), "PONG", "the proxy goes on")
        with ConfigFile({"log.file": os.path.join(directory, "none", "x.log")}) as config:
            code, _, err = run(t, "--config", config.path)
            t.check(code == 3 and "x.log" in err and "No such file" in err, "a log file that cannot be opened",
                    code, err)
    finally:
        shutil.rmtree(directory)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


# ---- Listeners ----------------------------------------------------------------------------------


def test_unix_socket(t):
    directory = tempfile.mkdtemp(prefix="pikaproxy-unix-")
    try:
        with Servers(1) as servers:
            path = os.path.join(directory, "proxy.sock")
            port = free_port()
            options = {"proxy.listen": ["127.0.0.1:%d" % port, "unix:" + path], "proxy.unix_mode": "0770"}

            with socket.socket(socket.AF_UNIX) as left_over:
                left_over.bind(path)
            t.check(os.path.exists(path), "a socket file was left over")
            with PikaProxy(t.pikaproxy, servers, options, port=port) as proxy:
                mode = os.stat(path).st_mode
                t.check(stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o770, "the socket has unix_mode", oct(mode))
                with Resp(path=path) as client, proxy.client() as other:
                    t.equal(client.call("SET", "k", "v"), "OK", "SET over the unix socket")
                    t.equal(other.call("GET", "k"), b"v", "GET over TCP")
                    info = client.call("CLIENT", "INFO")
                    t.check(b"flags=U" in info and b"addr=unix:" in info or b"addr=%s" % path.encode() in info,
                            "CLIENT INFO says that it is a unix socket", info)
                with ConfigFile({"proxy.listen": ["unix:" + path]}) as config:
                    code, _, err = run(t, "--config", config.path)
                    t.check(code == 4 and path in err, "a socket that somebody serves is not taken away", code, err)
                with Resp(path=path) as client:
                    t.equal(client.call("PING"), "PONG", "it still works")
            t.check(not os.path.exists(path), "it is removed at the end")

            with PikaProxy(t.pikaproxy, servers, options, port=port) as proxy:
                proxy.kill()
                t.check(os.path.exists(path), "after a SIGKILL it is left over")
                proxy.stop(expected_exit=-signal.SIGKILL)
            with PikaProxy(t.pikaproxy, servers, options, port=port), Resp(path=path) as client:
                t.equal(client.call("GET", "k"), b"v", "the next process replaces it")

            # Something else than a socket is somebody's file.
            with open(path, "w", encoding="ascii") as file:
                file.write("precious")
            with ConfigFile({"proxy.listen": ["unix:" + path]}) as config:
                code, _, err = run_for_a_while(t, config.path)
                t.check(code == 4 and path in err, "a file that is no socket is not taken for one", code, err)
            t.check(os.path.isfile(path) and read(path) == "precious", "and not removed")
            with ConfigFile({"proxy.listen": ["unix:" + os.path.join(directory, "none", "x.sock")]}) as config:
                code, _, err = run(t, "--config", config.path)
                t.check(code == 4 and "x.sock" in err, "a directory that is not there", code, err)
            with ConfigFile({"proxy.listen": ["unix:/" + "x" * 200]}) as config:
                code, _, err = run(t, "--config", config.path)
                t.check(code in (3, 4) and "xxx" in err, "a path that is too long", code, err)
    finally:
        shutil.rmtree(directory)


def run_for_a_while(t, config_path):
    """As run(), for what might start although it must not: it is ended then."""
    child = subprocess.Popen([t.pikaproxy, "--config", config_path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    try:
        out, err = child.communicate(timeout=END_S)
    except subprocess.TimeoutExpired:
        child.terminate()
        out, err = child.communicate(timeout=END_S)
        return "it started", out.decode(), err.decode()
    return child.returncode, out.decode(), err.decode()


def test_unix_socket_only(t):
    """A server behind a unix socket, too, and no TCP port at all."""
    directory = tempfile.mkdtemp(prefix="pikaproxy-unix-")
    try:
        path, server_path = os.path.join(directory, "proxy.sock"), os.path.join(directory, "redis.sock")
        with RedisServer("--unixsocket", server_path) as server:
            with PikaProxy(t.pikaproxy, [{"server": "unix:" + server_path}],
                           {"proxy.listen": ["unix:" + path],
                            "admin.enabled": False}) as proxy, Resp(path=path) as client:
                t.equal(client.call("SET", "k", "v"), "OK", "SET")
                t.equal(server.client().call("GET", "k"), b"v", "the server has it")
                t.equal(stat.S_IMODE(os.stat(path).st_mode), 0o700, "unix_mode by default")
                try:
                    proxy.http("/healthz", timeout=2)
                    t.check(False, "admin.enabled = false opens no port")
                except OSError:
                    t.check(True, "admin.enabled = false opens no port")
    finally:
        shutil.rmtree(directory)


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
            return True
    except OSError:
        return False


def test_ipv6(t):
    if not has_ipv6():
        t.note("skipped: ::1 cannot be used here")
        return
    with Servers(1) as servers:
        port = free_port()
        with PikaProxy(t.pikaproxy, servers, {"proxy.listen": ["127.0.0.1:%d" % port, "[::1]:%d" % port]},
                       port=port) as proxy:
            with Resp("::1", port) as client, proxy.client() as other:
                t.equal(client.call("SET", "k", "v"), "OK", "SET over IPv6")
                t.equal(other.call("GET", "k"), b"v", "GET over IPv4 on the same port")
                t.check(b"addr=[::1]:" in client.call("CLIENT", "INFO"), "CLIENT INFO", client.call("CLIENT", "INFO"))
        port = free_port()
        with PikaProxy(t.pikaproxy, servers, {"proxy.listen": ["localhost:%d" % port]}, port=port) as proxy, \
                proxy.client() as client:
            t.equal(client.call("PING"), "PONG", "localhost as the address to listen on")


def test_cannot_listen(t):
    with socket.socket() as taken, Servers(1) as servers:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        for options, what in (({"proxy.listen": [address]}, "a port in use"),
                              ({"proxy.listen": ["127.0.0.1:%d" % free_port(), address]}, "the second of two in use"),
                              ({"admin.listen": address}, "the admin port in use"),):
            with ConfigFile(options, servers) as config:
                code, out, err = run(t, "--config", config.path)
                lines = [line for line in err.splitlines() if "cannot listen" in line]
                t.check(code == 4 and lines and address in lines[0], "%s: exit code 4 and a sentence" % what,
                        code, out, err)
        for address in ("192.0.2.1:6379", "no-such-host.invalid:6379"):
            with ConfigFile({"proxy.listen": [address]}, servers) as config:
                code, _, err = run(t, "--config", config.path)
                t.check(code == 4 and "cannot listen on " + address in err, "%s is not ours" % address, code, err)


# ---- Command line -------------------------------------------------------------------------------


def test_bad_config(t):
    for options, mention in (({"proxy.max_clients": "x"}, "proxy.max_clients"), ({"proxy.nosuch": 1}, "nosuch"),
                             ({"nosuch.option": 1}, "nosuch"), ({"proxy.listen": ["nonsense"]}, "proxy.listen"),
                             ({"backend.request_timeout": "5 parsecs"}, "backend.request_timeout")):
        with ConfigFile(options) as config:
            for argv in (["--config", config.path], ["--config", config.path, "--check-config"]):
                code, _, err = run(t, *argv)
                t.check(code == 3 and mention in err, "%r: exit code 3 and the reason" % (options,), argv, code, err)
    with ConfigFile(text="[proxy\nlisten = 1") as config:
        code, _, err = run(t, "--config", config.path)
        t.check(code == 3 and config.path in err, "no TOML: exit code 3, and the file's name", code, err)
    code, _, err = run(t, "--config", "/nonexistent/pikaproxy.toml")
    t.check(code == 3 and "/nonexistent/pikaproxy.toml" in err, "no file: exit code 3", code, err)
    code, _, err = run(t, "--nosuch")
    t.check(code == 2 and "--nosuch" in err, "an unknown flag: exit code 2", code, err)
    for argv in (["--version"], ["--help"]):
        code, out, err = run(t, *argv)
        t.check(code == 0 and "pikaproxy" in out and not err, "%s" % argv[0], code, out[:200], err)


def test_check_config(t):
    """It opens nothing: not the ports (one is taken here), not the log file, no socket file, no server."""
    with socket.socket() as taken, socket.socket() as server, tempfile.TemporaryDirectory() as directory:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        options = {"proxy.listen": ["127.0.0.1:%d" % taken.getsockname()[1], "unix:%s/x.sock" % directory],
                   "log.file": directory + "/x.log"}
        with ConfigFile(options, ["127.0.0.1:%d" % server.getsockname()[1]]) as config:
            for flag in ("--check-config", "-t"):
                code, out, err = run(t, "--config", config.path, flag)
                t.check(code == 0, "%s of a good file" % flag, code, out, err)
            code, out, err = run(t, "--config", config.path, "--print-config")
            t.check(code == 0 and directory in out, "--print-config", code, out, err)
        t.equal(os.listdir(directory), [], "no file was made")
        try:
            server.accept()
            t.check(False, "no server was connected to")
        except BlockingIOError:
            t.check(True, "no server was connected to")


# ---- Pages --------------------------------------------------------------------------------------


def test_pages(t):
    with Servers(2) as servers, PikaProxy(t.pikaproxy, servers) as proxy:
        proxy.wait_for_servers()
        t.equal(proxy.http("/healthz"), (200, "ok\n"), "/healthz")
        t.equal(proxy.http("/readyz"), (200, "ready\n"), "/readyz")
        t.equal(proxy.http("/nosuch")[0], 404, "/nosuch")
        t.check('"version"' in proxy.http("/version")[1], "/version")
        port = servers[1].port
        servers[1].kill()
        wait_until(lambda: proxy.http("/readyz")[0] == 503, 10, "/readyz to notice a dead server")
        body = proxy.http("/readyz")[1]
        t.check("g1" in body and servers[1].address in body and "g0" not in body, "/readyz names the group", body)
        t.equal(proxy.http("/healthz")[0], 200, "/healthz is about the process only")
        servers[1].stop()
        servers[1] = RedisServer(port=port)
        wait_until(lambda: proxy.http("/readyz")[0] == 200, 20, "/readyz to notice that it is back")
        t.check(True, "/readyz follows")


def test_metrics(t):
    with Servers(2) as servers, PikaProxy(t.pikaproxy, servers) as proxy, proxy.client() as client:
        proxy.wait_for_servers()
        check_with_promtool(t, proxy, "before any request")
        keys = [keys_of_group(group, 2, 1)[0] for group in range(2)]
        for _ in range(10):
            client.call("SET", keys[0], "v")
            client.call("LPUSH", keys[0], "wrong type")
            client.call("MGET", *keys)
        for request in (["NOSUCH"], ["RENAME", *keys], ["GET"], ["SCAN", 0], ["EVAL", "return 1", 0], ["FLUSHALL"],
                        ["CLIENT", "LIST"], ["CONFIG", "GET", "*"]):
            client.call(*request)
        with proxy.client() as other:
            other.send_bytes(b"*x\r\n")
            other.reader.read()
        check_with_promtool(t, proxy, "after some")
        for name, labels, value in (
                ("pikaproxy_commands_total", {"command": "set"}, 10.0),
                ("pikaproxy_commands_total", {"command": "mget"}, 10.0),
                ("pikaproxy_refused_requests_total", {"reason": "unknown_command"}, 1.0),
                ("pikaproxy_refused_requests_total", {"reason": "crossslot"}, 1.0),
                ("pikaproxy_refused_requests_total", {"reason": "protocol"}, 1.0),
                ("pikaproxy_backend_up", {"group": "g0"}, 1.0),
                ("pikaproxy_backend_inflight_requests", {"group": "g1"}, 0.0),
                ("pikaproxy_client_connections", {}, 1.0),
                ("pikaproxy_queued_bytes", {}, 0.0)):
            wait_until(lambda: proxy.metric(name, **labels) is not None, 5, name)
            try:
                wait_until(lambda: proxy.metric(name, **labels) == value, 5, name)
            except TimeoutError:
                pass
            t.equal(proxy.metric(name, **labels), value, "%s %r" % (name, labels))
        t.check(proxy.metric("pikaproxy_backend_error_replies_total", group="g0") >= 10,
                "errors of a server are counted")
        count = proxy.metric("pikaproxy_backend_request_duration_seconds_count", group="g1")
        t.check(count is not None and count >= 10, "histograms count", count)


def check_with_promtool(t, proxy, what):
    page = proxy.http("/metrics")[1]
    t.check(page.endswith("\n") and page.startswith("# HELP "), "/metrics %s" % what, page[:100])
    names = [line.split(" ")[2] for line in page.splitlines() if line.startswith("# TYPE ")]
    t.equal(sorted(set(names)), sorted(names), "each family is written once")
    if shutil.which("promtool") is None:
        t.note("promtool is not installed: the page is not checked with it")
        return
    done = subprocess.run(["promtool", "check", "metrics"], input=page.encode(), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60)
    t.check(done.returncode == 0 and not done.stdout.strip(), "promtool check metrics %s" % what, done.stdout.decode())


def test_no_groups(t):
    """A proxy without a topology lives, and says that it serves nothing."""
    with PikaProxy(t.pikaproxy, []) as proxy, proxy.client() as client:
        t.equal(client.call("PING"), "PONG", "PING")
        for request in (["GET", "k"], ["MGET", "a", "b"], ["DBSIZE"], ["SCAN", 0], ["RANDOMKEY"], ["FLUSHALL"],
                        ["EVAL", "return 1", 0], ["SCRIPT", "LOAD", "return 1"], ["OBJECT", "HELP"], ["KEYS", "*"],
                        ["COMMAND", "DOCS", "get"]):
            reply = client.call(*request)
            t.error(reply, "CLUSTERDOWN ", "%s without groups" % request[0])
        status, body = proxy.http("/readyz")
        t.check(status == 503 and "no group" in body, "/readyz", status, body)


def test_http_requests_at_the_redis_port(t):
    """A browser that is led there by a hostile page gets nothing executed."""
    with Servers(1) as servers, PikaProxy(t.pikaproxy, servers) as proxy:
        for raw in (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\nSET k evil\r\n",
                    b"GET / HTTP/1.1\r\nHost: x\r\n\r\nSET k evil\r\n"):
            with proxy.client() as client:
                client.send_bytes(raw)
                try:
                    client.reader.read()
                except ConnectionError:
                    pass  # Closed with unread bytes.
        with proxy.client() as client:
            t.equal(client.call("EXISTS", "k"), 0, "nothing behind a Host or POST line is executed")


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
