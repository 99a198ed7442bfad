"""The REST API as an operator's script uses it.

    api = AdminApi("http://127.0.0.1:19001")
    api.log_in("admin", password)
    group = api.post("/groups", {"servers": ["127.0.0.1:7001"]})

Changes of the topology name the version they are made for; it is asked for before each of them.
"""

import json
import time
import urllib.error
import urllib.request


class Problem(Exception):
    """An answer other than 2xx; `body` is the problem document."""

    def __init__(self, status, body):
        super().__init__("%d %s" % (status, body))
        self.status = status
        self.body = body


class AdminApi:
    def __init__(self, url, timeout=30):
        self.url = url.rstrip("/")
        self.timeout = timeout
        self.headers = {}

    def request(self, method, path, body=None, headers=None, versioned=False):
        """The decoded body of a 2xx answer; raises Problem otherwise, OSError if there is none."""
        sent = dict(self.headers, **(headers or {}))
        data = None
        if body is not None or method in ("POST", "PUT", "PATCH"):
            data = json.dumps(body if body is not None else {}).encode()
            sent["Content-Type"] = "application/json"
        if versioned:
            sent["If-Match"] = '"t%d"' % self.get("/cluster")["topology_version"]
        request = urllib.request.Request(
            self.url + "/api/v1" + path, data=data, headers=sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                text = answer.read()
                self.answer_headers = answer.headers
                return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            text = error.read()
            try:
                document = json.loads(text)
            except ValueError:
                document = {"detail": text.decode(errors="replace")}
            raise Problem(error.code, document) from None

    def get(self, path):
        return self.request("GET", path)

    def post(self, path, body=None, versioned=False):
        return self.request("POST", path, body, versioned=versioned)

    def put(self, path, body, versioned=False):
        return self.request("PUT", path, body, versioned=versioned)

    def patch(self, path, body, versioned=False):
        return self.request("PATCH", path, body, versioned=versioned)

    def delete(self, path, versioned=False):
        return self.request("DELETE", path, versioned=versioned)

    def log_in(self, user, password):
        me = self.post("/auth/login", {"username": user, "password": password})
        cookie = self.answer_headers["Set-Cookie"].split(";")[0]
        self.headers = {"Cookie": cookie, "X-CSRF-Token": me["csrf_token"]}

    def add_group(self, servers, **fields):
        return self.post("/groups", dict(fields, servers=servers), versioned=True)["id"]

    def assign(self, first, last, group):
        return self.put("/slots/assignment",
                        {"ranges": [{"from": first, "to": last, "group_id": group}]},
                        versioned=True)

    def migrate(self, first, last, target, **fields):
        body = dict(fields, ranges=[{"from": first, "to": last}], target_group=target)
        return self.post("/migrations", body, versioned=True)["id"]

    def await_migration(self, migration, states=("succeeded",), timeout=300, poll=0.05):
        """The migration once it is in one of the states; raises when it ends otherwise."""
        deadline = time.monotonic() + timeout
        while True:
            document = self.get("/migrations/%s" % migration)
            if document["state"] in states:
                return document
            if document["state"] in ("succeeded", "failed", "cancelled"):
                raise RuntimeError("migration ended: %s" % document)
            if time.monotonic() > deadline:
                raise TimeoutError("migration is still %s: %s" % (document["state"], document))
            time.sleep(poll)
