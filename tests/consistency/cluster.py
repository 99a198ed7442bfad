"""What is tested: a pikaproxy, real servers, and a relay in front of each server."""

import json
import os
import select
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

from api import Api  # noqa: E402
from resp import Resp, RespError  # noqa: E402
from servers import SANITIZER_REPORT, Process, free_port, toml_config, wait_until  # noqa: E402

DATABASES = 16
SLOTS = 1024
# What servers lack, so that keys move in a certain way. "none": groups are those of a configuration file, nothing moves.
RENAMED = {"none": (), "migrate": (), "copy": ("MIGRATE",), "copy-by-type": ("MIGRATE", "DUMP", "RESTORE")}


class Relay(Process):
    """relay.py, told what to do through its standard input."""

    def __init__(self, targets, directory):
        self.name = "relay"
        self.owns_directory = False
        self.directory = directory
        self.log_path = os.path.join(directory, "relay.log")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "relay.py"), *targets],
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        self.ports = self._answer()

    def tell(self, do, server, kinds=()):
        self.process.stdin.write(json.dumps({"do": do, "server": server, "kinds": list(kinds)}).encode() + b"\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self):
        if not select.select([self.process.stdout], [], [], 20)[0]:
            raise TimeoutError("the relay does not answer")
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the relay ended: %s" % self.log())
        return json.loads(line)


class Server:
    """A redis-server that keeps what it has acknowledged: it can be killed and started again. A forgetful one is empty
    then."""

    def __init__(self, number, directory, renamed, forgetful):
        self.number = number
        self.port = free_port()
        self.directory = directory
        self.renamed = renamed
        self.forgetful = forgetful
        self.process = None
        self.stopped = False
        os.makedirs(directory)

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def start(self):
        words = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--daemonize", "no",
                 "--save", "", "--appendonly", "no" if self.forgetful else "yes", "--appendfsync", "always", "--dir", self.directory,
                 "--databases", str(DATABASES), "--auto-aof-rewrite-percentage", "0"]
        for command in self.renamed:
            words += ["--rename-command", command, ""]
        self.process = Process(words, "redis%d" % self.number, self.directory)
        self.stopped = False

    def wait(self):
        wait_until(self.answers, 30, "redis %d to answer" % self.number)

    def answers(self):
        if not self.process.is_running():
            raise RuntimeError("redis %d ended: %s" % (self.number, self.process.log()[-2000:]))
        with self.client(timeout=2) as client:
            return client.call("PING") == "PONG"

    def client(self, **kwargs):
        """Past the relay."""
        return Resp("127.0.0.1", self.port, **kwargs)

    def hang(self):
        self.stopped = True
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.stopped = False
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()

    def end(self):
        if self.process is not None:
            self.process.stop()


class Proxy:
    """The pikaproxy under test. It can be killed and started again with the same ports and files."""

    def __init__(self, binary, directory, options, groups):
        self.binary = os.path.abspath(binary)
        self.directory = directory
        self.port = free_port()
        self.admin_port = free_port()
        self.config_path = os.path.join(directory, "pikaproxy.toml")
        self.process = None
        self.starts = 0
        os.makedirs(directory, exist_ok=True)
        options = {"proxy.listen": ["127.0.0.1:%d" % self.port], "proxy.workers": 2,
                   "proxy.databases": DATABASES, "proxy.shutdown_timeout": "2s",
                   "admin.listen": "127.0.0.1:%d" % self.admin_port, **options}
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(toml_config(options, groups))

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def start(self, environment=None):
        self.starts += 1
        saved = dict(os.environ)
        os.environ.update(environment or {})
        try:
            self.process = Process([self.binary, "--config", self.config_path], "proxy", self.directory)
        finally:
            os.environ.clear()
            os.environ.update(saved)

    def wait(self, timeout_s=30):
        wait_until(self.answers, timeout_s, "the proxy to answer")

    def answers(self):
        if not self.process.is_running():
            raise RuntimeError("pikaproxy ended: %s" % self.process.log()[-3000:])
        with self.client(timeout=2) as client:
            return client.call("PING") == "PONG"

    def client(self, **kwargs):
        return Resp("127.0.0.1", self.port, **kwargs)

    def state(self):
        """As in /proc: "T" is stopped."""
        with open("/proc/%d/stat" % self.process.pid, encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0]

    def complaints(self):
        report = SANITIZER_REPORT.search(self.process.log())
        return self.process.log()[report.start():][:4000] if report else ""


class Cluster:
    """Everything that runs, in `directory`; end() ends it all. mover: of RENAMED."""

    def __init__(self, binary, directory, mover="migrate", groups=3, options=None, forgetful=False):
        self.binary = binary
        self.directory = directory
        self.mover = mover
        self.servers = [Server(number, os.path.join(directory, "redis%d" % number), RENAMED[mover], forgetful)
                        for number in range(groups)]
        self.relay = None
        self.proxy = None
        self.api = None
        self.groups = []  # Their ids, as of self.servers.
        self.options = {"backend.request_timeout": "1s", "backend.connect_timeout": "500ms",
                        "backend.reconnect_max": "100ms", **(options or {})}

    def start(self):
        for server in self.servers:
            server.start()
        self.relay = Relay([server.address for server in self.servers], self.directory)
        for server in self.servers:
            server.wait()
        addresses = ["127.0.0.1:%d" % port for port in self.relay.ports]
        directory = os.path.join(self.directory, "proxy")
        os.makedirs(directory)
        if self.mover == "none":
            self.proxy = Proxy(self.binary, directory, self.options, [{"server": address} for address in addresses])
            self.proxy.start()
            self.proxy.wait()
            return
        options = {"dashboard.data_dir": os.path.join(directory, "data"),
                   "dashboard.admin_password_file": Api.write_password(directory), **self.options}
        self.proxy = Proxy(self.binary, directory, options, [])
        self.proxy.start()
        self.proxy.wait()
        self.api = Api(self.proxy.admin_port)
        wait_until(lambda: self.api.log_in() is None, 20, "the API to answer")
        for address in addresses:
            made = self.api.change_topology("POST", "/groups", {"servers": [address]})
            self.groups.append(made["id"])
        count = len(addresses)
        self.api.change_topology("PUT", "/slots/assignment", {"ranges": [
            {"from": SLOTS * number // count, "to": SLOTS * (number + 1) // count - 1, "group_id": group}
            for number, group in enumerate(self.groups)]})

    def call(self, db, words):
        """One request through the proxy; patient with what is not there yet."""
        deadline = time.monotonic() + 30
        while True:
            try:
                with self.proxy.client(timeout=20) as client:
                    if db:
                        client.call("SELECT", db)
                    reply = client.call(*words)
            except OSError as error:
                reply = RespError("ERR %s" % error)
            if not isinstance(reply, RespError):
                return reply
            if time.monotonic() > deadline:
                raise RuntimeError("%r got %s" % (words[:3], reply))
            time.sleep(0.05)

    def heal(self):
        """Everything runs again and every link works."""
        for number, server in enumerate(self.servers):
            self.relay.tell("heal", number)
            if not server.process.is_running():
                server.start()
            server.go_on()
        for server in self.servers:
            server.wait()
        if not self.proxy.process.is_running():
            self.proxy.start()
        self.proxy.process.send_signal(signal.SIGCONT)
        self.proxy.wait()

    def end(self):
        for server in self.servers:
            server.end()
        if self.proxy is not None:
            self.proxy.process.stop()
        if self.relay is not None:
            self.relay.stop()
