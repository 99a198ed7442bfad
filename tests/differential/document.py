#!/usr/bin/env python3
"""Writes the table of docs/compatibility.md anew, from differences.yaml.    document.py"""

import os
import re

import yaml

from sequences import shown

HERE = os.path.dirname(os.path.abspath(__file__))
DOCUMENT = os.path.join(HERE, "..", "..", "docs", "compatibility.md")
BEGIN = "<!-- Written by tests/differential/document.py from differences.yaml; do not edit. -->\n"
END = "<!-- End of what is written. -->\n"
WHAT = {"unordered": "order", "unordered pairs": "order", "same kind": "content", "near": "some seconds",
        "same size": "order within", "same shape": "values", "cursor": "cursor, order"}


def cell(text):
    return text.replace("|", "\\|").replace("\r", "\\r").replace("\n", "\\n")


def table():
    with open(os.path.join(HERE, "differences.yaml"), encoding="utf-8") as file:
        entries = yaml.safe_load(file)["differences"]
    lines = ["| Commands | Differs | Why | For example |\n|---|---|---|---|\n"]
    for entry in entries:
        commands = "any" if entry["commands"] == "*" else ", ".join(
            "`%s`" % name.upper() for name in entry["commands"].split(", "))
        example = "; ".join(" ".join(shown(str(word).encode()) for word in request) for request in entry["example"])
        example = example if len(example) < 90 else example[:90] + "..."
        what = WHAT.get(entry["how"], "the whole reply") + (", over several groups" if entry.get("when") == "three groups" else "")
        lines.append("| %s | %s | %s | `%s` |\n" % (cell(commands), what, cell(entry["reason"]), cell(example)))
    return "".join(lines)


def renewed(document):
    """The document's text with the table as it must be."""
    return re.sub(re.escape(BEGIN) + ".*" + re.escape(END), lambda _: BEGIN + "\n" + table() + "\n" + END, document, flags=re.S)


def read():
    with open(DOCUMENT, encoding="utf-8") as file:
        return file.read()


if __name__ == "__main__":
    NEW = renewed(read())
    with open(DOCUMENT, "w", encoding="utf-8") as out:
        out.write(NEW)
