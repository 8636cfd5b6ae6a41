/**
 * Where a frontend listens.
 *
 * @typedef {{host?: string, port: number}} Address `host`: without one, the page's own host
 */

/**
 * @param {Address} address
 * @param {{protocol?: string, hostname?: string}} [page] the page's location
 * @returns {string} wss: on a page that came by https:, else ws:
 */
export function websocketUrl({ host, port }, page = globalThis.location ?? {}) {
  const name = host || page.hostname || '127.0.0.1';
  const bracketed = name.includes(':') && !name.startsWith('[') ? `[${name}]` : name;
  return `${page.protocol === 'https:' ? 'wss' : 'ws'}://${bracketed}:${port}/`;
}
