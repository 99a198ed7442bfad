// Checks package-lock.json (here and in e2e/): no registry's address, every package with its exact
// version and checksum, every optional package that is asked for is there, licences that fit ours.

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const LICENCES = new Set(['MIT', 'Apache-2.0', 'BSD-3-Clause', 'BSD-2-Clause', 'ISC', 'MPL-2.0']);
const here = dirname(fileURLToPath(import.meta.url));
const problems = [];

for (const folder of ['.', 'e2e']) {
  const file = join(folder, 'package-lock.json');
  const lock = JSON.parse(readFileSync(join(here, file), 'utf8'));
  for (const [path, entry] of Object.entries(lock.packages)) {
    if (path === '') continue;
    const where = `${file}: ${path}`;
    if (entry.resolved) problems.push(`${where} names where it came from`);
    if (!entry.version || !entry.integrity) problems.push(`${where} has no version or checksum`);
    if (!LICENCES.has(entry.license)) problems.push(`${where} has the licence ${entry.license}`);
    for (const name of Object.keys(entry.optionalDependencies ?? {})) {
      if (!lock.packages['node_modules/' + name]) problems.push(`${where} lacks its optional ${name}`);
    }
  }
  const declared = JSON.parse(readFileSync(join(here, folder, 'package.json'), 'utf8'));
  for (const [name, version] of Object.entries({ ...declared.dependencies, ...declared.devDependencies })) {
    if (!/^\d+\.\d+\.\d+$/.test(version)) problems.push(`${folder}/package.json: ${name} wants an exact version`);
  }
}
for (const problem of problems) console.error(problem);
process.exitCode = problems.length > 0 ? 1 : 0;
