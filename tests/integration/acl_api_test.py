#!/usr/bin/python3
"""Users of the Redis port that the API makes: in force at once, kept, and never with their passwords."""

import json
import os
import sqlite3
import sys
import time

from acl_test import closed
from api_test import BASE, Api, Document
from api_hostile_test import exchange
from checks import run_tests
from resp import RespError
from servers import PikaProxy, wait_until

FIRST = "wuYfxXUh2TzS-1"
SECOND = "wuYfxXUh2TzS-2"
THIRD = "wuYfxXUh2TzS-3"


def start(t, users=(), options=None):
    return PikaProxy(t.pikaproxy, [], options, users=users)


class Caller:
    """Calls operations, and holds each answer against the document."""

    def __init__(self, t, proxy):
        self.t = t
        self.api = Api(proxy).log_in()
        self.document = Document(self.api.json("GET", "/openapi.json")[1])

    def __call__(self, name, expected, path=None, body=None, headers=None):
        method, template, _ = self.document.operations[name]
        headers = {"Authorization": "Bearer " + self.api.token, **(headers or {})}
        status, answer_headers, text = self.api.request(method, path or template, body, headers)
        self.t.equal(status, expected, "%s %s %s: status" % (name, path or template, body))
        self.document.check(self.t, name, status, answer_headers, text)
        for secret in (FIRST, SECOND, THIRD):
            self.t.check(secret.encode() not in text, "no password in an answer", text)
        return json.loads(text) if text else None


def may(proxy, name, password):
    with proxy.client() as client:
        return client.call("AUTH", name, password) == "OK"


def test_life_of_a_user(t):
    with start(t) as proxy:
        call = Caller(t, proxy)
        users = call("listAclUsers", 200)["users"]
        t.equal([(user["name"], user["source"]) for user in users], [("default", "built_in")], "at first")
        body = {"name": "app", "password": FIRST, "commands": "+@all -@dangerous", "keys": ["app:*"], "channels": ["app:*"],
                "read_from": "prefer_replica", "replica_max_lag_ms": 5000}
        made = call("createAclUser", 200, "/acl/users?dry_run=true", body)
        t.check(not may(proxy, "app", FIRST), "a dry run makes nobody")
        keyed = {"Idempotency-Key": "k1"}
        made = call("createAclUser", 201, body=body, headers=keyed)
        t.equal((made["password_count"], made["source"], made["admin"], made["keys"]), (1, "api", False, ["app:*"]), "the user")
        t.equal(call("createAclUser", 201, body=body, headers=keyed), made, "the same key, the same answer")
        call("createAclUser", 409, body=body)
        with proxy.client() as client, proxy.client() as other, proxy.client() as subscriber:
            t.equal(client.call("AUTH", "app", FIRST), "OK", "in force when it is answered")
            t.equal(client.call("ACL", "WHOAMI"), b"app", "ACL WHOAMI")
            t.error(client.call("GET", "other"), "NOPERM this user has no permissions to access one of the keys", "another's key")
            t.error(client.call("GET", "app:1"), "CLUSTERDOWN", "its own (there are no groups here)")
            other.call("AUTH", "app", FIRST)
            subscriber.call("AUTH", "app", FIRST)
            # A password is replaced.
            t.equal(call("updateAclUser", 200, "/acl/users/app", {"add_password": SECOND})["password_count"], 2, "two")
            t.check(may(proxy, "app", FIRST) and may(proxy, "app", SECOND), "both are right")
            call("updateAclUser", 409, "/acl/users/app", {"add_password": THIRD})
            call("updateAclUser", 200, "/acl/users/app", {"drop_old_password": True})
            t.check(not may(proxy, "app", FIRST) and may(proxy, "app", SECOND), "the second alone")
            call("updateAclUser", 409, "/acl/users/app", {"drop_old_password": True})
            call("updateAclUser", 200, "/acl/users/app", {"password": THIRD})
            t.check(not may(proxy, "app", SECOND) and may(proxy, "app", THIRD), "another in place of all")
            # Restricted at once.
            call("updateAclUser", 200, "/acl/users/app?dry_run=true", {"keys": []})
            t.error(client.call("GET", "app:1"), "CLUSTERDOWN", "a dry run changes nothing")
            changed = call("updateAclUser", 200, "/acl/users/app", {"keys": [], "read_from": None, "replica_max_lag_ms": None})
            t.equal((changed["keys"], changed["read_from"], changed["replica_max_lag_ms"]), ([], None, None), "what was changed")
            t.error(client.call("GET", "app:1"), "NOPERM ", "an open connection is restricted")
            t.equal(client.call("PING"), "PONG", "and open")
            call("updateAclUser", 200, "/acl/users/app", {"enabled": False})
            t.check(not may(proxy, "app", THIRD), "nobody logs in as it")
            t.equal(client.call("PING"), "PONG", "who has, stays")
            call("deleteAclUser", 204, "/acl/users/app?dry_run=true")
            t.equal(client.call("PING"), "PONG", "a dry run closes nothing")
            call("deleteAclUser", 204, "/acl/users/app")
            for each in (client, other, subscriber):
                wait_until(lambda each=each: closed(each), 20, "the connections to be closed")
        call("deleteAclUser", 404, "/acl/users/app")
        call("updateAclUser", 404, "/acl/users/app", {"admin": True})
        call("updateAclUser", 400, "/acl/users/app", {})
        call("updateAclUser", 400, "/acl/users/app", {"password": None})
        call("updateAclUser", 400, "/acl/users/app", {"password": THIRD, "add_password": SECOND})
        entries = call.api.json("GET", "/audit?limit=1000")[1]["entries"]
        actions = [(entry["action"], entry["object"], entry["status"], entry["dry_run"]) for entry in entries]
        t.check(("createAclUser", "acl/users/app", 201, False) in actions, "the audit has it", actions)
        t.check(("updateAclUser", "acl/users/app", 200, True) in actions, "with what was only tried")
        t.check(not any(secret in json.dumps(entries) for secret in (FIRST, SECOND, THIRD)), "and no password")
        t.check(not any(secret in proxy.log() for secret in (FIRST, SECOND, THIRD)), "nor has the log")
        files = [os.path.join(proxy.directory, "pikaproxy-data", name)
                 for name in os.listdir(os.path.join(proxy.directory, "pikaproxy-data"))]
        for path in filter(os.path.isfile, files):
            with open(path, "rb") as file:
                content = file.read()
            t.check(not any(secret.encode() in content for secret in (FIRST, SECOND, THIRD)), "nor the store", path)


def test_default_user(t):
    with start(t) as proxy:
        call = Caller(t, proxy)
        call("createAclUser", 201, body={"name": "boss", "password": FIRST, "admin": True})
        with proxy.client() as before:
            t.equal(before.call("PING"), "PONG", "users of the API do not shut out the default user")
            call("updateAclUser", 200, "/acl/users/default", {"password": SECOND})
            t.equal(before.call("PING"), "PONG", "who is connected stays")
            with proxy.client() as client:
                t.error(client.call("PING"), "NOAUTH", "who comes then must log in")
                t.equal(client.call("AUTH", SECOND), "OK", "AUTH password")
                t.equal(client.call("CONFIG", "GET", "x"), [], "still an administrator")
        with proxy.client() as waiting:
            t.error(waiting.call("PING"), "NOAUTH", "not logged in")
            call("updateAclUser", 200, "/acl/users/default", {"password": None, "read_only": True, "admin": False})
            t.equal(waiting.call("PING"), "PONG", "no password is needed any more")
            t.error(waiting.call("SET", "k", "v"), "NOPERM ", "but whoever connects may only read")
            t.error(waiting.call("CONFIG", "SET", "maxclients", 5), "NOPERM ", "nor administrate")
        call("updateAclUser", 200, "/acl/users/default", {"enabled": False})
        with proxy.client() as client:
            t.error(client.call("PING"), "NOAUTH", "nobody can be the default user")
            t.error(client.call("AUTH", "default", ""), "WRONGPASS", "whatever the password")
            t.equal(client.call("AUTH", "boss", FIRST), "OK", "the others can log in")
        call("deleteAclUser", 204, "/acl/users/default")
        with proxy.client() as client:
            t.equal(client.call("FLUSHALL"), RespError("CLUSTERDOWN no slot is assigned"), "everybody may do everything again")
        call("deleteAclUser", 409, "/acl/users/default")
        call("createAclUser", 201, body={"name": "default", "read_only": True})
        with proxy.client() as client:
            t.error(client.call("SET", "k", "v"), "NOPERM ", "made anew, without a password")


def test_users_of_the_file(t):
    users = [{"name": "ann", "password": "abc", "keys": ["a*"]}]
    with start(t, users, {"auth.password": "boss"}) as proxy:
        call = Caller(t, proxy)
        shown = {user["name"]: user for user in call("listAclUsers", 200)["users"]}
        t.equal({name: user["source"] for name, user in shown.items()}, {"ann": "file", "default": "file"}, "sources")
        t.equal((shown["ann"]["keys"], shown["ann"]["created_at"]), (["a*"], None), "as the file says")
        for name in ("ann", "default"):
            for problem in (call("createAclUser", 409, body={"name": name, "password": FIRST}),
                            call("updateAclUser", 409, "/acl/users/" + name, {"admin": True}),
                            call("deleteAclUser", 409, "/acl/users/" + name)):
                t.equal(problem["code"], "user_in_file", "%s is the file's" % name)
        # One that the API has made gets into the file, too, and out again.
        call("createAclUser", 201, body={"name": "bob", "password": FIRST})
        proxy.users = [*users, {"name": "bob", "password": "of the file"}]
        proxy.reload()
        wait_until(lambda: may(proxy, "bob", "of the file"), 20, "the file to be read")
        t.check(not may(proxy, "bob", FIRST), "the file counts")
        both = [(user["source"], user["in_force"]) for user in call("listAclUsers", 200)["users"] if user["name"] == "bob"]
        t.equal(sorted(both), [("api", False), ("file", True)], "both are shown")
        call("updateAclUser", 409, "/acl/users/bob", {"admin": True})
        proxy.users = users
        proxy.reload()
        wait_until(lambda: may(proxy, "bob", FIRST), 20, "the one of the API to be in force again")
        call("deleteAclUser", 204, "/acl/users/bob")


def test_after_a_restart(t):
    """Users are there before the first client is served, however the process ended."""
    with start(t) as proxy:
        call = Caller(t, proxy)
        call("updateAclUser", 200, "/acl/users/default", {"password": SECOND})
        call("createAclUser", 201, body={"name": "app", "password": FIRST, "read_only": True})
        before = call("listAclUsers", 200)
        call.api.request("POST", "/backups", {})
        for _ in range(3):
            proxy.kill()
            # The first to be answered must log in.
            from servers import Process
            Process.__init__(proxy, proxy.argv, "proxy", proxy.directory)
            proxy.owns_directory = True
            answers = []

            def first_answer():
                with proxy.client(timeout=5) as client:
                    answers.append(client.call("GET", "k"))
                    return True
            wait_until(first_answer, 30, "the proxy to answer")
            t.error(answers[0], "NOAUTH", "the first client")
            with proxy.client() as client:
                t.equal(client.call("AUTH", "app", FIRST), "OK", "AUTH")
                t.error(client.call("SET", "k", "v"), "NOPERM", "with the same rights")
        wait_until(lambda: "admin port open" in proxy.log(), 20, "the admin port")
        t.equal(call("listAclUsers", 200), before, "all is as before")
        # A backup has them too.
        directory = os.path.join(proxy.directory, "pikaproxy-data", "backups")
        backup = sqlite3.connect(os.path.join(directory, os.listdir(directory)[0]))
        t.equal(sorted(row[0] for row in backup.execute("SELECT name FROM acl_users")), ["app", "default"], "in the backup")
        backup.close()
        topology = json.dumps(call.api.json("GET", "/topology")[1])
        t.check("acl" not in topology and "app" not in topology, "not in the topology", topology)


def test_hostile_bodies(t):
    with start(t) as proxy:
        call = Caller(t, proxy)
        api = call.api
        call("createAclUser", 201, body={"name": "app", "password": FIRST})
        before = call("listAclUsers", 200)
        number = 0

        def refuse(method, path, body, statuses=(400,)):
            nonlocal number
            number += 1
            status, _, text = api.request(method, path, body)
            t.check(status in statuses, "%s %s %r" % (method, path, str(body)[:80]), status, text[:300])

        for name in (None, 5, True, [], {}, "", " ", "a b", "a\nb", "a\u0000b", "../x", "a/b", "system", "token:x", "é", "x" * 65, "%s",
                     "' OR 1=1 --", "<script>", "a%2fb"):
            refuse("POST", "/acl/users", {"name": name, "password": THIRD})
        for password in (None, "", "short", 12345678, ["long enough"], "x" * 257, True, {}):
            refuse("POST", "/acl/users", {"name": "eve", "password": password})
            if password is not None:
                refuse("PATCH", "/acl/users/app", {"add_password": password})
        for field, values in {
                "commands": (None, 5, [], {}, "get", "+nosuch", "+@nosuch", "+get\n+set", "+" * 4097, "+config|nosuch", "+get~*", "\u0000"),
                "keys": (None, 5, "a*", {}, [5], [None], [""], ["a"] * 257, ["x" * 257], ["%Z~a"], ["%R~"], ["a\nb"], [["a"]]),
                "channels": (None, 5, "a*", {}, [5], [""], ["&"], ["a"] * 257, ["x" * 257], ["a\u0000"]),
                "admin": (None, 0, 1, "true", []), "enabled": (None, 0, "false"), "read_only": (None, 1, "yes", {}),
                "read_from": (5, "", "Master", "slave", ["master"], True),
                "replica_max_lag_ms": (0, -1, 99, 3600001, 1.5, "100", True, 1 << 64),
                "passwords": (["a"],), "password_hash": ("x",), "source": ("file",), "in_force": (True,), "__proto__": ({},)}.items():
            for value in values:
                refuse("POST", "/acl/users", {"name": "eve", "password": THIRD, field: value})
                refuse("PATCH", "/acl/users/app", {field: value})
        refuse("PATCH", "/acl/users/app", {"drop_old_password": True, "add_password": THIRD})
        refuse("PATCH", "/acl/users/app", {"drop_old_password": "yes"})
        refuse("DELETE", "/acl/users/app", {"force": True})
        for path in ("/acl/users/app?force=true", "/acl/users/app?dry_run=1"):
            refuse("DELETE", path, None)
        for path in ("/acl/users/..%2fapp", "/acl/users/a'b", "/acl/users/%2e%2e", "/acl/users/APP"):
            refuse("DELETE", path, None, (404,))
        for body in (b"[]", b"null", b'{"name":"eve","name":"bob"}', b"{" * 5000, b'{"a":' * 20, b'{"name":"\xff"}'):
            number += 1
            head = ("POST %s/acl/users HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
                    "Content-Length: %d\r\n\r\n" % (BASE, api.token, len(body)))
            t.equal(exchange(proxy, head.encode() + body), 400, "%r" % body[:40])
        for role in ("viewer", "operator"):
            low = {"Authorization": "Bearer " + api.make_token("low-" + role, role)}
            for method, path, body in (("GET", "/acl/users", None), ("POST", "/acl/users", {"name": "eve", "password": THIRD}),
                                       ("PATCH", "/acl/users/app", {"admin": True}), ("DELETE", "/acl/users/app", None)):
                t.equal(api.request(method, path, body, low)[0], 403, "%s %s as %s" % (method, path, role))
        t.equal(call("listAclUsers", 200), before, "nothing has changed")
        t.check(may(proxy, "app", FIRST), "the user can log in")
        t.check(number > 150, "many", number)


def test_many_users_and_changes(t):
    """Changes follow each other while clients of the user work: each request is decided by one state or the other."""
    with start(t, options={"proxy.workers": 4}) as proxy:
        call = Caller(t, proxy)
        for number in range(50):
            status = call.api.request("POST", "/acl/users", {"name": "u%d" % number, "password": FIRST})[0]
            t.equal(status, 201, "user %d" % number)
        clients = [proxy.client() for _ in range(20)]
        for client in clients:
            t.equal(client.call("AUTH", "u7", FIRST), "OK", "AUTH")
        deadline = time.monotonic() + 20
        for round_number in range(20):
            allowed = round_number % 2 == 1
            call("updateAclUser", 200, "/acl/users/u7", {"keys": ["*"] if allowed else []})
            for client in clients:
                reply = client.call("GET", "k")
                t.error(reply, "CLUSTERDOWN" if allowed else "NOPERM", "round %d" % round_number)
            if time.monotonic() > deadline:
                break
        for client in clients:
            client.__exit__(None, None, None)
        t.equal(len(call("listAclUsers", 200)["users"]), 51, "all are there")


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
