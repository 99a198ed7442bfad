#!/usr/bin/env python3
"""A relay in front of servers, which can cut their links or let them hang: proxy, mover and MIGRATE all go through it.

    relay.py HOST:PORT...      one free port of 127.0.0.1 for each server; prints them as a JSON list

Commands are JSON lines on standard input, each answered with a line on standard output:
    {"do": "cut", "server": 0, "kinds": ["migrate"]}      resets these connections, once
    {"do": "hang", "server": 0, "kinds": [...]}           holds back what these connections send, both ways
    {"do": "hang existing", "server": 0, "kinds": [...]}  the same, but not of connections made later
    {"do": "heal", "server": 0}                           lets everything go on
    {"do": "count", "server": 0}                          how many connections of each kind there are
    {"do": "held", "server": 0}                           bytes from clients that links which hang hold back
Ends when standard input does.

A hung link behaves as TCP does when packets are lost and sent again: nothing of what either side has sent is lost,
not even when that side gives up and closes; it all arrives after the link has healed. A new connection through a
hung link is made, but carries nothing.

Kinds, by the first thing that a connection sends: "migrate" (a server's own MIGRATE), "mover" (the move engine),
"proxy" (everything else).
"""

import errno
import fcntl
import json
import os
import select
import socket
import struct
import sys
import termios

KINDS = ("proxy", "mover", "migrate")
BUFFER = 64 * 1024
HELD_MAX = 1024 * 1024  # Beyond it a side is not read from until the other has taken some.
RESET = struct.pack("ii", 1, 0)


class Side:
    """One socket of a link; `waiting` is what is still to be sent on it."""

    def __init__(self, sock, link):
        self.socket = sock
        self.link = link
        self.other = None
        self.waiting = bytearray()
        self.ended = False       # It will send nothing more.
        self.shut = False        # We have told it that nothing more comes.
        self.events = 0


class Link:
    def __init__(self, server, client):
        self.server = server
        self.kind = None
        self.client = client
        self.hung = False  # This one alone.


class Relay:
    def __init__(self, targets):
        self.targets = targets
        self.poll = select.epoll()
        self.listeners = {}
        self.sides = {}
        self.links = set()
        self.hung = [set() for _ in targets]
        self.ports = []
        for server in range(len(targets)):
            listener = socket.create_server(("127.0.0.1", 0), backlog=512)
            listener.setblocking(False)
            self.listeners[listener.fileno()] = (listener, server)
            self.poll.register(listener.fileno(), select.EPOLLIN)
            self.ports.append(listener.getsockname()[1])
        self.input = b""
        os.set_blocking(0, False)
        self.poll.register(0, select.EPOLLIN)

    def run(self):
        while True:
            for fd, events in self.poll.poll():
                if fd == 0:
                    if not self.read_commands():
                        return
                elif fd in self.listeners:
                    self.accept(*self.listeners[fd])
                elif fd in self.sides:
                    self.ready(self.sides[fd], events)

    def read_commands(self):
        data = os.read(0, BUFFER)
        self.input += data
        while b"\n" in self.input:
            line, self.input = self.input.split(b"\n", 1)
            print(json.dumps(self.obey(json.loads(line))), flush=True)
        return bool(data)

    def obey(self, command):
        server = command["server"]
        links = [link for link in self.links if link.server == server]
        if command["do"] == "count":
            return {kind: sum(link.kind == kind for link in links) for kind in KINDS}
        if command["do"] == "held":
            return {"bytes": sum(unread(link.client.socket) + len(link.client.other.waiting)
                                 for link in links if self.is_hung(link))}
        if command["do"] == "heal":
            self.hung[server].clear()
            for link in links:
                link.hung = False
        elif command["do"] == "hang":
            self.hung[server] |= set(command["kinds"])
        elif command["do"] == "hang existing":
            for link in links:
                link.hung = link.hung or link.kind in command["kinds"]
        elif command["do"] == "cut":
            links = [link for link in links if link.kind in command["kinds"]]
            for link in links:
                self.close(link)
            return {"cut": len(links)}
        for link in links:
            for side in (link.client, link.client.other):
                self.want(side)
        return {}

    def accept(self, listener, server):
        while True:
            try:
                inner, _ = listener.accept()
            except OSError:
                return
            outer = socket.socket()
            link = Link(server, None)
            a, b = Side(inner, link), Side(outer, link)
            a.other, b.other = b, a
            link.client = a
            self.links.add(link)
            for side in (a, b):
                side.socket.setblocking(False)
                side.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.sides[side.socket.fileno()] = side
                self.poll.register(side.socket.fileno(), 0)
            host, port = self.targets[server].rsplit(":", 1)
            if outer.connect_ex((host, int(port))) not in (0, errno.EINPROGRESS):
                self.close(link)
                continue
            self.want(a)
            self.want(b)

    def is_hung(self, link):
        return link.hung or link.kind in self.hung[link.server]

    def want(self, side):
        """Waits for what this side can do now."""
        if side.socket.fileno() < 0:
            return
        link = side.link
        hung = self.is_hung(link)
        events = 0
        # A link is of no kind before it has said something: that is looked at even while others hang.
        if not side.ended and not hung and len(side.other.waiting) < HELD_MAX:
            if link.kind or side is link.client:
                events |= select.EPOLLIN
        if side.waiting and not hung:
            events |= select.EPOLLOUT
        # Without interest a broken connection is still reported: again and again, if it is not taken out.
        if events != side.events:
            side.events = events
            self.poll.modify(side.socket.fileno(), events)

    def ready(self, side, events):
        link = side.link
        if events & (select.EPOLLERR | select.EPOLLHUP) and not side.events:
            if not self.is_hung(link):
                self.close(link)
            else:
                # Found again when the link heals.
                self.poll.unregister(side.socket.fileno())
                self.poll.register(side.socket.fileno(), select.EPOLLET)
            return
        try:
            if events & select.EPOLLOUT and side.waiting:
                sent = side.socket.send(side.waiting)
                del side.waiting[:sent]
            if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                if link.kind is None and side is link.client:
                    first = side.socket.recv(BUFFER, socket.MSG_PEEK)
                    link.kind = kind_of(first)
                    if self.is_hung(link):
                        self.want(side)
                        self.want(side.other)
                        return
                data = side.socket.recv(BUFFER)
                if data:
                    self.forward(side.other, data)
                else:
                    side.ended = True
        except BlockingIOError:
            pass
        except OSError:
            self.close(link)
            return
        for one in (side, side.other):
            if one.other.ended and not one.waiting and not one.shut:
                one.shut = True
                try:
                    one.socket.shutdown(socket.SHUT_WR)
                except OSError:
                    self.close(link)
                    return
        if side.shut and side.other.shut:
            self.close(link, reset=False)
            return
        self.want(side)
        self.want(side.other)

    def forward(self, side, data):
        if not side.waiting:
            try:
                data = data[side.socket.send(data):]
            except BlockingIOError:
                pass
            except OSError as error:
                if error.errno not in (errno.ENOTCONN, errno.EAGAIN):
                    raise
        side.waiting += data

    def close(self, link, reset=True):
        if link not in self.links:
            return
        self.links.remove(link)
        for side in (link.client, link.client.other):
            fd = side.socket.fileno()
            self.sides.pop(fd, None)
            try:
                self.poll.unregister(fd)
            except OSError:
                pass
            if reset:
                side.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            side.socket.close()


def unread(sock):
    """Bytes that have come and were not taken yet."""
    return struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, bytes(4)))[0]


def kind_of(first):
    head = first[:400]
    if b"RESTORE" in head:
        return "migrate"
    return "mover" if b"pikaproxy-mover" in head else "proxy"


def main():
    relay = Relay(sys.argv[1:])
    print(json.dumps(relay.ports), flush=True)
    relay.run()


if __name__ == "__main__":
    main()
