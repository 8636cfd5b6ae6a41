import { Backoff } from './backoff.js';
import { RequestError } from './errors.js';

const AGAIN = new Set([429, 503, 504]);

/**
 * Whether a send that failed like this is to be sent again: it was not done, or nobody knows.
 *
 * @param {Error} error what the request failed with
 */
export function isUndecided(error) {
  return !(error instanceof RequestError) || error.retry || AGAIN.has(error.code);
}

/**
 * Sends that the server has not decided on yet, in order, one on the wire at a time: of two at
 * once the first could be put off and end up behind the second. One whose outcome is unknown is
 * sent again, under the id by which the server knows a repeat, before anything behind it.
 *
 * Pure. When full, `add` refuses.
 *
 * @template {{cid: string}} T what is sent
 */
export class Unsent {
  #limit;
  #backoff;
  #queue = [];
  #onWire = null;
  #notBefore = 0;

  /** @param {{limit?: number, backoff?: Backoff}} [options] the backoff between attempts */
  constructor({ limit = 1000, backoff = new Backoff({ base: 500, cap: 10_000 }) } = {}) {
    this.#limit = limit;
    this.#backoff = backoff;
  }

  get size() {
    return this.#queue.length;
  }

  /** @returns {T | null} what was written and is not answered yet */
  get onWire() {
    return this.#onWire;
  }

  /** @param {T} item @returns {boolean} false: full */
  add(item) {
    if (this.#queue.length >= this.#limit) return false;
    this.#queue.push(item);
    return true;
  }

  /** @param {number} now milliseconds @returns {T | null} what to write now */
  next(now) {
    if (this.#onWire || now < this.#notBefore) return null;
    this.#onWire = this.#queue[0] ?? null;
    return this.#onWire;
  }

  /** @param {number} now @returns {number | null} milliseconds until `next` has something */
  wait(now) {
    if (this.#onWire || this.#queue.length === 0) return null;
    return Math.max(0, this.#notBefore - now);
  }

  /** It stands in the room, or was given up: it is not sent any more. @param {T} item */
  remove(item) {
    this.#queue = this.#queue.filter((other) => other !== item);
    if (this.#onWire === item) this.#onWire = null;
    this.#backoff.reset();
    this.#notBefore = 0;
  }

  /**
   * It failed. What is behind a refused one goes on.
   *
   * @param {T} item @param {Error} error @param {number} now
   * @returns {'again' | 'refused'}
   */
  failed(item, error, now) {
    if (!isUndecided(error)) {
      this.remove(item);
      return 'refused';
    }
    this.#onWire = null;
    this.#notBefore = now + this.#backoff.next();
    return 'again';
  }

  /** There is a connection again: nothing has to wait any longer. */
  hurry() {
    this.#backoff.reset();
    this.#notBefore = 0;
  }
}
