#!/usr/bin/env python3
"""HTTPS on the admin port: what is spoken, what is refused, and that nobody can hold up others.

    tls_test.py --pikaproxy build/dev/pikaproxy [--seed N] [names of tests]
"""

import errno
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import warnings

from checks import run_tests
from servers import PikaProxy, free_port, wait_until

PATIENCE_S = 60  # Longer is a failed test.
IDLE_CONNECTIONS = 200


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


class Certificates:
    """A directory with self-signed certificates for "localhost": <name>.crt and <name>.key."""

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="pikaproxy-tls-")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    def make(self, name):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                "-subj", "/CN=" + name, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                "-keyout", self.path(name + ".key"), "-out", self.path(name + ".crt"))
        return self.options(name)

    def make_expired(self, name):
        self.make(name)
        openssl("x509", "-in", self.path(name + ".crt"), "-signkey", self.path(name + ".key"), "-days", "-1",
                "-out", self.path("expired.crt"))
        os.replace(self.path("expired.crt"), self.path(name + ".crt"))
        return self.options(name)

    def options(self, name):
        return {"admin.tls_cert": self.path(name + ".crt"), "admin.tls_key": self.path(name + ".key")}


class Served:
    """A pikaproxy without groups whose admin port speaks HTTPS with certificate "a"."""

    def __init__(self, t, options=None):
        self.certificates = Certificates()
        self.t = t
        self.options = options or {}

    def __enter__(self):
        self.certificates.__enter__()
        tls = self.certificates.make("a")
        self.data = self.certificates.path("data")
        self.proxy = PikaProxy(self.t.pikaproxy, [], {**tls, "dashboard.data_dir": self.data, **self.options})
        return self

    def __exit__(self, *exception):
        self.proxy.__exit__(*exception)
        self.certificates.__exit__()

    def context(self, name="a", **versions):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.certificates.path(name + ".crt"))
        for attribute, value in versions.items():
            setattr(context, attribute, value)
        return context

    def plain(self):
        return socket.create_connection((self.proxy.host, self.proxy.admin_port), timeout=PATIENCE_S)

    def connect(self, context=None):
        return (context or self.context()).wrap_socket(self.plain(), server_hostname="localhost")

    def get(self, path, context=None, headers=""):
        """(head, body) over a connection of its own."""
        with self.connect(context) as connection:
            connection.sendall(("GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n" %
                                (path, headers)).encode())
            return split(read_to_end(connection))


def read_to_end(connection):
    chunks = []
    while True:
        chunk = connection.recv(1 << 16)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)


def split(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode(), body


def status(head):
    return int(head.split()[1])


def test_versions(t):
    with Served(t) as served:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = served.context(minimum_version=version, maximum_version=version)
            head, body = served.get("/healthz", context)
            t.equal((status(head), body), (200, b"ok\n"), "GET with %s" % version.name)
            with served.connect(context) as connection:
                t.check("GCM" in connection.cipher()[0] or "CHACHA" in connection.cipher()[0],
                        "the cipher is authenticated", connection.cipher())
        warnings.simplefilter("ignore", DeprecationWarning)  # That is why they are tried.
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            context = served.context(minimum_version=version, maximum_version=version)
            # The client would do it, so it is the server that does not.
            context.set_ciphers("ALL:@SECLEVEL=0")
            try:
                served.connect(context).close()
                t.check(False, "%s is refused" % version.name)
            except ssl.SSLError as error:
                t.equal(error.reason, "TLSV1_ALERT_PROTOCOL_VERSION", "%s is refused" % version.name)
        context = served.context(maximum_version=ssl.TLSVersion.TLSv1_2)
        context.set_ciphers("AES128-SHA:AES256-SHA256")
        try:
            served.connect(context).close()
            t.check(False, "ciphers without forward secrecy are refused")
        except ssl.SSLError as error:
            t.equal(error.reason, "SSLV3_ALERT_HANDSHAKE_FAILURE", "ciphers without forward secrecy are refused")


def test_session(t):
    """Logging in, a large body and events, as a browser does."""
    with Served(t) as served:
        with open(os.path.join(served.data, "admin-password"), encoding="utf-8") as file:
            password = file.readline().strip()
        body = json.dumps({"username": "admin", "password": password}).encode()
        with served.connect() as connection:
            connection.sendall(b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nOrigin: https://localhost\r\n"
                               b"Content-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
                               % (len(body), body))
            head, _ = split(read_to_end(connection))
        t.equal(status(head), 200, "login")
        cookie = [line for line in head.split("\r\n") if line.startswith("Set-Cookie: ")][0]
        t.check("; Secure" in cookie, "the cookie is for HTTPS only", cookie.split("=")[0])
        t.check("Strict-Transport-Security: max-age=" in head, "browsers are told to stay with HTTPS", head)
        session = "Cookie: %s\r\n" % cookie[len("Set-Cookie: "):].split(";")[0]

        head, document = served.get("/api/v1/openapi.json", headers=session)
        t.equal(status(head), 200, "a large body")
        t.check(len(document) > 50_000 and json.loads(document)["openapi"], "it arrives whole", len(document))
        t.equal(int(head.split("Content-Length: ")[1].split("\r\n")[0]), len(document), "its length")

        with served.connect() as events:
            events.sendall(("GET /api/v1/events?topics=stats HTTP/1.1\r\nHost: localhost\r\n%s\r\n" %
                            session).encode())
            received = b""
            while received.count(b"event: stats") < 2:
                chunk = events.recv(1 << 16)
                t.check(chunk, "events come one by one")
                if not chunk:
                    break
                received += chunk
            # Sent ahead, which must not disturb the stream.
            events.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while received.count(b"event: stats") < 4:
                chunk = events.recv(1 << 16)
                if not t.check(chunk, "events go on"):
                    break
                received += chunk
            t.check(b"ok\n" not in received, "nothing else comes in a stream")


def test_keep_alive(t):
    """Requests in one connection, sent in every way that divides them differently."""
    rng = t.rng()
    with Served(t) as served, served.connect() as connection:
        request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        count = 40
        sent = request * count
        while sent:
            size = rng.choice((1, 7, 50, 1000))
            connection.sendall(sent[:size])
            sent = sent[size:]
        received = b""
        while received.count(b"\r\n\r\nok\n") < count:
            chunk = connection.recv(1 << 16)
            if not t.check(chunk, "the connection stays open"):
                return
            received += chunk
        t.equal(received.count(b"HTTP/1.1 200"), count, "answers in one connection")


def test_plain_http(t):
    with Served(t) as served:
        for request in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"POST /api/v1/auth/login HTTP/1.1\r\n",
                        b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
            with served.plain() as connection:
                connection.sendall(request)
                head, body = split(read_to_end(connection))
                t.equal(status(head), 400, "status of %r" % request[:10])
                t.check(b"This port speaks HTTPS" in body, "it says why", body)
                t.check("Strict-Transport" not in head, "nothing is promised without TLS", head)
        t.equal(status(served.get("/healthz")[0]), 200, "the port goes on")


def test_garbage(t):
    """Whatever comes instead of a handshake, or in one, ends that connection and no other."""
    rng = t.rng()
    with Served(t) as served, served.connect() as witness:
        hello = client_hello(served)
        for attempt in range(60):
            garbage = bytearray(hello)
            kind = attempt % 4
            if kind == 0:
                garbage = bytearray(rng.randbytes(rng.randrange(1, 3000)))
                garbage[0] |= 0x80  # Neither TLS nor a letter.
            elif kind == 1:
                for _ in range(rng.randrange(1, 8)):
                    garbage[rng.randrange(1, len(garbage))] ^= 1 << rng.randrange(8)
            elif kind == 2:
                garbage = garbage[:rng.randrange(1, len(garbage))]
            else:
                garbage += rng.randbytes(rng.randrange(1, 3000))
            with served.plain() as connection:
                say_and_wait(connection, garbage)
        # In the middle of a session.
        for _ in range(20):
            connection = served.connect()
            with socket.socket(fileno=connection.detach()) as raw:
                raw.settimeout(PATIENCE_S)
                say_and_wait(raw, rng.randbytes(rng.randrange(1, 500)))
        witness.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        t.check(witness.recv(4096).startswith(b"HTTP/1.1 200"), "a connection from before goes on")


def say_and_wait(connection, data):
    """Until the server has closed, with a reset or without, which may be before all was sent."""
    try:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        read_to_end(connection)
    except OSError as error:
        if error.errno not in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN):
            raise


def client_hello(served):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = served.context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def test_slow_handshakes(t):
    """Who begins a handshake and does not go on holds up nobody, and is cut off."""
    with Served(t) as served:
        hello = client_hello(served)
        slow = [served.plain() for _ in range(100)]
        try:
            for number, connection in enumerate(slow):
                connection.sendall(hello[:number])
            for _ in range(20):
                t.equal(status(served.get("/healthz")[0]), 200, "others are served")
            # The server's own bound ends them: nothing else would.
            for connection in slow:
                read_to_end(connection)
            t.check(True, "all were cut off")
        finally:
            for connection in slow:
                connection.close()


def test_idle_connections(t):
    with Served(t) as served:
        context = served.context()
        before = served.proxy.rss_kb()
        idle = [served.connect(context) for _ in range(IDLE_CONNECTIONS)]
        try:
            for connection in idle:
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                t.check(connection.recv(4096).startswith(b"HTTP/1.1 200"), "each is served")
            t.note("%d KiB per idle connection" % ((served.proxy.rss_kb() - before) // IDLE_CONNECTIONS))
            t.equal(status(served.get("/healthz", context)[0]), 200, "one more is served")
        finally:
            for connection in idle:
                connection.close()


def test_renewed_certificate(t):
    with Served(t) as served:
        before = served.connect()
        served.certificates.make("b")
        for ending in (".crt", ".key"):
            os.replace(served.certificates.path("b" + ending), served.certificates.path("a" + ending))
        served.proxy.send_signal(signal.SIGHUP)
        served.proxy.wait_for_log("settings reloaded")
        # The reload is logged before the port has read the files.
        wait_until(lambda: common_name(served) == "b", PATIENCE_S, "the new certificate")
        before.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        t.check(before.recv(4096).startswith(b"HTTP/1.1 200"), "a connection from before goes on")
        before.close()

        with open(served.certificates.path("a.key"), "w", encoding="ascii") as file:
            file.write("nothing\n")
        served.proxy.allowed_errors.append("reload refused")
        served.proxy.send_signal(signal.SIGHUP)
        served.proxy.wait_for_log("reload refused")
        t.equal(common_name(served), "b", "what cannot be read changes nothing")


def common_name(served):
    with served.connect() as connection:
        return dict(pair[0] for pair in connection.getpeercert()["subject"])["commonName"]


def test_bad_files(t):
    """What is wrong with the files is said before anything is opened, by --check-config too, with exit code 3."""
    program = os.path.abspath(t.pikaproxy)
    with Certificates() as certificates:
        good = certificates.make("a")
        other = certificates.make("b")
        openssl("ec", "-in", good["admin.tls_key"], "-aes128", "-passout", "pass:secret",
                "-out", certificates.path("locked.key"))
        with open(certificates.path("text"), "w", encoding="ascii") as file:
            file.write("hunter2\n")
        with open(good["admin.tls_cert"], encoding="ascii") as file:
            chain = file.read()
        with open(certificates.path("broken_chain"), "w", encoding="ascii") as file:
            file.write(chain + chain.replace("M", "-", 3))
        cases = [
            ({"admin.tls_key": None}, "admin.tls_cert is given without admin.tls_key"),
            ({"admin.tls_cert": None}, "admin.tls_key is given without admin.tls_cert"),
            ({"admin.tls_cert": certificates.path("none")}, "admin.tls_cert: .*cannot be read: No such file"),
            ({"admin.tls_key": certificates.directory}, "admin.tls_key: .*not a regular file"),
            ({"admin.tls_cert": certificates.path("text")}, "admin.tls_cert: .*no certificate in PEM form"),
            ({"admin.tls_cert": certificates.path("broken_chain")}, "admin.tls_cert: a further certificate"),
            ({"admin.tls_key": certificates.path("text")}, "admin.tls_key: .*no private key in PEM form"),
            ({"admin.tls_key": certificates.path("locked.key")}, "admin.tls_key: .*without a password"),
            ({"admin.tls_key": other["admin.tls_key"]}, "admin.tls_key: .*does not belong to the certificate"),
        ]
        for changes, pattern in cases:
            flags = []
            for name, value in {**good, **changes}.items():
                if value is not None:
                    flags += ["--" + name, value]
            for mode in (["--check-config"], ["--proxy.listen", "127.0.0.1:%d" % free_port()]):
                done = subprocess.run([program, *flags, *mode], stdin=subprocess.DEVNULL, timeout=PATIENCE_S,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=certificates.directory)
                text = done.stdout.decode()
                t.equal(done.returncode, 3, "exit code with %s" % changes)
                t.check(re.search(pattern, text), "the message of %s" % changes, text)
                t.check("hunter2" not in text, "nothing that was read is shown", text)

        def check(*more):
            flags = [word for name, value in good.items() for word in ("--" + name, value)]
            done = subprocess.run([program, "--check-config", *flags, *more], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE_S)
            return done.returncode, done.stdout.decode()

        code, text = check("--admin.listen", "0.0.0.0:19001")
        t.equal(code, 0, "with TLS the dashboard may be open to other machines")
        t.check("expired" not in text, "a certificate in its time is not complained about", text)
        good = certificates.make_expired("old")
        code, text = check()
        t.equal(code, 0, "an expired certificate does not keep the proxy from starting")
        t.check("has expired" in text, "but is warned of", text)


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
