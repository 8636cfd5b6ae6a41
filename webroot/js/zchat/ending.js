/**
 * Why a connection is over.
 *
 * @typedef {object} Ending
 * @property {string} reason in words; a kick's own reason after a kick
 * @property {boolean} kicked the server put us out
 * @property {boolean} retry connecting again may help
 * @property {number} [code] the WebSocket close code; undefined: this side gave up
 */

// Close codes by which a server says that we did wrong, and would again (RFC 6455 7.4.1).
const FAULTS = new Set([1002, 1003, 1007, 1008, 1009, 1010]);

/**
 * What a closed WebSocket means. Codes 4000-4499 invite to come back, 4500-4999 do not. Pomelo's
 * own servers close with 1000 whatever happened: there a kick decides.
 *
 * @param {{code?: number, reason?: string}} close what the WebSocket says; nothing: it fell silent
 * @param {string | null} kick the reason in the kick package; null: none came
 * @returns {Ending}
 */
export function endingOf({ code = 1006, reason = '' }, kick) {
  const kicked = kick !== null;
  const retry = code >= 4000 ? code < 4500 : !kicked && !FAULTS.has(code);
  return { reason: (kicked ? kick : reason) || 'the connection was lost', kicked, retry, code };
}
