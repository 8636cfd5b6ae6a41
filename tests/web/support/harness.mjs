/** A test runner small enough for both node and the page: see ../run.mjs and ../page.mjs. */

const tests = [];

/** @param {string} name @param {() => unknown} fn may be async; what it throws is the failure */
export function test(name, fn) {
  tests.push({ name, fn });
}

/** Deep equality of plain values and byte arrays. */
export function equal(actual, expected, note = '') {
  const [found, wanted] = [JSON.stringify(plain(actual)), JSON.stringify(plain(expected))];
  if (found !== wanted) throw new Error(`${note} expected ${wanted}, found ${found}`.trim());
}

/** @param {() => unknown} fn must throw, or reject with, an error of this class; returns it */
export async function fails(fn, ErrorClass) {
  let error;
  try {
    await fn();
  } catch (thrown) {
    error = thrown;
  }
  if (!(error instanceof ErrorClass)) throw new Error(`expected ${ErrorClass.name}, got ${error}`);
  return error;
}

/** @returns {Promise<{name: string, error: string | null}[]>} */
export async function run() {
  const results = [];
  for (const { name, fn } of tests) {
    try {
      await fn();
      results.push({ name, error: null });
    } catch (error) {
      results.push({ name, error: String(error.stack ?? error) });
    }
  }
  return results;
}

/** What promises and message ports still have to do is done. */
export async function settled() {
  for (let turn = 0; turn < 5; turn += 1) {
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

/** @param {string} path relative to this folder */
export async function readJson(path) {
  const url = new URL(path, import.meta.url);
  if (url.protocol !== 'file:') return (await fetch(url)).json();
  const { readFile } = await import('node:fs/promises');
  return JSON.parse(await readFile(url, 'utf-8'));
}

function plain(value) {
  if (value instanceof Uint8Array) return Array.from(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, item]) => [name, plain(item)]));
}
