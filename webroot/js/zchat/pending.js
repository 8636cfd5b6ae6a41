import { systemClock } from './clock.js';
import { ConnectionError, RequestError, TimeoutError } from './errors.js';

const SUCCESS = 200;
const LARGEST_ID = 2 ** 31 - 1; // Pomelo's own encoder breaks above it

/**
 * The requests of one connection that wait for their answers.
 *
 * When full, a further request fails at once with a ConnectionError that says it was not sent.
 */
export class Pending {
  #clock;
  #limit;
  #lastId = 0;
  #waiting = new Map();

  /** @param {{limit?: number, clock?: import('./clock.js').Clock}} [options] */
  constructor({ limit = 64, clock = systemClock } = {}) {
    this.#limit = limit;
    this.#clock = clock;
  }

  get size() {
    return this.#waiting.size;
  }

  /**
   * @param {number} timeout milliseconds
   * @param {(id: number) => void} send writes the request
   * @param {string} [route] of the request
   * @returns {Promise<any>} the answer's body
   */
  add(timeout, send, route = '') {
    return new Promise((resolve, reject) => {
      if (this.#waiting.size >= this.#limit) {
        throw new ConnectionError(`${this.#limit} requests are waiting for answers already`);
      }
      const id = this.#nextId();
      send(id);
      const cancel = this.#clock.after(timeout, () => {
        this.#waiting.delete(id);
        reject(new TimeoutError(`no answer within ${timeout / 1000} s`));
      });
      this.#waiting.set(id, { resolve, reject, cancel, route });
    });
  }

  /** The route of a request that waits; '' when nobody waits any more. */
  route(id) {
    return this.#waiting.get(id)?.route ?? '';
  }

  /** Settles the request `id`. An answer that nobody waits for any more is ignored. */
  answer(id, body) {
    const request = this.#waiting.get(id);
    if (!request) return;
    this.#waiting.delete(id);
    request.cancel();
    if ((body.code ?? SUCCESS) === SUCCESS) request.resolve(body);
    else request.reject(new RequestError(body));
  }

  /**
   * Fails whatever waits: the connection broke.
   *
   * @param {string} reason
   * @param {boolean} retry connecting again may help
   */
  abandon(reason, retry) {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject, cancel } of waiting) {
      cancel();
      reject(new ConnectionError(reason, { sent: true, retry }));
    }
  }

  #nextId() {
    do this.#lastId = this.#lastId < LARGEST_ID ? this.#lastId + 1 : 1;
    while (this.#waiting.has(this.#lastId));
    return this.#lastId;
  }
}
