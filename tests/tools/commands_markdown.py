#!/usr/bin/env python3
"""Prints docs/commands.md, made from the proxy's command table.

    commands_markdown.py --dump build/dev/tests/dump_commands > docs/commands.md
"""

import argparse
import json
import os
import re
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
TABLE_HEADER = os.path.join(HERE, "..", "..", "common", "command_table.h")

# What the proxy does with a served command, by the names of CommandAction.
ACTIONS = {
    "kForwardAnyGroup": "one group answers for all",
    "kSplitMget": "split over groups, values merged",
    "kSplitMset": "split over groups, `OK` when all are; not atomic",
    "kSplitSum": "split over groups, numbers added",
    "kFanOutSum": "all groups, numbers added",
    "kFanOutConcat": "all groups, replies joined",
    "kFanOutAllOk": "all groups, the first error wins",
    "kKill": "all groups, over a connection of its own; one success is enough",
    "kFunctionStats": "all groups, over a connection of its own; the one where a function runs",
    "kRandomKey": "a random group, the others if it is empty",
    "kScan": "one group after the other, its number in the cursor",
    "kScriptLoad": "all groups; the proxy keeps the script",
    "kScriptExists": "all groups; 1 where every one has it",
    "kScriptFlush": "all groups; the proxy forgets its scripts",
    "kEval": "all keys in one slot; sent again where the server lost the script",
    "kTransaction": "keys of one slot, sent as one block at EXEC",
    "kTracking": "the proxy, if all groups' servers can; they tell of changed keys",
    "kBlock": "all keys in one slot; waits on a connection of the client's own",
    "kSubscribe": "the groups of its channels; a pattern: all groups. One subscription for all clients of a worker",
    "kPublish": "the group of the channel's slot; clients are counted, not connections",
    "kWait": "the groups that this client has written to; the lowest of their numbers",
    "kLocal": "the proxy",
}

# Redis' categories, in the order in which people look for commands. A command stands in the first that it has.
SECTIONS = [
    ("@scripting", "Scripts and functions"),
    ("@connection", "Connection"),
    ("@pubsub", "Publish and subscribe"),
    ("@hyperloglog", "HyperLogLog"),
    ("@bitmap", "Bitmaps"),
    ("@geo", "Geo"),
    ("@stream", "Streams"),
    ("@sortedset", "Sorted sets"),
    ("@hash", "Hashes"),
    ("@list", "Lists"),
    ("@set", "Sets"),
    ("@string", "Strings"),
    ("@keyspace", "Keys"),
]
OTHERS = "Server"
# Redis has SORT among sets and lists, of which it takes any.
SECTION_OF = {"sort": "Keys", "sort_ro": "Keys", "pubsub|help": "Publish and subscribe"}
ORDER = ["Keys", "Strings", "Hashes", "Lists", "Sets", "Sorted sets", "Streams", "Geo", "Bitmaps", "HyperLogLog",
         "Scripts and functions", "Publish and subscribe", "Connection", OTHERS]
# A container's word says nothing about its subcommands.
UNKNOWN_SUBCOMMAND = "unknown subcommand"

HEAD = """# Commands

<!-- Written by tests/tools/commands_markdown.py from common/command_table_data.cc; do not edit. -->

What the proxy does with each command of Redis 7.4, with `PROXY` and with those of codis-proxy: %d are served, %d are refused with the reason. What is
in neither list gets `-ERR unknown command`; no command is forwarded by guess. Key positions, arities and
flags are those of Redis 7.0.15 and compared with it (`tests/integration/command_table_test.py`). Whether a
server knows a newer command is the server's business: its error comes back unchanged.

- *its group*: the command has one key, and goes to the group that has the key's slot.
- *all keys in one slot*: `-CROSSSLOT` otherwise; use hash tags. With `router = "ketama"` the keys need only
  be on one server.
- *the proxy*: answered by the proxy itself, about itself.
- *admin*: with `[[user]]`s configured, only for those with `admin = true`.

[compatibility.md](compatibility.md) says where replies differ from those of a single Redis.
"""


def read_action_names():
    """The enumerators of CommandAction, in their order."""
    with open(TABLE_HEADER, encoding="utf-8") as header:
        body = re.search(r"enum class CommandAction[^{]*{(.*?)};", header.read(), re.S).group(1)
    return re.findall(r"^ *(k\w+),", body, re.M)


def read_table(dump):
    done = subprocess.run([dump, "table"], stdout=subprocess.PIPE, timeout=60, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    names = read_action_names()
    for row in rows:
        row["action"] = names[row["action"]]
    return rows


def shown(name):
    return name.upper().replace("|", " ")


def section_of(row):
    if row["name"] in SECTION_OF:
        return SECTION_OF[row["name"]]
    categories = row["acl"].split()
    for category, title in SECTIONS:
        if category in categories:
            return title
    return OTHERS


def served_by(row):
    if row["action"] != "kForward":
        return ACTIONS[row["action"]]
    if row["single_key"]:
        return "its group"
    if row["name"] in ("xread", "xreadgroup"):
        return "all keys in one slot; not with `BLOCK`"
    if row["name"] in ("sort", "sort_ro"):
        return "all keys in one slot, `BY` and `GET` patterns with its hash tag"
    return "all keys in one slot"


def served_tables(rows):
    sections = {title: [] for title in ORDER}
    for row in rows:
        sections[section_of(row)].append(row)
    text = ""
    for title, members in sections.items():
        if not members:
            continue
        text += "\n### %s\n\n| Command | Goes to |\n|---|---|\n" % title
        # What is treated alike shares a line.
        alike = {}
        for row in members:
            alike.setdefault(served_by(row) + (" (admin)" if row["proxy_admin"] else ""), []).append(shown(row["name"]))
        for served, names in alike.items():
            text += "| %s | %s |\n" % (", ".join("`%s`" % name for name in names), served)
    return text


def refused_table(rows):
    reasons = {}
    for row in rows:
        reason = row["refusal"]
        if reason.startswith(UNKNOWN_SUBCOMMAND):
            reason = UNKNOWN_SUBCOMMAND + " ..."
        reasons.setdefault(reason, []).append(shown(row["name"]))
    text = "\n| Command | `-ERR` ... |\n|---|---|\n"
    for reason, names in reasons.items():
        text += "| %s | %s |\n" % (", ".join("`%s`" % name for name in names), reason)
    return text


def commands_markdown(dump):
    """The whole document."""
    table = read_table(dump)
    # A container that is served is what its subcommands are.
    rows = [row for row in table if not row["subcommands"] or row["name"] == "command"]
    refused = [row for row in rows if row["action"] == "kRefuse"]
    served = [row for row in rows if row["action"] != "kRefuse"]
    return (HEAD % (len(served), len(refused)) + "\n## Served\n" + served_tables(served) +
            "\n## Refused\n" + refused_table(refused))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dump", required=True, help="the program dump_commands")
    print(commands_markdown(parser.parse_args().dump), end="")


if __name__ == "__main__":
    main()
