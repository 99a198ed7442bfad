"""A small Redis client for the integration tests: requests out, replies back, nothing hidden.

    client = Resp("127.0.0.1", 6379)            # or Resp(path="/tmp/x.sock")
    client.call("SET", "k", "v")                # "OK"
    client.send("GET", "k"); client.read()      # pipelining: send, send, read, read

Replies: simple string -> str, bulk -> bytes, integer -> int, null -> None, array -> list, error -> RespError
(a value: compare or print it). RESP3 adds float, bool, dict, set (a list), Push (a list); big numbers are int,
verbatim strings bytes (with their "txt:"). A closed connection raises ConnectionError, silence
TimeoutError: after either the connection is useless.
"""

import socket


class RespError(str):
    """An error reply, without the "-": "ERR unknown command ...". Never equal to a plain string."""

    def __eq__(self, other):
        return isinstance(other, RespError) and str.__eq__(self, other)

    def __ne__(self, other):
        return not self == other

    __hash__ = str.__hash__

    def __repr__(self):
        return "RespError(%s)" % str.__repr__(self)

    @property
    def code(self):
        return self.split(" ", 1)[0]


class Push(list):
    """A RESP3 push message."""


def encode(*args):
    """One request as bytes. Arguments: bytes, str (UTF-8), int, float."""
    parts = [b"*%d\r\n" % len(args)]
    for arg in args:
        if not isinstance(arg, (bytes, bytearray, memoryview)):
            arg = str(arg).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(arg), bytes(arg)))
    return b"".join(parts)


class Resp:
    def __init__(self, host="127.0.0.1", port=None, path=None, timeout=30.0):
        if path is not None:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.settimeout(timeout)
            self.socket.connect(path)
        else:
            self.socket = socket.create_connection((host, port), timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.reader.close()
        self.socket.close()

    def set_timeout(self, seconds):
        self.socket.settimeout(seconds)

    def call(self, *args):
        self.send(*args)
        return self.read()

    def call_many(self, requests):
        """Sends all requests at once, then reads as many replies. Keep the whole below the socket
        buffers' size, or both sides wait for each other."""
        self.send_bytes(b"".join(encode(*request) for request in requests))
        return [self.read() for _ in requests]

    def send(self, *args):
        self.send_bytes(encode(*args))

    def send_bytes(self, raw):
        """Exactly these bytes: inline commands, broken requests, parts of requests."""
        self.socket.sendall(raw)

    def read(self):
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode("utf-8", "surrogateescape")
        if kind == b"-":
            return RespError(rest.decode("utf-8", "surrogateescape"))
        if kind in b":(":
            return int(rest)
        if kind in b"$=":
            return self._bulk(int(rest))
        if kind == b"!":
            return RespError(self._bulk(int(rest)).decode("utf-8", "surrogateescape"))
        if kind in b"*~":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        if kind == b">":
            return Push(self.read() for _ in range(int(rest)))
        if kind == b"%":
            return {_hashable(self.read()): self.read() for _ in range(int(rest))}
        if kind == b"|":  # Attributes precede the reply they describe.
            for _ in range(2 * int(rest)):
                self.read()
            return self.read()
        if kind == b"_":
            return None
        if kind == b"#":
            return rest == b"t"
        if kind == b",":
            return float(rest)
        raise ValueError("not a RESP reply: %r" % line)

    def at_end(self):
        """Waits until the other side closes; False if it sends something instead."""
        return self.reader.read(1) == b""

    def _line(self):
        line = self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the connection was closed after %r" % line)
        return line[:-2]

    def _bulk(self, size):
        if size < 0:
            return None
        data = self.reader.read(size + 2)
        if len(data) != size + 2:
            raise ConnectionError("the connection was closed inside a bulk string")
        if data[-2:] != b"\r\n":
            raise ValueError("a bulk string does not end in CR LF: %r" % data[-20:])
        return data[:-2]


def _hashable(value):
    return tuple(map(_hashable, value)) if isinstance(value, list) else value
