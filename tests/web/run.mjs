/** `node tests/web/run.mjs`: the same tests as in the page, without a browser. */

import process from 'node:process';

import { run } from './all.mjs';

const results = await run();
const failures = results.filter(({ error }) => error);
for (const { name, error } of failures) console.log(`FAILED ${name}\n${error}\n`);
console.log(`${results.length - failures.length} passed, ${failures.length} failed`);
process.exit(failures.length ? 1 : 0);
