import { ConnectionError } from '../zchat/index.js';

/**
 * Where the servers are, as the web server that sent this page says:
 * `{"gate": {"host"?, "port"}}`, or without a gate `{"connector": {"host"?, "port"}}`.
 *
 * @returns {Promise<{gate?: object, connector?: object}>}
 * @throws {ConnectionError} the web server is away
 */
export async function findEntryPoint() {
  try {
    const answer = await fetch('entry.json', { cache: 'no-store' });
    if (answer.ok) return await answer.json();
  } catch {
    // no network, or not JSON: the same to whoever waits
  }
  throw new ConnectionError('the web server could not be reached');
}
