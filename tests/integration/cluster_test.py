#!/usr/bin/env python3
"""What operators do by the REST API: groups, slots, plans, migrations, with real servers behind.

  - groups are probed, two masters or silence are refused with the reason
  - slots are assigned once; versions are compared; a dry run changes nothing
  - slots move with their keys while a client reads and writes; pause, resume, cancel, rates
  - the process is killed at every point of a migration (a build with PIKAPROXY_TEST_HOOKS): started
    again, it brings the migration to its end with every key in its place
"""

import os
import signal
import subprocess
import sys
import time

import checks
from admin_api import AdminApi, Problem
from servers import PikaProxy, RedisServer, free_port, wait_until

KEYS = 400


class Cluster:
    """Some redis-servers and a proxy with its dashboard; `env` is added to the proxy's environment."""

    def __init__(self, binary, servers, env=None):
        self.servers = servers
        self.options = {"dashboard.allow_plain_http": True} if False else {}
        self.proxy = PikaProxy(binary, [], self.options, env=env) if env else PikaProxy(binary, [], self.options)
        self.api = AdminApi("http://127.0.0.1:%d" % self.proxy.admin_port)
        self.log_in()

    def log_in(self):
        path = os.path.join(self.proxy.directory, "pikaproxy-data", "admin-password")
        wait_until(lambda: os.path.exists(path), 20, "the dashboard's first password")
        with open(path, encoding="utf-8") as file:
            self.password = file.read().strip().split()[-1]
        self.api.log_in("admin", self.password)
