"""Counts checks, for the tests with Python's client libraries."""

import traceback


class Report:
    def __init__(self):
        self.passed = 0
        self.failed = 0

    def check(self, ok, what, *details):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            print("FAILED: %s%s" % (what, "".join("\n    %s" % (detail,) for detail in details)))

    def equal(self, got, expected, what):
        self.check(got == expected, what, "expected %r" % (expected,), "got      %r" % (got,))

    def raises(self, kind, text, work, what):
        try:
            result = work()
        except kind as error:
            self.check(text in str(error), what, "expected %r" % text, "got      %r" % (error,))
        else:
            self.check(False, what, "no error, but %r" % (result,))

    def run(self, test, *args):
        try:
            test(self, *args)
        except Exception:  # The others still run.
            self.check(False, test.__name__, traceback.format_exc())

    def end(self, name):
        print(name)
        print("%d passed, %d failed" % (self.passed, self.failed))
        return 1 if self.failed else 0
