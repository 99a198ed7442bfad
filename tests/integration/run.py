#!/usr/bin/env python3
"""Runs the integration tests of this directory.

    run.py --pikaproxy build/dev/pikaproxy [--build build/dev] [--jobs 2] [--seed N] [names of files]

The output of a file that fails is shown, of the others their last line. The last line counts checks:
"N passed, N failed"; a file that ends early or takes too long counts as one failed check. Exit code 1 if any failed.
"""

import argparse
import concurrent.futures
import glob
import os
import random
import re
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# Files that want something else than --pikaproxy. {build}: the build directory, {pikaproxy}: the binary.
ARGUMENTS = {
    "command_table_test.py": ["--dump", "{build}/tests/dump_commands"],
    "ketama_test.py": ["--place", "{build}/tests/ketama_place", "--pikaproxy", "{pikaproxy}"],
}
# Measures memory, most of which is the sanitizer's where there is one.
NOT_UNDER_SANITIZERS = "bounds_test.py"
LAST_LINE = re.compile(r"(\d+) passed, (\d+) failed")


class Outcome:
    def __init__(self, name, seconds, passed, failed, output):
        self.name = name
        self.seconds = seconds
        self.passed = passed
        self.failed = failed
        self.output = output


def run_file(path, options):
    name = os.path.basename(path)
    arguments = [argument.format(build=options.build, pikaproxy=options.pikaproxy)
                 for argument in ARGUMENTS.get(name, ["--pikaproxy", "{pikaproxy}"])]
    start = time.monotonic()
    # A session of its own: at a time-out the servers it started end with it.
    child = subprocess.Popen([sys.executable, path, *arguments, "--seed", str(options.seed)], cwd=HERE,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             start_new_session=True)
    note = ""
    try:
        output, _ = child.communicate(timeout=options.timeout)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        output, _ = child.communicate()
        note = "FAILED: not done after %d s\n" % options.timeout
    text = output.decode("utf-8", "replace")
    last = LAST_LINE.fullmatch(text.rstrip("\n").rsplit("\n", 1)[-1])
    passed, failed = (int(last.group(1)), int(last.group(2))) if last else (0, 0)
    if note or (child.returncode != 0 and failed == 0) or last is None:
        failed += 1
        note = note or "FAILED: ended with %s\n" % child.returncode
    return Outcome(name, time.monotonic() - start, passed, failed, text + note)


def is_sanitized(program):
    with open(program, "rb") as binary:
        return re.search(rb"__[at]san_init", binary.read()) is not None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pikaproxy", required=True, help="the binary to test")
    parser.add_argument("--build", help="build directory (default: where the binary is)")
    parser.add_argument("--jobs", type=int, default=1, choices=(1, 2), help="files at the same time")
    parser.add_argument("--timeout", type=int, default=300, help="seconds for one file")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("names", nargs="*", help="files to run, with or without _test.py (default: all)")
    options = parser.parse_args()
    options.pikaproxy = os.path.abspath(options.pikaproxy)
    options.build = os.path.abspath(options.build or os.path.dirname(options.pikaproxy))
    if not os.access(options.pikaproxy, os.X_OK):
        parser.error("%s is not a program; build it first" % options.pikaproxy)

    files = sorted(glob.glob(os.path.join(HERE, "*_test.py")))
    if options.names:
        wanted = {os.path.basename(name).removesuffix(".py").removesuffix("_test") for name in options.names}
        files = [path for path in files if os.path.basename(path).removesuffix("_test.py") in wanted]
        if len(files) != len(wanted):
            parser.error("there is no test file for each of %s" % ", ".join(sorted(wanted)))
    elif is_sanitized(options.pikaproxy):
        files = [path for path in files if os.path.basename(path) != NOT_UNDER_SANITIZERS]
        print("%s is left out: a sanitizer's memory would be measured" % NOT_UNDER_SANITIZERS)
    print("seed %d" % options.seed, flush=True)
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for done in concurrent.futures.as_completed([pool.submit(run_file, path, options) for path in files]):
            outcome = done.result()
            passed += outcome.passed
            failed += outcome.failed
            if outcome.failed:
                print("---- %s\n%s" % (outcome.name, outcome.output.rstrip("\n")))
            print("%-28s %5.1f s  %d passed, %d failed" % (
                outcome.name, outcome.seconds, outcome.passed, outcome.failed), flush=True)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
