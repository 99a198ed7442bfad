"""Sends bytes in pieces while it reads, until a marker comes back."""

import select
import socket
import time

from sequences import encode

TIMEOUT_S = 20


class Lost(Exception):
    """The connection ended, or nothing came in time; .received is what came before."""

    def __init__(self, why, received):
        super().__init__(why)
        self.received = received


class Connection:
    def __init__(self, address):
        self.socket = socket.create_connection(address, TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.markers = 0

    def close(self):
        self.socket.close()

    def exchange(self, raw, rng, whole=False):
        """What is answered to `raw`, which must not leave a MULTI open. Sent in random pieces, or as a whole."""
        self.markers += 1
        marker = b"end of replies %d" % self.markers
        raw += encode([b"ECHO", marker])
        end = b"$%d\r\n%s\r\n" % (len(marker), marker)
        received = self._run(pieces(raw, rng, whole), lambda received: received.endswith(end))
        return received[:-len(end)]

    def last_words(self, raw):
        """What is answered to `raw` until the server closes."""
        try:
            self._run([raw], lambda received: False)
        except Lost as lost:
            return lost.received, str(lost)
        raise AssertionError("unreachable")

    def _run(self, waiting, is_done):
        received = bytearray()
        waiting = [memoryview(piece) for piece in waiting]
        waiting.reverse()
        deadline = time.monotonic() + TIMEOUT_S
        self.socket.setblocking(False)
        while waiting or not is_done(received):
            readable, writable, _ = select.select([self.socket], [self.socket] if waiting else [], [],
                                                  max(0, deadline - time.monotonic()))
            if not readable and not writable:
                raise Lost("no reply for %d s" % TIMEOUT_S, bytes(received))
            try:
                if readable:
                    some = self.socket.recv(1 << 18)
                    if not some:
                        raise Lost("the connection was closed", bytes(received))
                    received += some
                if writable:
                    sent = self.socket.send(waiting[-1])
                    waiting[-1] = waiting[-1][sent:]
                    if not waiting[-1]:
                        waiting.pop()
            except ConnectionError as error:
                raise Lost("the connection was lost: %s" % error, bytes(received)) from error
        return bytes(received)


def pieces(raw, rng, whole):
    if whole:
        return [raw]
    cut = []
    at = 0
    while at < len(raw):
        size = rng.choice((3, 100, 1000, 10_000, 100_000))
        cut.append(raw[at:at + size])
        at += size
    return cut
