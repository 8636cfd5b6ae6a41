/**
 * Own messages on their way: from writing them until they stand in the room's order.
 *
 * @typedef {object} Line a message in a room
 * @property {string} from
 * @property {string} target a name, or EVERYONE
 * @property {string} text
 * @property {number} ts milliseconds since 1970
 * @property {boolean} own
 * @property {string} [cid] own: the id that makes sending it twice the same as sending it once
 * @property {'waiting' | 'sending' | 'sent' | 'failed'} [status] own: `waiting` for a connection,
 *   `sent` once the server said so, `failed` with a `problem`; undefined when it stands
 * @property {string} [problem] in words
 */

export const EVERYONE = '*';

const REMEMBERED = 200;

/** When full, `add` refuses: the writer keeps the text and is told to wait. */
export class Outgoing {
  #lines = [];
  #known = new Set();
  #limit;
  #prefix;
  #count = 0;

  /** @param {{limit?: number, prefix?: string}} [options] `prefix` makes the cids unique */
  constructor({ limit = 50, prefix = randomPrefix() } = {}) {
    this.#limit = limit;
    this.#prefix = prefix;
  }

  /** @returns {Line[]} oldest first */
  get lines() {
    return [...this.#lines];
  }

  /**
   * @param {{from: string, target: string, text: string, ts: number}} message
   * @returns {Line | null} null: full
   */
  add(message) {
    if (this.#lines.length >= this.#limit) return null;
    this.#count += 1;
    const cid = `${this.#prefix}-${this.#count}`;
    const line = { ...message, own: true, cid, status: 'sending' };
    this.#lines.push(line);
    return line;
  }

  /**
   * Is this publication one of ours coming back?
   *
   * @param {{id?: string, from: string, target: string, msg: string}} publication `id`: its
   *   sender's cid
   * @returns {Line | 'known' | null} the line on its way, 'known' when it stands already
   */
  recognise({ id, from, target, msg }) {
    if (!id) {
      const same = (line) => line.from === from && line.target === target && line.text === msg;
      return this.#lines.find(same) ?? null;
    }
    if (this.#known.has(id)) return 'known';
    return this.#lines.find(({ cid }) => cid === id) ?? null;
  }

  /** The line stands in the room's order (or is given up): it is on its way no longer. */
  remove(line) {
    this.#lines = this.#lines.filter((other) => other !== line);
    this.#known.add(line.cid);
    if (this.#known.size > REMEMBERED) this.#known.delete(this.#known.values().next().value);
  }
}

// crypto.randomUUID does not exist on pages that came by plain http.
function randomPrefix() {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
