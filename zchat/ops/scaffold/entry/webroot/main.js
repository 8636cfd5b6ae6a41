// The page: one button, one answer. zchat's web server serves zchat/ from the package.

import { Client } from './zchat/index.js';

const ROUTE = 'connector.entryHandler.entry';

const button = document.getElementById('test');
const output = document.getElementById('answer');
let client = null;

/** A client of this cluster; entry.json says where the connector (or the gate) is. */
async function connected() {
  if (client === null) {
    const response = await fetch('entry.json', { cache: 'no-store' });
    client = new Client(await response.json());
  }
  await client.connect(); // does nothing when it is connected
  return client;
}

async function test() {
  button.disabled = true;
  try {
    const answer = await (await connected()).request(ROUTE);
    output.className = '';
    output.textContent = answer.msg;
  } catch (error) {
    output.className = 'problem';
    output.textContent = `no answer: ${error.message}`;
  } finally {
    button.disabled = false;
  }
}

button.addEventListener('click', test);
