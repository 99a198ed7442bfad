#!/usr/bin/env python3
"""The consistency test must fail where the product is broken: here it is broken on purpose, one way at a time.

    sabotage_test.py --pikaproxy build/dev/pikaproxy [--minutes 2] [--seed N] [names]

PIKAPROXY_SABOTAGE (common/sabotage.h, in builds with test hooks only) leaves out one thing that keeps data safe. Each
run must find out, by what clients saw or by where keys are, within the given time.
"""

import argparse
import os
import random
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))

# What is broken: (mover, faults, what else run.py is told); or the test of late_write_test.py that must fail, where what
# has to come together for the harm is too rare for chance.
BROKEN = {
    "servers-forget": ("none", "kill-server", ["--forgetful"]),
    "no-lock": ("migrate", "hang-link-short", []),
    "gate-ignored": ("migrate", "none", []),
    "moved-keys-kept": ("migrate", "none", []),
    "busy-key-ignored": "a_transfer_whose_answer_was_lost",
    "copy-unverified": ("copy-by-type", "cut-link,kill-server", []),
    "copy-keeps-source": ("copy-by-type", "none", []),
    "unsettled": "late_at_the_source_copy_by_type",
    "watch-kept": "a_watched_key_that_moved",
    "pop-forgotten": "an_element_on_its_way",
}
# Complaints about data. Others (it ended early, a migration does not end) prove nothing.
ABOUT_DATA = re.compile(r"^FAILED: (a reply that must not be|every history has an order|\d+ keys|deleted keys|expiry of)",
                        re.M)
STORY_FAILED = re.compile(r"^FAILED: (?!.*ended early)(.*)", re.M)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pikaproxy", required=True, help="the binary, built with test hooks")
    parser.add_argument("--minutes", type=float, default=2.0, help="for each way, at most")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("names", nargs="*", help="of: %s (default: all)" % ", ".join(BROKEN))
    options = parser.parse_args()
    print("seed %d" % options.seed, flush=True)
    passed = failed = 0
    for name in options.names or BROKEN:
        is_story = isinstance(BROKEN[name], str)
        if is_story:
            words, more = ["late_write_test.py", BROKEN[name]], []
        else:
            mover, faults, more = BROKEN[name]
            words = ["run.py", "--mover", mover, "--faults", faults, "--minutes", str(options.minutes), "--discard",
                     *more]
        start = time.monotonic()
        run = subprocess.run(
            [sys.executable, os.path.join(HERE, words[0]), "--pikaproxy", options.pikaproxy, "--seed", str(options.seed),
             *words[1:]],
            env={**os.environ, "PIKAPROXY_SABOTAGE": "" if more else name}, capture_output=True, text=True, check=False,
            timeout=60 * options.minutes + 600)
        found = (STORY_FAILED if is_story else ABOUT_DATA).search(run.stdout)
        if run.returncode == 1 and found:
            passed += 1
            print("%-20s found after %3.0f s: %s" % (name, time.monotonic() - start, found.group(1)), flush=True)
        else:
            failed += 1
            print("FAILED: %s was not found:\n%s" % (name, run.stdout[-3000:] + run.stderr[-1000:]), flush=True)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
