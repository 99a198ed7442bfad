#!/usr/bin/env python3
"""The REST API against its own document: every operation is routed, belongs to the roles the document says, and
answers with a documented status, content type and body."""

import http.client
import json
import os
import sys

import jsonschema

from checks import run_tests
from servers import PikaProxy

BASE = "/api/v1"


class Api:
    """One connection's worth of requests, with a bearer token once there is one."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.token = None

    def request(self, method, path, body=None, headers=None):
        """(status, headers, body as bytes)."""
        connection = http.client.HTTPConnection(self.proxy.host, self.proxy.admin_port, timeout=60)
        sent = dict(headers or {})
        if self.token and "Authorization" not in sent and "Cookie" not in sent:
            sent["Authorization"] = "Bearer " + self.token
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        elif method in ("POST", "PUT", "PATCH"):
            sent["Content-Length"] = "0"
        try:
            connection.request(method, BASE + path, body=data, headers=sent)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def json(self, method, path, body=None, headers=None):
        status, _, text = self.request(method, path, body, headers)
        return status, json.loads(text) if text else None

    def log_in(self):
        """With the password of the first start; makes a token for what follows."""
        with open(os.path.join(self.proxy.directory, "pikaproxy-data", "admin-password"), encoding="ascii") as file:
            password = file.read().strip()
        status, headers, text = self.request("POST", "/auth/login", {"username": "admin", "password": password})
        assert status == 200, (status, text)
        self.password = password
        self.session = {"Cookie": headers["Set-Cookie"].split(";")[0],
                        "X-CSRF-Token": json.loads(text)["csrf_token"]}
        self.token = self.make_token("test-admin", "admin")
        return self

    def make_token(self, name, role):
        status, made = self.json("POST", "/tokens", {"name": name, "role": role}, self.session)
        assert status == 201, (status, made)
        return made["token"]


class Document:
    def __init__(self, document):
        self.document = document
        self.operations = {}  # operationId -> (METHOD, path, operation)
        for path, item in document["paths"].items():
            for method, operation in item.items():
                if method != "parameters":
                    self.operations[operation["operationId"]] = (method.upper(), path, operation)

    def resolve(self, node):
        while "$ref" in node:
            target = self.document
            for name in node["$ref"].removeprefix("#/").split("/"):
                target = target[name]
            node = target
        return node

    def validate(self, schema, value):
        """The first mistake, or None."""
        whole = {"components": self.document["components"], **schema}
        errors = list(jsonschema.Draft202012Validator(whole).iter_errors(value))
        return errors[0].message if errors else None

    def check(self, t, operation_id, status, headers, text):
        """One answer against the document; a status that is not documented is a failure."""
        operation = self.operations[operation_id][2]
        response = operation["responses"].get(str(status))
        if not t.check(response is not None, "%s: status %d is documented" % (operation_id, status), text[:500]):
            return
        content = self.resolve(response).get("content")
        if content is None:
            t.equal(text, b"", "%s %d has no body" % (operation_id, status))
            return
        kind = headers["Content-Type"].split(";")[0]
        if not t.check(kind in content, "%s %d: content type" % (operation_id, status), kind):
            return
        if kind.endswith(("/json", "+json")):
            mistake = self.validate(content[kind]["schema"], json.loads(text))
            t.check(mistake is None, "%s %d: body as documented" % (operation_id, status), mistake, text[:500])


def start(t):
    return PikaProxy(t.pikaproxy, [])


def example_path(path):
    """A path that names nothing that exists."""
    return "/".join("999" if part.startswith("{") else part for part in path.split("/"))


def test_document_is_openapi(t):
    with start(t) as proxy:
        status, document = Api(proxy).json("GET", "/openapi.json")
        t.equal(status, 200, "anybody may read it")
        t.equal(document["openapi"], "3.1.0", "version")
        for operation_id, (method, path, operation) in Document(document).operations.items():
            t.check(operation.get("x-role") in ("none", "viewer", "operator", "admin"), operation_id + " has a role")
            for media in operation.get("requestBody", {}).get("content", {}).values():
                schema = Document(document).resolve(media["schema"])
                # A document of codis has fields that are of no use here, and forks of it have more.
                if operation_id != "importCodis":
                    t.check(schema.get("additionalProperties") is False, operation_id + " refuses unknown fields")
                if "example" in media:
                    t.equal(Document(document).validate(schema, media["example"]), None, operation_id + "'s example")


def test_operations_and_roles_agree(t):
    """What a role may do (GET /auth/me) is what the document says, and every documented path is served."""
    with start(t) as proxy:
        api = Api(proxy).log_in()
        document = Document(api.json("GET", "/openapi.json")[1])
        roles = ["none", "viewer", "operator", "admin"]
        for level, role in enumerate(roles[1:], 1):
            api.token = api.make_token("as-" + role, role)
            permitted = set(api.json("GET", "/auth/me")[1]["permissions"])
            documented = {name for name, (_, _, operation) in document.operations.items()
                          if roles.index(operation["x-role"]) <= level}
            t.equal(sorted(permitted), sorted(documented), "operations of role " + role)
        for name, (method, path, _) in sorted(document.operations.items()):
            # Without a credential: found, and refused for that alone.
            status, _, text = Api(proxy).request(method, example_path(path), {} if method != "GET" else None)
            expected = (400, 200) if name in ("login", "getOpenapi") else (401,)
            t.check(status in expected, "%s %s is served" % (method, path), status, text[:300])


def test_every_operation_answers_as_documented(t):
    """With nothing, with mistakes, and with a role that is too low."""
    with start(t) as proxy:
        api = Api(proxy).log_in()
        admin = api.token
        viewer = api.make_token("a-viewer", "viewer")
        document = Document(api.json("GET", "/openapi.json")[1])
        for name, (method, path, operation) in sorted(document.operations.items()):
            if name == "streamEvents":
                continue  # Does not end; test_events.
            where = example_path(path) + ("?wait=0" if name == "pollEvents" else "")
            plain = None if method == "GET" else {}
            attempts = [(admin, where + ("&" if "?" in where else "?") + "no_such_parameter=1", plain),
                        ("pp_wrong", where, plain), (viewer, where, plain)]
            if method == "GET":
                attempts.append((admin, where, None))
            else:
                attempts.append((admin, where, {"no_such_field": 1}))
            for token, target, body in attempts:
                api.token = token
                if token == viewer and operation["x-role"] == "viewer" and method != "GET":
                    continue
                document.check(t, name, *api.request(method, target, body))


def test_own_operations_succeed_as_documented(t):
    with start(t) as proxy:
        api = Api(proxy).log_in()
        document = Document(api.json("GET", "/openapi.json")[1])

        def call(name, expected, path=None, body=None, headers=None):
            method, template, _ = document.operations[name]
            status, answer_headers, text = api.request(method, path or template, body, headers)
            t.equal(status, expected, "%s: status" % name)
            document.check(t, name, status, answer_headers, text)
            return json.loads(text) if text.startswith(b"{") and b"\n{" not in text else text

        call("getMe", 200)
        call("getMe", 200, headers=api.session)
        user = {"name": "ann", "role": "operator", "password": "long enough"}
        call("createUser", 200, "/users?dry_run=true", user)
        call("createUser", 201, body=user)
        call("createUser", 409, body=user)
        call("updateUser", 200, "/users/ann", {"role": "viewer"})
        call("updateUser", 409, "/users/admin", {"role": "viewer"})
        call("listUsers", 200)
        call("login", 200, body={"username": "ann", "password": "long enough"}, headers={"X-Request-Id": "mine"})
        call("login", 401, body={"username": "ann", "password": "long enoughX"})
        call("deleteUser", 204, "/users/ann")
        call("deleteUser", 404, "/users/ann")
        token = {"name": "t1", "role": "viewer", "expires_in_seconds": 60}
        call("createToken", 200, "/tokens?dry_run=true", token)
        made = call("createToken", 201, body=token)
        call("createToken", 409, body=token)
        call("listTokens", 200)
        call("deleteToken", 204, "/tokens/%d" % made["id"])
        call("getSettings", 200)
        call("updateSettings", 200, body={"migration_parallel_slots": 3, "slot_lock_timeout_ms": None})
        call("updateSettings", 400, body={"migration_parallel_slots": 0})
        backup = call("createBackup", 201, headers={"Authorization": "Bearer " + api.token, "Idempotency-Key": "b1"})
        again = call("createBackup", 201, headers={"Authorization": "Bearer " + api.token, "Idempotency-Key": "b1"})
        t.equal(again, backup, "the same key, the same backup")
        t.check(os.stat(os.path.join(proxy.directory, backup["file"])).st_mode & 0o777 == 0o600, "owner only")
        call("listBackups", 200)
        call("getBackup", 200, "/backups/%d" % backup["id"])
        call("pollEvents", 200, "/events/poll?topics=slots")
        page = call("listAudit", 200, "/audit?limit=2")
        t.equal(len(page["entries"]), 2, "a page of the audit")
        following = call("listAudit", 200, "/audit?limit=1000&cursor=" + page["next_cursor"])
        t.check(following["entries"][0]["id"] < page["entries"][1]["id"], "the next page goes on")
        lines = call("exportAudit", 200).decode().splitlines()
        t.equal(len(lines), len(following["entries"]) + 2, "all lines are exported")
        for line in lines:
            t.check("long enough" not in line and api.token not in line and api.password not in line,
                    "no secrets in the audit", line)
        call("changePassword", 403, body={"old_password": "wrong", "new_password": "new password"},
             headers=api.session)
        call("changePassword", 204, body={"old_password": api.password, "new_password": "new password"},
             headers=api.session)
        t.check(not os.path.exists(os.path.join(proxy.directory, "pikaproxy-data", "admin-password")),
                "the file of the first password is gone")
        call("logout", 204, headers=api.session)
        call("getMe", 401, headers=api.session)


def test_events(t):
    with start(t) as proxy:
        api = Api(proxy).log_in()

        def stream(headers=None):
            connection = http.client.HTTPConnection(proxy.host, proxy.admin_port, timeout=60)
            connection.request("GET", BASE + "/events?topics=audit",
                               headers={"Authorization": "Bearer " + api.token, **(headers or {})})
            answer = connection.getresponse()
            t.equal((answer.status, answer.headers["Content-Type"]), (200, "text/event-stream"), "a stream")
            return connection, answer

        def next_event(answer):
            fields = {}
            while True:
                line = answer.fp.readline().decode()
                if line == "":
                    return None
                if line == "\n" and "event" in fields:
                    return fields
                if ": " in line:
                    name, value = line.rstrip("\n").split(": ", 1)
                    fields[name] = value

        connection, answer = stream()
        api.request("PATCH", "/settings", {"migration_parallel_slots": 5})
        event = next_event(answer)
        t.equal((event["event"], json.loads(event["data"])["action"]), ("audit", "updateSettings"), "the change is told")
        connection.close()
        for number in (6, 7):
            api.request("PATCH", "/settings", {"migration_parallel_slots": number})
        connection, answer = stream({"Last-Event-ID": event["id"]})
        replayed = [next_event(answer), next_event(answer)]
        t.equal([item["event"] for item in replayed], ["audit", "audit"], "what was missed is replayed")
        connection.close()
        connection, answer = stream({"Last-Event-ID": "000000000000-1"})
        t.equal(next_event(answer)["event"], "resync", "of another process: resync")
        connection.close()


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
