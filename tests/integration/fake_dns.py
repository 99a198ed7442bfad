"""A name server of our own, and the proxy in a mount namespace where it is the only one.

    with FakeDns({"good.test": 0, "slow.test": 1.5, "silent.test": None}) as dns:
        PikaProxy(dns.wrapper(binary), ...)

Every name is 127.0.0.1, said after so many seconds (None: never). Needs root; available() tells.
"""

import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading

TYPE_A = 1


def available():
    """Whether a port below 1024 can be bound and a mount namespace made here."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-m", "true"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


class FakeDns:
    def __init__(self, delays):
        self.delays = delays
        self.asked = []
        self.directory = tempfile.mkdtemp(prefix="pikaproxy-dns-")
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # The port is fixed, so the address is one that nobody else is likely to use.
        self.host = "127.53.%d.%d" % (os.getpid() // 250 % 250 + 1, os.getpid() % 250 + 1)
        self.socket.bind((self.host, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def wrapper(self, binary):
        """The path of a program that runs `binary` with this name server."""
        conf = self._write("resolv.conf", "nameserver %s\noptions timeout:5 attempts:2\n" % self.host)
        inner = self._write("inner", "#!/bin/sh\nmount --bind %s /etc/resolv.conf\nexec %s \"$@\"\n"
                            % (conf, os.path.abspath(binary)), 0o755)
        return self._write("pikaproxy", "#!/bin/sh\nexec unshare -m %s \"$@\"\n" % inner, 0o755)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _write(self, name, text, mode=0o644):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def _serve(self):
        while True:
            try:
                query, peer = self.socket.recvfrom(2048)
            except OSError:
                return
            name, end = read_name(query)
            self.asked.append(name)
            delay = self.delays.get(name, 0)
            if delay is not None:
                threading.Timer(delay, self._answer, (query, peer, name, end)).start()

    def _answer(self, query, peer, name, end):
        query_type = struct.unpack(">H", query[end:end + 2])[0]
        known = name in self.delays
        count = 1 if known and query_type == TYPE_A else 0
        # Response, recursion available; NXDOMAIN for other names.
        header = query[:2] + struct.pack(">HHHHH", 0x8180 if known else 0x8183, 1, count, 0, 0)
        answer = header + query[12:end + 4]
        if count:
            answer += b"\xc0\x0c" + struct.pack(">HHIH", TYPE_A, 1, 1, 4) + socket.inet_aton("127.0.0.1")
        try:
            self.socket.sendto(answer, peer)
        except OSError:
            pass  # Closed, or whoever asked has gone.


def read_name(query):
    """The name that is asked for, and where its type begins."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("ascii", "replace"))
        at += 1 + query[at]
    return ".".join(labels).lower(), at + 1
