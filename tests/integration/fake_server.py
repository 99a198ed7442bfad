"""A server that misbehaves on command, for what a real redis-server cannot be made to do.

    server = FakeServer()
    server.behave = lambda connection, args: b"garbage\\n" if args[0] == b"GET" else server.healthy(args)

`behave` gets each request (a list of bytes) in order and returns the bytes to answer, or None for no answer.
It may also call connection.send() and connection.close(). It can be changed while the server runs.
"""

import socket
import threading

ACCEPT_POLL_S = 0.05


class Connection:
    def __init__(self, sock, number):
        self.socket = sock
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = number  # Counted from 0, in the order of accept().

    def send(self, raw):
        try:
            self.socket.sendall(raw)
        except OSError:
            pass  # The other side may close whenever it likes.

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


class FakeServer:
    def __init__(self, behave=None, port=0):
        self.behave = behave or (lambda connection, args: self.healthy(args))
        self.on_accept = None  # Called with each new connection, before its first request is read.
        self.store = {}
        self.seen = []         # All requests, over all connections.
        self.connections = []
        self._stopping = False
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", port))
        self._listener.listen(64)
        self._listener.settimeout(ACCEPT_POLL_S)
        self.port = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def healthy(self, args):
        """Answers as a small Redis does."""
        name = args[0].upper()
        if name == b"PING":
            return b"+PONG\r\n"
        if name in (b"AUTH", b"SELECT"):
            return b"+OK\r\n"
        if name == b"SET":
            self.store[args[1]] = args[2]
            return b"+OK\r\n"
        if name == b"GET":
            value = self.store.get(args[1])
            return b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)
        if name == b"MGET":
            return b"*%d\r\n" % (len(args) - 1) + b"".join(self.healthy([b"GET", key]) for key in args[1:])
        return b"-ERR unknown command '%s'\r\n" % args[0]

    def close_connections(self):
        for connection in self.connections:
            connection.close()

    def stop(self):
        self._stopping = True
        self._acceptor.join()
        self._listener.close()
        self.close_connections()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _accept(self):
        while not self._stopping:
            try:
                sock, _ = self._listener.accept()
            except socket.timeout:
                continue
            except OSError:
                return
            sock.settimeout(None)
            connection = Connection(sock, len(self.connections))
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if self.on_accept is not None:
                self.on_accept(connection)
            reader = connection.socket.makefile("rb")
            while True:
                args = read_request(reader)
                if args is None:
                    return
                self.seen.append(args)
                answer = self.behave(connection, args)
                if answer is not None:
                    connection.send(answer)
        except (OSError, ValueError):
            pass  # Closed, by either side.
        finally:
            connection.socket.close()


def read_request(reader):
    """One request as a list of bytes; None at the end."""
    line = reader.readline()
    if not line:
        return None
    if line[:1] != b"*":
        raise ValueError("not a request: %r" % line)
    args = []
    for _ in range(int(line[1:])):
        size = int(reader.readline()[1:])
        args.append(reader.read(size + 2)[:-2])
    return args
