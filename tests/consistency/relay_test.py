#!/usr/bin/env python3
"""The relay itself: what passes, what is held back, and what still arrives when its sender is gone.

    relay_test.py [--seed N] [names of tests]      (--pikaproxy is taken and not used)
"""

import os
import socket
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

from checks import run_tests  # noqa: E402
from cluster import Relay  # noqa: E402
from resp import encode  # noqa: E402
from servers import wait_until  # noqa: E402

SETTLE_S = 0.3  # How long nothing must arrive to be taken as held back.
ALL = ("proxy", "mover", "migrate")


class Server:
    """Keeps what each connection received; echoes it if asked to."""

    def __init__(self, echo=False):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.echo = echo
        self.received = []
        self.ended = []
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def address(self):
        return "127.0.0.1:%d" % self.listener.getsockname()[1]

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            number = len(self.received)
            self.received.append(b"")
            self.ended.append(None)
            threading.Thread(target=self.read, args=(sock, number), daemon=True).start()

    def read(self, sock, number):
        try:
            while True:
                data = sock.recv(65536)
                if not data:
                    self.ended[number] = "closed"
                    return
                self.received[number] += data
                if self.echo:
                    sock.sendall(data)
        except OSError:
            self.ended[number] = "reset"
        finally:
            sock.close()


class Setup:
    def __init__(self, echo=False):
        self.directory = tempfile.TemporaryDirectory()
        self.server = Server(echo)
        self.relay = Relay([self.server.address], self.directory.name)

    def connect(self):
        sock = socket.create_connection(("127.0.0.1", self.relay.ports[0]), 10)
        return sock

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.relay.stop()
        self.server.listener.close()
        self.directory.cleanup()


def arrives(setup, number, data):
    wait_until(lambda: len(setup.server.received) > number and setup.server.received[number] == data, 10,
               "%.60r to arrive" % data)
    return True


def nothing_arrives(setup, number, data):
    try:
        wait_until(lambda: setup.server.received[number] != data, SETTLE_S, "")
    except TimeoutError:
        return True
    return False


def test_bytes_pass_both_ways(t):
    with Setup(echo=True) as setup, setup.connect() as client:
        data = os.urandom(3_000_000)
        threading.Thread(target=client.sendall, args=(data,), daemon=True).start()
        back = bytearray()
        while len(back) < len(data):
            back += client.recv(1 << 16)
        t.check(bytes(back) == data, "three megabytes come back as they were")


def test_a_cut_resets_both_sides(t):
    with Setup() as setup, setup.connect() as client:
        client.sendall(encode("PING"))
        arrives(setup, 0, encode("PING"))
        t.equal(setup.relay.tell("cut", 0, ["mover"])["cut"], 0, "links of other kinds stay")
        t.equal(setup.relay.tell("cut", 0, ["proxy"])["cut"], 1, "one link is cut")
        try:
            ended = client.recv(1) == b""
        except ConnectionResetError:
            ended = True
        t.check(ended, "the client notices")
        wait_until(lambda: setup.server.ended[0] is not None, 10, "the server to notice")


def test_a_hung_link_holds_everything_and_loses_nothing(t):
    with Setup() as setup:
        client = setup.connect()
        client.sendall(encode("GET", "a"))
        arrives(setup, 0, encode("GET", "a"))
        setup.relay.tell("hang", 0, ALL)
        client.sendall(encode("SET", "a", "late"))
        t.check(nothing_arrives(setup, 0, encode("GET", "a")), "nothing passes")
        wait_until(lambda: setup.relay.tell("held", 0)["bytes"] == len(encode("SET", "a", "late")), 10,
                   "the relay to say what it holds back")
        client.close()
        t.check(nothing_arrives(setup, 0, encode("GET", "a")), "nothing passes when the client has gone either")
        t.equal(setup.server.ended[0], None, "the server does not know that it has gone")
        setup.relay.tell("heal", 0)
        t.check(arrives(setup, 0, encode("GET", "a") + encode("SET", "a", "late")), "it arrives in the end")
        t.equal(setup.relay.tell("held", 0)["bytes"], 0, "nothing is held back any more")
        wait_until(lambda: setup.server.ended[0] is not None, 10, "the server to see the end")


def test_new_connections_through_a_hung_link(t):
    with Setup() as setup:
        setup.relay.tell("hang", 0, ALL)
        with setup.connect() as client:
            client.sendall(encode("PING"))
            wait_until(lambda: len(setup.server.received) == 1, 10, "the server to have a connection")
            t.check(nothing_arrives(setup, 0, b""), "nothing passes")
            setup.relay.tell("heal", 0)
            t.check(arrives(setup, 0, encode("PING")), "it arrives in the end")


def test_only_what_is_there_hangs(t):
    with Setup() as setup, setup.connect() as old:
        old.sendall(encode("PING"))
        arrives(setup, 0, encode("PING"))
        setup.relay.tell("hang existing", 0, ALL)
        old.sendall(encode("PING"))
        t.check(nothing_arrives(setup, 0, encode("PING")), "the old one is held back")
        with setup.connect() as new:
            new.sendall(encode("PING"))
            t.check(arrives(setup, 1, encode("PING")), "a new one is not")


def test_kinds(t):
    with Setup() as setup, setup.connect() as proxy, setup.connect() as mover, setup.connect() as migrate:
        proxy.sendall(encode("CLIENT", "SETNAME", "pikaproxy:1:1"))
        mover.sendall(encode("CLIENT", "SETNAME", "pikaproxy-mover:x:1"))
        migrate.sendall(encode("SELECT", "3") + encode("RESTORE", "k", "0", "x"))
        wait_until(lambda: setup.relay.tell("count", 0) == {"proxy": 1, "mover": 1, "migrate": 1}, 10,
                   "each to be known by what it sent first")
        t.check(True, "kinds are told apart")
        setup.relay.tell("hang", 0, ["migrate"])
        with setup.connect() as other:
            other.sendall(encode("RESTORE", "k", "0", "x"))
            wait_until(lambda: setup.relay.tell("count", 0)["migrate"] == 2 and len(setup.server.received) == 4, 10,
                       "it to be known")
            t.check(nothing_arrives(setup, 3, b""), "a new one of a kind that hangs is held back")
            proxy.sendall(encode("PING"))
            wait_until(lambda: any(received.endswith(encode("PING")) for received in setup.server.received), 10,
                       "other kinds to pass")


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
