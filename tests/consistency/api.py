"""The REST API as the tests use it."""

import http.client
import json
import os
import time

PASSWORD = "not-a-secret-of-anybody"
STALE_TRIES = 20


class ApiError(Exception):
    """An answer other than 2xx. `code` is the problem's."""

    def __init__(self, status, problem):
        self.status = status
        self.code = problem.get("code", "")
        super().__init__("%d %s: %s" % (status, self.code, problem.get("detail", problem)))


class Api:
    """Logs in once and uses a token from then on: it outlives the process. Connection failures are OSErrors."""

    def __init__(self, port):
        self.port = port
        self.headers = {}

    @staticmethod
    def write_password(directory):
        """The file for dashboard.admin_password_file."""
        path = os.path.join(directory, "first-password")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(PASSWORD + "\n")
        return path

    def log_in(self):
        body, cookie = self._send("POST", "/auth/login", {"username": "admin", "password": PASSWORD}, {})
        session = {"Cookie": cookie, "X-CSRF-Token": body["csrf_token"]}
        body, _ = self._send("POST", "/tokens", {"name": "consistency", "role": "admin"}, session)
        self.headers = {"Authorization": "Bearer " + body["token"]}

    def get(self, path):
        return self._send("GET", path, None, self.headers)[0]

    def post(self, path, body=None):
        return self._send("POST", path, {} if body is None else body, self.headers)[0]

    def patch(self, path, body):
        return self._send("PATCH", path, body, self.headers)[0]

    def change_topology(self, method, path, body):
        """Names the topology's version; asks again when somebody was faster."""
        for _ in range(STALE_TRIES):
            version = self.get("/cluster")["topology_version"]
            try:
                return self._send(method, path, body, {**self.headers, "If-Match": '"t%d"' % version})[0]
            except ApiError as error:
                if error.status != 412:
                    raise
                time.sleep(0.05)
        raise TimeoutError("the topology changes all the time")

    def _send(self, method, path, body, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, "/api/v1" + path, text,
                               {**headers, **({"Content-Type": "application/json"} if body is not None else {})})
            reply = connection.getresponse()
            raw = reply.read()
            cookie = (reply.getheader("Set-Cookie") or "").split(";", 1)[0]
        except http.client.HTTPException as error:
            raise ConnectionError("%s %s: %r" % (method, path, error)) from error
        finally:
            connection.close()
        answer = json.loads(raw) if raw else {}
        if not 200 <= reply.status < 300:
            raise ApiError(reply.status, answer)
        return answer, cookie
