import { Recovery } from '../zchat/index.js';
import { Transcript } from './transcript.js';

export const PAGE = 50;

/** A room that this page has been in: how far it was read, what stands there, what is before. */
export class Place {
  transcript = new Transcript();
  recovery;

  /** Whether earlier messages are being asked for. */
  loading = false;
  #epoch = null;
  #before = null;

  /** @param {string} rid @param {string} token by what the server knows this page again */
  constructor(rid, token) {
    this.rid = rid;
    this.recovery = new Recovery({ token });
  }

  /** It was entered; the first time, what is before begins here. */
  entered(answer) {
    const pushes = this.recovery.entered(answer);
    if (this.#before === null && answer.position) {
      this.#epoch = answer.position.epoch;
      this.#before = answer.position.offset + 1;
    }
    return pushes;
  }

  /** Whether nothing of what was said before has been asked for yet. */
  get fresh() {
    return this.#before !== null && this.transcript.lines.length === 0;
  }

  /** Whether there may be earlier messages, and room for them. */
  get hasEarlier() {
    return this.#before > 1 && this.transcript.hasRoom(PAGE);
  }

  /** The body of a request for earlier messages. */
  get asking() {
    return { before: this.#before, limit: PAGE };
  }

  /**
   * A page of earlier messages came. After a new epoch there are none of the old one.
   *
   * @param {{publications: any[], next: number}} page
   * @returns {any[]} its publications
   */
  earlier({ publications, next }) {
    const ours = publications.every(({ epoch }) => epoch === this.#epoch);
    this.#before = ours ? next : 0;
    return ours ? publications : [];
  }
}

/** The rooms of this page's life. When full, the one visited longest ago is forgotten. */
export class Places {
  #places = new Map();
  #limit;
  #token;

  /** @param {string} token @param {{limit?: number}} [options] */
  constructor(token, { limit = 10 } = {}) {
    this.#token = token;
    this.#limit = limit;
  }

  /** @param {string} rid @returns {Place} the one we were in, or a new one */
  visit(rid) {
    const place = this.#places.get(rid) ?? new Place(rid, this.#token);
    this.#places.delete(rid);
    this.#places.set(rid, place);
    if (this.#places.size > this.#limit) this.#places.delete(this.#places.keys().next().value);
    return place;
  }
}
