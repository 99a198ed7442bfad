"""Servers for the integration tests: each in a directory of its own under the temporary directory,
on a free port of 127.0.0.1, ended by its process id.

    with RedisServer() as server:
        server.client().call("PING")

    with PikaProxy("build/dev/pikaproxy", [server], {"proxy.workers": 2}) as proxy:
        proxy.client().call("SET", "k", "v")
"""

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from resp import Resp

START_TIMEOUT_S = 20
STOP_TIMEOUT_S = 10

_given_ports = set()


def first_ephemeral_port():
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as bounds:
        return int(bounds.read().split()[0])


# The kernel takes no ports below the ephemeral ones for connections that go out: a server that is started again, or
# late, finds its port free.
LOWEST_PORT = 10_000
PORTS_END = max(first_ephemeral_port(), LOWEST_PORT + 10_000)


def free_port():
    """A port that nobody listens on now, and that this process has not been given before. Another test may
    still take it before the server binds: who starts a server tries again then."""
    while True:
        port = random.randrange(LOWEST_PORT, PORTS_END)
        if port in _given_ports:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given_ports.add(port)
        return port


def wait_until(condition, timeout_s, what):
    """Asks `condition` until it is true; its OSErrors mean "no". Raises TimeoutError naming `what`."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if condition():
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError("waited %g s for: %s" % (timeout_s, what))
        time.sleep(0.01)


class Process:
    """A child process with a directory (kept if keep_directory) and its output in <directory>/log."""

    def __init__(self, argv, name, directory=None, env=None):
        self.name = name
        self.owns_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="pikaproxy-%s-" % name)
        self.log_path = os.path.join(self.directory, "log")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                argv, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(os.environ, **(env or {})))

    @property
    def pid(self):
        return self.process.pid

    def is_running(self):
        return self.process.poll() is None

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def send_signal(self, number):
        """SIGSTOP and SIGCONT play a server that hangs."""
        if self.is_running():
            self.process.send_signal(number)

    def kill(self):
        """As in a power cut: SIGKILL, the directory stays."""
        self.send_signal(signal.SIGKILL)
        return self.process.wait(STOP_TIMEOUT_S)

    def stop(self):
        """Ends the process if it still runs, removes the directory; returns the exit code. May be repeated."""
        self.send_signal(signal.SIGCONT)
        self.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            code = self.kill()
        if self.owns_directory:
            shutil.rmtree(self.directory, ignore_errors=True)
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class RedisServer(Process):
    """A redis-server without persistence. `options` are further command-line words ("--requirepass", "x")."""

    ATTEMPTS = 3  # A free port can be taken before the server binds it.

    def __init__(self, *options, port=None, binary="redis-server", directory=None):
        self.host = "127.0.0.1"
        for attempt in range(1, self.ATTEMPTS + 1):
            self.port = port or free_port()
            super().__init__(
                [binary, "--port", str(self.port), "--bind", self.host, "--save", "",
                 "--appendonly", "no", "--daemonize", "no", *map(str, options)],
                "redis", directory)
            try:
                wait_until(self._answers_or_died, START_TIMEOUT_S, "redis-server to answer PING")
            except TimeoutError:
                self.stop()
                raise
            if self.is_running():
                return
            log = self.log()
            self.stop()
            if port or attempt == self.ATTEMPTS or "Address already in use" not in log:
                raise RuntimeError("redis-server did not start:\n" + log)

    @property
    def address(self):
        return "%s:%d" % (self.host, self.port)

    def client(self, **kwargs):
        return Resp(self.host, self.port, **kwargs)

    def _answers_or_died(self):
        if not self.is_running():
            return True
        with self.client(timeout=2) as client:
            # A server with a password answers -NOAUTH, which is an answer too; -LOADING is not.
            return not str(client.call("PING")).startswith("LOADING")


# What a sanitizer prints, whichever it is.
SANITIZER_REPORT = re.compile(r"(Address|Thread|Leak|UndefinedBehavior)Sanitizer|runtime error: ")
ERROR_LINE = re.compile(r"^\S+Z error .*$", re.M)


class PikaProxy(Process):
    """The proxy over `groups`, with TCP and admin ports of its own.

    groups: per group a server (anything with .address), an address, or a dict of the keys of [[group]];
        groups without "slots" share all slots evenly, in their order.
    options: {"backend.request_timeout": "300ms", ...}. users: dicts of the keys of [[user]]. tables: others of that
        kind, as ("listener", {"address": ...}).
    allowed_errors: parts of log lines of level error that this test provokes. Any other such line, a
    sanitizer's report, an exit that nobody asked for or an exit code other than 0 makes stop() raise.
    env: further environment variables.
    """

    ATTEMPTS = 3  # A free port can be taken before the proxy binds it.

    def __init__(self, binary, groups, options=None, users=(), allowed_errors=(), port=None, argv=(), env=None,
                 tables=()):
        self.host = "127.0.0.1"
        self.allowed_errors = list(allowed_errors)
        self.groups = list(groups)
        self.users = list(users)
        self.tables = list(tables)
        directory = tempfile.mkdtemp(prefix="pikaproxy-proxy-")
        self.config_path = os.path.join(directory, "pikaproxy.toml")
        for attempt in range(1, self.ATTEMPTS + 1):
            self.port = port or free_port()
            self.admin_port = free_port()
            self.options = {"proxy.listen": ["%s:%d" % (self.host, self.port)],
                            "proxy.workers": 2,
                            "proxy.shutdown_timeout": "3s",
                            "admin.listen": "%s:%d" % (self.host, self.admin_port),
                            **(options or {})}
            self.write_config()
            self.argv = [os.path.abspath(binary), "--config", self.config_path, *argv]
            super().__init__(self.argv, "proxy", directory, env)
            self.owns_directory = True
            try:
                wait_until(self._answers_or_died, START_TIMEOUT_S, "the proxy to answer PING")
            except TimeoutError:
                self._end_quietly()
                raise
            if self.is_running():
                return
            log = self.log()
            if port or attempt == self.ATTEMPTS or "another process listens there" not in log:
                self._end_quietly()
                raise RuntimeError("pikaproxy did not start:\n" + log)

    @property
    def address(self):
        return "%s:%d" % (self.host, self.port)

    def client(self, **kwargs):
        return Resp(self.host, self.port, **kwargs)

    def write_config(self):
        """Writes what self.options, self.groups, self.users and self.tables say; send SIGHUP to have it applied."""
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(toml_config(self.options, self.groups, self.users, self.tables))

    def start_again(self, env=None):
        """After kill(): another process with the same ports and directory."""
        Process.__init__(self, self.argv, "proxy", self.directory, env)
        self.owns_directory = True
        wait_until(self._answers_or_died, START_TIMEOUT_S, "the proxy to answer PING")
        if not self.is_running():
            raise RuntimeError("pikaproxy did not start again:\n" + self.log())

    def reload(self):
        self.write_config()
        self.send_signal(signal.SIGHUP)

    def http(self, path, timeout=10):
        """(status, body) of a GET at the admin port."""
        try:
            with urllib.request.urlopen("http://%s:%d%s" % (self.host, self.admin_port, path),
                                        timeout=timeout) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name, **labels):
        """The value of a metric's line that has these labels; None if there is no such line."""
        for line in self.http("/metrics")[1].splitlines():
            match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if match and match.group(1) == name:
                found = dict(re.findall(r'(\w+)="([^"]*)"', match.group(2) or ""))
                if all(found.get(label) == value for label, value in labels.items()):
                    return float(match.group(3))
        return None

    def wait_for_servers(self, timeout_s=20):
        """Until every worker is connected to every group's server."""
        names = [group.get("name", "g%d" % number) if isinstance(group, dict) else "g%d" % number
                 for number, group in enumerate(self.groups)]
        wait_until(lambda: all(self.metric("pikaproxy_backend_up", group=name) == 1 for name in names), timeout_s,
                   "the proxy to be connected to its servers")

    def rss_kb(self):
        with open("/proc/%d/status" % self.pid, encoding="ascii") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))

    def wait_for_log(self, text, timeout_s=20):
        wait_until(lambda: text in self.log(), timeout_s, "%r in the proxy's log" % text)

    def complaints(self):
        """What of the log no test may leave behind."""
        log = self.log()
        found = [line for line in ERROR_LINE.findall(log)
                 if not any(allowed in line for allowed in self.allowed_errors)]
        report = SANITIZER_REPORT.search(log)
        if report:
            found.append(log[report.start():][:4000])
        return found

    def stop(self, expected_exit=0):
        """Ends the proxy; raises if it had ended by itself or its log has complaints. May be repeated."""
        if self.process.returncode is not None and not os.path.exists(self.log_path):
            return self.process.returncode
        ended_before = not self.is_running()
        self.send_signal(signal.SIGCONT)
        self.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            code = self.kill()
        complaints = self.complaints()
        tail = self.log()[-2000:]
        self._end_quietly()
        if code != expected_exit:
            raise RuntimeError("pikaproxy ended with %s%s\n%s" % (
                code, " before it was asked to" if ended_before else "", tail))
        if complaints:
            raise RuntimeError("pikaproxy complains:\n" + "\n".join(complaints))
        return code

    def wait_for_exit(self, timeout_s=20):
        """The exit code of a proxy that was told to end."""
        return self.process.wait(timeout_s)

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
            return
        # The test's own failure is the better message.
        try:
            self.stop()
        except RuntimeError as error:
            print("also: %s" % error, flush=True)

    def _end_quietly(self):
        super().stop()

    def _answers_or_died(self):
        if not self.is_running():
            return True
        listen = self.options["proxy.listen"]
        if not any(address.endswith(":%d" % self.port) for address in listen):
            return "started" in self.log()
        with self.client(timeout=2) as client:
            client.call("PING")  # NOAUTH is an answer too.
            return True


def toml_value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[%s]" % ", ".join(map(toml_value, value))
    return str(value) if isinstance(value, int) else json.dumps(value)


def toml_config(options, groups, users=(), tables=()):
    """The text of a configuration file, see PikaProxy."""
    sections = {}
    for name, value in options.items():
        section, key = name.split(".")
        sections.setdefault(section, []).append("%s = %s" % (key, toml_value(value)))
    text = "".join("[%s]\n%s\n\n" % (section, "\n".join(lines)) for section, lines in sections.items())
    for number, group in enumerate(groups):
        if not isinstance(group, dict):
            group = {"server": group if isinstance(group, str) else group.address}
        first, last = number * 1024 // len(groups), (number + 1) * 1024 // len(groups) - 1
        group = {"name": "g%d" % number, "slots": "%d-%d" % (first, last), **group}
        text += "[[group]]\n%s\n\n" % "\n".join("%s = %s" % (k, toml_value(v)) for k, v in group.items())
    for kind, table in [*(("user", user) for user in users), *tables]:
        text += "[[%s]]\n%s\n\n" % (kind, "\n".join("%s = %s" % (k, toml_value(v)) for k, v in table.items()))
    return text
