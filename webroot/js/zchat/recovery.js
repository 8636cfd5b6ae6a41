/**
 * How far a client has read a room, and what of all that reaches it is new.
 *
 * A publication has a place in its room: `offset`, in a numbering that `epoch` names. Who comes
 * back says the last place they have (`since`) and is answered with what they missed, in pages when
 * that is much. Offsets rise but may skip (what is for others only), so a skip means nothing: what
 * is lost is told, by the server or by another epoch, and passed on as a push called HISTORY_LOST.
 *
 * Pure. What it returns are pushes to be told now, in order, each once:
 *
 *     const recovery = new Recovery();
 *     let told = recovery.entered(await request(ENTER, { ...body, ...recovery.asking() }));
 *     while (recovery.next !== null) {
 *       told = recovery.page(await request(HISTORY, { after: recovery.next, limit: 200 }));
 *     }
 *     client.on(route, (body) => { told = recovery.take(route, body); });
 *
 * @typedef {{route: string, body: any}} Push
 * @typedef {{epoch: string, offset: number}} Place
 */

import { randomId } from './ids.js';

/** The push of a hole: some publications that were for us cannot be had any more. */
export const HISTORY_LOST = 'onHistoryLost';

/**
 * While pages are read, pushes wait behind them. When full, further ones are dropped and counted,
 * and the room has to be entered again (`incomplete`), which brings them.
 */
export class Recovery {
  #limit;
  #place = null;
  #token;
  #attempt = 0;
  #now;
  #paging = null;
  #held = [];
  #incomplete = false;

  /** How many pushes were dropped because too many waited. */
  overflows = 0;

  /**
   * @param {{limit?: number, token?: string, now?: () => number}} [options] `limit`: pushes that
   *   may wait. `token`: by what the server knows this client again on another connection. `now`:
   *   milliseconds since 1970
   */
  constructor({ limit = 1000, token = randomId(), now = Date.now } = {}) {
    this.#limit = limit;
    this.#token = token;
    this.#now = now;
  }

  /** @returns {Place | null} the last place read */
  get place() {
    return this.#place && { ...this.#place };
  }

  get token() {
    return this.#token;
  }

  /**
   * An attempt to enter begins. Its number tells it from earlier ones, which may arrive after it;
   * being a time, it goes on rising when the page is loaded again.
   *
   * @returns {{since?: Place, resume: string}} what the request says besides
   */
  asking() {
    this.#attempt = Math.max(this.#attempt + 1, this.#now());
    const resume = `${this.#token}.${this.#attempt}`;
    return this.#place ? { since: this.place, resume } : { resume };
  }

  /** @returns {number | null} the next page begins after this offset; null: all is read */
  get next() {
    return this.#paging && this.#paging.next;
  }

  /** Whether the room has to be entered again: see above. */
  get incomplete() {
    return this.#incomplete;
  }

  /**
   * The room was entered.
   *
   * @param {object} answer
   * @param {Place} [answer.position] where the live pushes begin; a Pomelo server has none
   * @param {string} [answer.resume] our token from now on
   * @param {boolean} [answer.recovered] whether nothing is missing before what follows
   * @param {any[]} [answer.publications] what we missed: bodies of pushes, with their `route`
   * @param {number} [answer.next] where the history goes on, when this is not all; else 0
   * @returns {Push[]}
   */
  entered({ position, resume, recovered, publications = [], next = 0 }) {
    const last = this.#place;
    this.#token = resume || this.#token;
    this.#paging = null;
    this.#held = [];
    this.#incomplete = false;
    if (!position) return [];
    if (!last) this.#place = { ...position };
    if (!last) return [];
    if (!recovered) return this.#lostUpTo(position, last);
    this.#paging = { epoch: position.epoch, until: position.offset, next: last.offset };
    return this.page({ publications, next });
  }

  /**
   * A page of the history after `next`.
   *
   * @param {object} answer
   * @param {any[]} answer.publications
   * @param {number} answer.next
   * @param {boolean} [answer.recovered] false: what comes first is kept no longer
   * @returns {Push[]}
   */
  page({ publications, next, recovered = true }) {
    const { epoch, until, next: last, holed } = this.#paging;
    const told = recovered || holed ? [] : [hole(epoch)];
    this.#paging.holed = false;
    told.push(...publications.flatMap((body) => this.#new(body.route, body)));
    if (this.#place.epoch !== epoch || next >= until || next <= last) {
      return [...told, ...this.#finish()];
    }
    this.#paging.next = next;
    this.#advance(next);
    return told;
  }

  /** What is not read yet cannot be had: it is lost. @returns {Push[]} */
  giveUp() {
    const lost = this.#paging !== null || this.#incomplete;
    const told = lost ? [hole(this.#place.epoch)] : [];
    this.#incomplete = false;
    return this.#paging ? [...told, ...this.#finish()] : told;
  }

  /**
   * A push of any route. One without an offset is passed on in its turn.
   *
   * @param {string} route
   * @param {any} body
   * @returns {Push[]}
   */
  take(route, body) {
    if (this.#incomplete) this.overflows += 1;
    else if (!this.#paging) return this.#new(route, body);
    else if (this.#held.length < this.#limit) this.#held.push({ route, body });
    else this.#overflow();
    return [];
  }

  // Nothing that follows may be told before what was dropped.
  #overflow() {
    this.overflows += 1;
    this.#incomplete = true;
  }

  // Some of it may still be there: it follows the hole.
  #lostUpTo(position, last) {
    const { epoch, offset: until } = position;
    const after = last.epoch === epoch ? last.offset : 0;
    this.#place = { epoch, offset: Math.min(after, until) };
    if (after < until) this.#paging = { epoch, until, next: after, holed: true };
    return [hole(epoch)];
  }

  #finish() {
    const { epoch, until } = this.#paging;
    if (this.#place.epoch === epoch) this.#advance(until);
    this.#paging = null;
    const held = this.#held;
    this.#held = [];
    return held.flatMap(({ route, body }) => this.#new(route, body));
  }

  #new(route, body) {
    if (route === HISTORY_LOST) return this.#lost(body);
    if (typeof body?.offset !== 'number') return [{ route, body }];
    const { epoch, offset } = body;
    const last = this.#place;
    if (last?.epoch === epoch && offset <= last.offset) return [];
    this.#place = { epoch, offset };
    const told = { route, body };
    return last && last.epoch !== epoch ? [hole(epoch), told] : [told];
  }

  // A frontend lost what is below `before`; we may have read it elsewhere.
  #lost({ epoch, before }) {
    const last = this.#place;
    if (last?.epoch === epoch && before - 1 <= last.offset) return [];
    this.#place = { epoch, offset: before - 1 };
    return [hole(epoch)];
  }

  #advance(offset) {
    this.#place.offset = Math.max(this.#place.offset, offset);
  }
}

/** @returns {Push} */
const hole = (epoch) => ({ route: HISTORY_LOST, body: { epoch } });
