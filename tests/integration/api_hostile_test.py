#!/usr/bin/env python3
"""Hostile use of the API: requests that are malformed or not allowed get the documented status and change nothing;
streams, idle connections and slow senders keep nobody else from being answered."""

import json
import resource
import socket
import sys

from api_test import BASE, Api
from checks import run_tests
from servers import PikaProxy

MB = 1 << 20
STREAMS = 1000
IDLE = 500
SLOW = 100


def exchange(proxy, raw):
    """The status of the answer to raw bytes; None if the connection was closed without one."""
    with socket.create_connection((proxy.host, proxy.admin_port), timeout=60) as connection:
        try:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        received = b""
        try:
            while b"\r\n" not in received:
                piece = connection.recv(65536)
                if not piece:
                    break
                received += piece
        except OSError:
            pass
    return int(received.split()[1]) if received.startswith(b"HTTP/1.1 ") else None


def state(api):
    """Everything that a hostile request must not change."""
    answers = [api.json("GET", path) for path in ("/users", "/tokens", "/settings", "/backups")]
    for token in answers[1][1]["tokens"]:
        del token["last_used_at"]
    return answers


def nested(depth):
    return b'{"migration_parallel_slots":' * depth + b"1" + b"}" * depth


def hostile_bodies():
    """(body, status) for PATCH /settings by an admin: each must be refused."""
    field = b'"migration_parallel_slots"'
    for value in (b"0", b"-1", b"1025", b"1.0", b"1.5", b"1e2", b"1e999", b"-0.0", b'"5"', b"true", b"[]", b"[5]", b"{}",
                  b"18446744073709551615", b"18446744073709551616", b"9223372036854775808", b"9" * 400,
                  b'"' + b"A" * 1000 + b'"'):
        yield b"{" + field + b":" + value + b"}", 400
    for value in (b"NaN", b"Infinity", b"-Infinity", b"05", b"+5", b"0x5", b"5.", b".5", b"5_", b"'5'", b"undefined",
                  b"nul", b"TRUE", b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\xaf"', b'"\\ud800"', b'"\\x41"', b'"a\nb"',
                  b'"\x00"', b"5,", b"5}", b"5}{", b"/*5*/5", b"5//"):
        yield b"{" + field + b":" + value + b"}", 400
    for body in (b"", b"[]", b"5", b"null", b"true", b'"{}"', b"{", b"}", b"{]", b"[{}]", b"{}{}", b"{}\x00", b"\x00",
                 b"\xff\xfe{\x00}\x00", b"<xml/>", b"a=b&c=d", b"{" + field + b"}", b"{" + field + b":5," + field + b":6}",
                 b'{"migration_parallel_slots":5,"\\u006digration_parallel_slots":6}', b"{5:5}", b'{"":5}',
                 b'{"migration_parallel_slot":5}', b'{"MIGRATION_PARALLEL_SLOTS":5}', b'{"__proto__":{"role":"admin"}}',
                 b'{"constructor":5}', b'{"topology_version":5}', b'{"dry_run":false}', b'{"a/b":1}', b'{"~":1}',
                 b'{"metrics_require_token":1}', b'{"metrics_require_token":"true"}', b'{"metrics_require_token":[]}',
                 nested(10), nested(17), nested(10_000), b"[" * 500_000, b'{"a":' * 100_000,
                 b'{"a":[' + b"0," * 200_000 + b"0]}", b"{" + b",".join(b'"f%d":1' % n for n in range(20_000)) + b"}",
                 b'{"migration_parallel_slots":5,"x":"' + b"A" * 500_000 + b'"}'):
        if body:
            yield body, 400
    for size in (MB + 1, 10 * MB):
        yield b'{"x":"' + b"A" * (size - 8) + b'"}', 413


def test_hostile_bodies(t):
    with PikaProxy(t.pikaproxy, []) as proxy:
        api = Api(proxy).log_in()
        before = state(api)
        number = 0
        for body, expected in hostile_bodies():
            number += 1
            head = ("PATCH %s/settings HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"
                    "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (BASE, api.token, len(body)))
            t.equal(exchange(proxy, head.encode() + body), expected, "PATCH /settings %r" % body[:80])
        # Fields of the wrong kind, and values that no field may have.
        wrong = [None, 5, -1, 1.5, True, [], {}, "", " ", "a b", "a\nb", "a\u0000b", "../x", "system", "token:x", "é", "x" * 65,
                 "%s%s", "' OR 1=1 --", "<script>"]
        for value in wrong:
            number += 2
            t.equal(api.request("POST", "/users", {"name": value, "role": "viewer", "password": "long enough"})[0], 400,
                    "a user named %r" % (value,))
            t.equal(api.request("POST", "/tokens", {"name": value, "role": "viewer"})[0], 400,
                    "a token named %r" % (value,))
        for role in (None, "", "root", "Admin", "none", 3, ["admin"], {"admin": 1}):
            number += 1
            t.equal(api.request("POST", "/users", {"name": "eve", "role": role, "password": "long enough"})[0], 400,
                    "role %r" % (role,))
        for password in (None, "", "short", 12345678, ["long enough"], "x" * 257, True):
            number += 1
            t.equal(api.request("POST", "/users", {"name": "eve", "role": "viewer", "password": password})[0], 400,
                    "a password of the wrong kind")
        t.equal(state(api), before, "nothing has changed")
        t.note("%d hostile bodies" % number)


def test_hostile_requests(t):
    with PikaProxy(t.pikaproxy, []) as proxy:
        api = Api(proxy).log_in()
        api_viewer = api.make_token("low", "viewer")
        before = state(api)
        bearer = "Authorization: Bearer %s\r\n" % api.token
        good = b'{"migration_parallel_slots":5}'
        number = 0

        def send(expected, method, path, headers, body=b"", host="localhost", base=BASE):
            nonlocal number
            number += 1
            raw = "%s %s%s HTTP/1.1\r\nHost: %s\r\n%s" % (method, base, path, host, headers)
            if body:
                raw += "Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
            status = exchange(proxy, raw.encode("latin-1") + b"\r\n" + body)
            accepted = expected if isinstance(expected, tuple) else (expected,)
            t.check(status in accepted, "%s %s %r" % (method, path, headers[:60]), "expected %s, got %s" % (expected, status))

        for path in ("/users/../settings", "/./settings", "//settings", "/settings/", "/settings//", "/Settings",
                     "/settings.json", "/settings;a=b", "/..", "/../../etc/passwd", "/%2e%2e/settings", "/settings%2f",
                     "/users%2fadmin", "/backups/1/../../users", "/backups/1/x", "/openapi.json/x", "/api/v1/settings"):
            send(404, "GET", path, bearer)
        for path in ("/%00", "/settings%00", "/settings%0d%0aX:1", "/%zz", "/%", "/set tings"):
            send(400, "GET", path, bearer)
        for path in ("/backups/0", "/backups/-1", "/backups/01", "/backups/+1", "/backups/1e3", "/backups/9" + "9" * 30,
                     "/backups/..%2f..%2fstore.db", "/backups/%2e%2e", "/backups/a'b", "/backups/1%20OR%201=1"):
            send(404, "GET", path, bearer)
        send(400, "GET", "/backups/%ff", bearer)
        send(404, "DELETE", "/users/..%2fadmin", bearer)
        send(404, "DELETE", "/tokens/1%3BDROP%20TABLE%20tokens", bearer)
        for query in ("a=b", "dry_run=true", "limit=5", "=", "%20=1", "Topics=slots"):
            send(400, "GET", "/settings?" + query, bearer)
        for query in ("limit=0", "limit=1001", "limit=-1", "limit=x", "limit=", "limit=1&limit=1", "cursor=x", "cursor=-1",
                      "cursor=99999999999999999999", "from=yesterday", "to=2026-13-01T00:00:00Z", "actor=", "actor=%ff",
                      "limit=%31%00"):
            send(400, "GET", "/audit?" + query, bearer)
        for query in ("topics=", "topics=nothing", "topics=slots,,", "wait=31", "wait=-1", "wait=x", "wait=1.5"):
            send(400, "GET", "/events/poll?" + query, bearer)
        for query in ("dry_run=1", "dry_run=TRUE", "dry_run=", "dry_run=true&dry_run=false", "dryrun=true", "force=true"):
            send(400, "PATCH", "/settings?" + query, bearer, good)
        for method in ("PUT", "POST", "DELETE", "OPTIONS"):
            send(405, method, "/settings", bearer + "Content-Length: 0\r\n")
        for method in ("TRACE", "CONNECT", "PATCHX", "BREW"):
            send(501, method, "/settings", bearer)
        # Credentials.
        for header in ("", "Authorization: Bearer\r\n", "Authorization: Bearer \r\n", "Authorization: Bearer pp_wrong\r\n",
                       "Authorization: Basic YWRtaW46YWRtaW4=\r\n", "Authorization: bearer%s\r\n" % api.token,
                       "Authorization: Bearer %s \x80\r\n" % api.token, "Authorization: Bearer %sx\r\n" % api.token,
                       "Authorization: Bearer %s\r\n" % api.token[:-1], "Authorization: Bearer ' OR '1'='1\r\n",
                       "Cookie: pikaproxy_%d=\r\n" % proxy.admin_port, "Cookie: pikaproxy_%d=x\r\n" % proxy.admin_port,
                       "Cookie: ;;;=;\r\n", "X-Api-Key: %s\r\n" % api.token, "X-Forwarded-User: admin\r\n"):
            send(401, "PATCH", "/settings", header, good)
            send(401, "GET", "/users", header)
        cookie = "Cookie: %s\r\n" % api.session["Cookie"]
        for header in (cookie, cookie + "X-CSRF-Token: \r\n", cookie + "X-CSRF-Token: x\r\n",
                       cookie + "X-CSRF-Token: %sx\r\n" % api.session["X-CSRF-Token"]):
            send(403, "PATCH", "/settings", header, good)
        csrf = cookie + "X-CSRF-Token: %s\r\n" % api.session["X-CSRF-Token"]
        for origin in ("null", "http://evil.example", "https://localhost.evil.example", "http://localhost:1",
                       "http://evil.example/localhost", "localhost", "file://", "http://", "http://localhost@evil.example"):
            send(403, "PATCH", "/settings", csrf + "Origin: %s\r\n" % origin, good)
            send(403, "PATCH", "/settings", bearer + "Origin: %s\r\n" % origin, good)
        for host in ("evil.example", "localhost.evil.example", "", "localhost:x", "[::1", "a b", "127.0.0.1.evil.example"):
            send((400, 421), "PATCH", "/settings", bearer, good, host=host)
        low = "Authorization: Bearer %s\r\n" % api_viewer
        for method, path, body in (("PATCH", "/settings", good), ("POST", "/users", b"{}"), ("GET", "/users", b""),
                                   ("POST", "/tokens", b'{"name":"x","role":"admin"}'), ("GET", "/tokens", b""),
                                   ("DELETE", "/tokens/1", b""), ("DELETE", "/users/admin", b""),
                                   ("PATCH", "/users/admin", b'{"role":"viewer"}'), ("GET", "/backups", b""),
                                   ("GET", "/audit/export", b"")):
            send(403, method, path, low, body)
        # Media types, headers.
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp", "multipart/form-data; boundary=x",
                     "application/json; charset=utf-16", "application/json, text/plain"):
            raw = "%sContent-Length: %d\r\nContent-Type: %s\r\n" % (bearer, len(good), kind)
            number += 1
            t.equal(exchange(proxy, ("PATCH %s/settings HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % (BASE, raw)).encode() + good),
                    415, kind)
        for header in ("X-Reason: %s\r\n" % ("x" * 501), "X-Reason: \xff\r\n"):
            send(400, "PATCH", "/settings", bearer + header, good)
        for header in ("Idempotency-Key: a b\r\n", "Idempotency-Key: \r\n", "Idempotency-Key: %s\r\n" % ("k" * 129)):
            send(400, "POST", "/backups", bearer + header + "Content-Length: 0\r\n")
        send(431, "GET", "/settings", bearer + "X: %s\r\n" % ("x" * 20_000))
        send(431, "GET", "/settings", bearer + "X: y\r\n" * 200)
        send(414, "GET", "/settings?" + "a" * 20_000, bearer)
        send(411, "PATCH", "/settings", bearer + "Transfer-Encoding: chunked\r\n")
        for header in ("Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: -1\r\n", "Content-Length: 5x\r\n",
                       "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", " Folded: x\r\n", "No colon\r\n", "Bad : x\r\n",
                       "X: a\x01b\r\n", "Host: other\r\n"):
            send(400, "PATCH", "/settings", bearer + header)
        send(413, "PATCH", "/settings", bearer + "Content-Length: 99999999999999999999\r\n")
        t.equal(state(api), before, "nothing has changed")
        t.note("%d hostile requests" % number)


def test_crowds(t):
    """A thousand streams, idle connections and slow senders at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    with PikaProxy(t.pikaproxy, []) as proxy:
        api = Api(proxy).log_in()
        open_sockets = []

        def connect(raw):
            connection = socket.create_connection((proxy.host, proxy.admin_port), timeout=60)
            connection.sendall(raw)
            open_sockets.append(connection)
            return connection

        try:
            request = ("GET %s/events?topics=audit HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n"
                       % (BASE, api.token)).encode()
            streams = [connect(request) for _ in range(STREAMS)]
            begun = []
            for stream in streams:
                head = b""
                while b"retry: 2000\n\n" not in head:
                    piece = stream.recv(4096)
                    if not piece:
                        break
                    head += piece
                begun.append(head.startswith(b"HTTP/1.1 200 "))
            t.equal(sum(begun), STREAMS, "streams that began")
            for _ in range(IDLE):
                connect(b"")
            for number in range(SLOW):
                connect(b"PATCH /api/v1/settings HTTP/1.1\r\nHost: loc"[:20 + number % 20])
            answered = 0
            for number in range(1, 101):
                answered += api.request("PATCH", "/settings", {"migration_parallel_slots": number})[0] == 200
                answered += api.request("GET", "/settings")[0] == 200
            t.equal(answered, 200, "requests answered beside the crowd")
            complete = 0
            for stream in streams:
                received = b""
                while received.count(b"event: audit\n") < 100:
                    piece = stream.recv(1 << 20)
                    if not piece:
                        break
                    received += piece
                complete += received.count(b"event: audit\n") == 100 and b"resync" not in received
            t.equal(complete, STREAMS, "streams that got all 100 events")
        finally:
            for connection in open_sockets:
                connection.close()
        t.equal(api.request("GET", "/settings")[0], 200, "and afterwards")


def test_guessing_does_not_stop_others(t):
    """Many logins at once are refused or wait; requests of others are answered."""
    with PikaProxy(t.pikaproxy, []) as proxy:
        api = Api(proxy).log_in()
        body = json.dumps({"username": "admin", "password": "guess"}).encode()
        raw = ("POST %s/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
               % (BASE, len(body))).encode() + body
        guesses = []
        try:
            for _ in range(100):
                connection = socket.create_connection((proxy.host, proxy.admin_port), timeout=60)
                connection.sendall(raw)
                guesses.append(connection)
            t.equal(sum(api.request("GET", "/settings")[0] == 200 for _ in range(50)), 50, "others are answered")
            statuses = [int(guess.recv(4096).split()[1]) for guess in guesses]
            t.check(set(statuses) <= {401, 429}, "guesses are refused", sorted(set(statuses)))
            t.check(statuses.count(401) <= 5, "and few are looked at", statuses.count(401))
        finally:
            for guess in guesses:
                guess.close()


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
