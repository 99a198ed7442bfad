#!/usr/bin/env python3
"""docs/commands.md must say what the command table says.

    commands_doc_test.py --pikaproxy build/dev/pikaproxy

Asks the program dump_commands of the same build.
"""

import argparse
import difflib
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tools"))

from commands_markdown import commands_markdown  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pikaproxy", required=True, help="the proxy, beside which tests/dump_commands lies")
    parser.add_argument("--seed", type=int, help="not used: nothing here is random")
    options = parser.parse_args()
    dump = os.path.join(os.path.dirname(os.path.abspath(options.pikaproxy)), "tests", "dump_commands")
    expected = commands_markdown(dump).splitlines()
    with open(os.path.join(HERE, "..", "..", "docs", "commands.md"), encoding="utf-8") as document:
        actual = document.read().splitlines()
    difference = list(difflib.unified_diff(actual, expected, "docs/commands.md", "command table", n=0, lineterm=""))
    if difference:
        print("\n".join(difference))
        print("FAILED: docs/commands.md is out of date. Write it anew:\n"
              "    tests/tools/commands_markdown.py --dump build/dev/tests/dump_commands > docs/commands.md")
    print("%d passed, %d failed" % (not difference, bool(difference)))
    return 1 if difference else 0


if __name__ == "__main__":
    sys.exit(main())
