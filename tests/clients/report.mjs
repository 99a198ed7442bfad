// Counts checks, for the tests with JavaScript's client libraries.

import { isDeepStrictEqual } from 'node:util';

export class Report {
  passed = 0;
  failed = 0;

  check(ok, what, ...details) {
    if (ok) {
      ++this.passed;
    } else {
      ++this.failed;
      console.log(`FAILED: ${what}${details.map((detail) => `\n    ${detail}`).join('')}`);
    }
  }

  equal(got, expected, what) {
    this.check(isDeepStrictEqual(got, expected), what, `expected ${JSON.stringify(expected)}`, `got      ${JSON.stringify(got)}`);
  }

  async fails(promise, pattern, what) {
    try {
      this.check(false, what, `no error, but ${JSON.stringify(await promise)}`);
    } catch (error) {
      this.check(pattern.test(error.message), what, `expected ${pattern}`, `got      ${error.message}`);
    }
  }

  async run(test) {
    try {
      await test(this);
    } catch (error) {
      this.check(false, test.name, error.stack);
    }
  }

  end(name) {
    console.log(name);
    console.log(`${this.passed} passed, ${this.failed} failed`);
    process.exitCode = this.failed > 0 ? 1 : 0;
  }
}
