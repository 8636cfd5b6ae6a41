import { Unsent, randomId, systemClock } from '../zchat/index.js';
import { delayReason, sendingProblem } from './words.js';

/**
 * Own messages on their way: from writing them until they stand in the room's order.
 *
 * @typedef {object} Line a message in a room
 * @property {string} from
 * @property {string} target a name, or EVERYONE
 * @property {string} text
 * @property {number} ts milliseconds since 1970
 * @property {boolean} own
 * @property {string} [epoch] it stands: with `offset`, its place in the room
 * @property {number} [offset]
 * @property {string} [cid] own: the id that makes sending it twice the same as sending it once
 * @property {'sending' | 'waiting' | 'failed'} [status] own: `waiting` for a connection or for the
 *   next attempt, `failed` when the server refused it; undefined when it stands
 * @property {string} [problem] why it waits or failed, in words
 */

export const EVERYONE = '*';

/**
 * Sends them one after the other, each until the server has decided on it. A refused one stays,
 * for its writer to decide; the ones behind it go on.
 *
 * When full, `add` refuses: the writer keeps the text and is told to wait.
 */
export class Outgoing {
  #send;
  #handlers;
  #clock;
  #limit;
  #unsent = new Unsent();
  #lines = [];
  #open = false;
  #writing = Promise.resolve();
  #cancelWait = null;

  /**
   * @param {(line: Line) => Promise<object>} send one request
   * @param {object} handlers
   * @param {(line: Line, answer: object) => void} handlers.onTaken it stands now
   * @param {(line: Line) => void} handlers.onChanged how it fares
   * @param {{limit?: number, clock?: import('../zchat/clock.js').Clock}} [options]
   */
  constructor(send, handlers, { limit = 50, clock = systemClock } = {}) {
    this.#send = send;
    this.#handlers = handlers;
    this.#limit = limit;
    this.#clock = clock;
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
    const status = this.#open ? 'sending' : 'waiting';
    const line = { ...message, own: true, cid: randomId(), status };
    this.#lines.push(line);
    this.#unsent.add(line);
    return line;
  }

  /** Sends what there is to send, from now on. */
  open() {
    this.#open = true;
    this.#unsent.hurry();
    for (const line of this.#lines) if (line.status === 'waiting') this.#change(line, 'sending');
    this.pump();
  }

  /** Sends nothing for now; what is on the wire stays there. */
  close() {
    this.#open = false;
    this.#cancelWait?.();
    for (const line of this.#lines) if (line.status === 'sending') this.#change(line, 'waiting');
  }

  /** Closes, and waits until nothing is on the wire. */
  async rest() {
    this.close();
    await this.#writing;
  }

  /** Writes the next one, if nothing is in its way. */
  pump() {
    this.#cancelWait?.();
    if (!this.#open) return;
    const line = this.#unsent.next(this.#clock.now());
    if (line) {
      this.#writing = this.#write(line);
      return;
    }
    const wait = this.#unsent.wait(this.#clock.now());
    if (wait !== null) this.#cancelWait = this.#clock.after(wait, () => this.pump());
  }

  /** @param {string} [cid] @returns {Line | null} the line on its way that has it */
  find(cid) {
    return this.#lines.find((line) => line.cid === cid) ?? null;
  }

  /** The line stands in the room's order, or is given up. */
  remove(line) {
    this.#lines = this.#lines.filter((other) => other !== line);
    this.#unsent.remove(line);
    line.status = line.problem = undefined;
    this.pump();
  }

  /** Sends a refused line again, behind all others. */
  again(line) {
    if (line.status !== 'failed') return;
    this.#change(line, this.#open ? 'sending' : 'waiting');
    this.#unsent.add(line);
    this.pump();
  }

  async #write(line) {
    try {
      const answer = await this.#send(line);
      if (line.status) this.#handlers.onTaken(line, answer);
    } catch (error) {
      if (line.status) this.#failed(line, error);
    }
    this.pump();
  }

  #failed(line, error) {
    const fate = this.#unsent.failed(line, error, this.#clock.now());
    if (fate === 'refused') this.#change(line, 'failed', sendingProblem(error, line.target));
    else this.#change(line, 'waiting', delayReason(error));
  }

  #change(line, status, problem) {
    line.status = status;
    line.problem = problem;
    this.#handlers.onChanged(line);
  }
}
