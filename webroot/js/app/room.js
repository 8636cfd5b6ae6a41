import {
  ConnectionError,
  Emitter,
  HISTORY_LOST,
  RequestError,
  ZchatError,
  isUndecided,
} from '../zchat/index.js';
import { EVERYONE, Outgoing } from './outgoing.js';
import { Places } from './place.js';

const ENTER = 'connector.entryHandler.enter';
const SWITCH = 'connector.entryHandler.switchRoom';
const SEND = 'chat.chatHandler.send';
const HISTORY = 'chat.chatHandler.history';

const LARGEST_PAGE = 200;

/** Who comes and goes within a moment is told in one push, `onPresence`. */
const WAY = { presence: 'diff' };

/**
 * Being in a room: who is here, what is said, what of ours is on its way. Knows no DOM.
 *
 * Events:
 * - `people` (names): the whole list is new; `joined` (name), `left` (name): one changed
 * - `line` (Line, next): a message stands in the room's order, before the line `next`; null: last
 * - `earlier` (Lines, error): these stand before all others; error: they cannot be had now
 * - `hole`: what was said before now could not be recovered, some of it or all
 * - `sending` (Line): one of ours is on its way; `changed` (Line): how it fares
 * - `settled` (Line, next): one of ours stands now, like `line`; `retimed` (Line): its time changed
 * - `gone` (Line): the oldest line makes room for others
 * - `moved` (unsent Lines): we are in another room now; everything above belongs to the old one
 */
export class Room extends Emitter {
  #client;
  #places;
  #place;
  #outgoing;
  #people = new Set();
  #move = null;

  #heard = {
    onChat: (publication) => this.#said(publication),
    onAdd: ({ user }) => this.#joined(user),
    onLeave: ({ user }) => this.#left(user),
    onPresence: ({ joined, left }) => this.#changed(joined, left),
    [HISTORY_LOST]: () => this.emit('hole'),
  };

  /**
   * @param {import('../zchat/index.js').Client} client
   * @param {{me: string, rid: string, token: string}} wish `token`: what takes our name back from
   *   a connection of ours that the server still believes in
   * @param {{clock?: import('../zchat/clock.js').Clock}} [options]
   */
  constructor(client, { me, rid, token }, { clock } = {}) {
    super();
    this.#client = client;
    this.me = me;
    this.#places = new Places(token);
    this.#place = this.#places.visit(rid);
    const handlers = {
      onTaken: (line, place) => this.#settle(line, place),
      onChanged: (line) => this.emit('changed', line),
    };
    this.#outgoing = new Outgoing((line) => this.#send(line), handlers, { clock });
    for (const route of Object.keys(this.#heard)) {
      client.on(route, (body) => this.#tell(this.#place.recovery.take(route, body)));
    }
    client.on('state', ({ name }) => this.#stateChanged(name));
  }

  get rid() {
    return this.#place.rid;
  }

  /** By what the server knows this page again. */
  get token() {
    return this.#place.recovery.token;
  }

  /** @returns {string[]} everybody here, this user included */
  get people() {
    return [...this.#people];
  }

  /** @returns {import('./outgoing.js').Line[]} what stands */
  get lines() {
    return this.#place.transcript.lines;
  }

  /** Whether `showEarlier` may have more. */
  get hasEarlier() {
    return this.#place.hasEarlier;
  }

  /** Enters, or enters again after a loss: the client's `onConnect`. */
  async enter() {
    const place = this.#place;
    do {
      const wish = { username: this.me, rid: place.rid, ...WAY, ...place.recovery.asking() };
      this.#entered(await this.#client.request(ENTER, wish));
      await this.#catchUp(place.recovery);
    } while (place.recovery.incomplete);
  }

  /** Goes to another room on the same connection; one move after the other. */
  async moveTo(rid) {
    while (this.#move) await this.#move;
    const move = this.#moveTo(rid);
    const over = () => this.#moveOver();
    this.#move = move.then(over, over);
    return move;
  }

  /** Asks for what was said before. Nothing happens when that is asked already. */
  async showEarlier() {
    const place = this.#place;
    if (place.loading || this.#move) return;
    place.loading = true;
    try {
      let lines = [];
      while (lines.length === 0 && place.hasEarlier && place === this.#place) {
        const page = place.earlier(await this.#client.request(HISTORY, place.asking));
        lines = page.map((said) => this.#lineOf(said)).filter((line) => place.transcript.add(line));
      }
      if (place === this.#place) this.emit('earlier', lines, null);
    } catch (error) {
      if (!(error instanceof ZchatError)) throw error;
      if (place === this.#place) this.emit('earlier', [], error);
    } finally {
      place.loading = false;
    }
  }

  /**
   * Says something. It is sent now, or as soon as there is a connection, until it stands.
   *
   * @param {string} text
   * @param {string} [target] a name, or EVERYONE
   * @returns {boolean} false: too much is on its way already, keep the text
   */
  say(text, target = EVERYONE) {
    const line = this.#outgoing.add({ from: this.me, target, text, ts: Date.now() });
    if (!line) return false;
    this.emit('sending', line);
    this.#outgoing.pump();
    return true;
  }

  /** Sends a refused line again. */
  sayAgain(line) {
    this.#outgoing.again(line);
  }

  /** Gives a refused line up. */
  forget(line) {
    this.#outgoing.remove(line);
  }

  #send({ text: content, from, target, cid }) {
    return this.#client.request(SEND, { content, from, target, rid: this.rid, cid });
  }

  #entered(answer) {
    const pushes = this.#place.entered(answer);
    this.#setPeople(answer.users);
    this.#tell(pushes);
  }

  // What is told while pages are read waits behind them. A page that the server refuses is lost.
  async #catchUp(recovery) {
    while (recovery.next !== null) {
      const wish = { after: recovery.next, limit: LARGEST_PAGE };
      try {
        this.#tell(recovery.page(await this.#client.request(HISTORY, wish)));
      } catch (error) {
        if (!(error instanceof RequestError) || isUndecided(error)) throw error;
        this.#tell(recovery.giveUp());
      }
    }
  }

  async #moveTo(rid) {
    if (!this.#client.online) throw new ConnectionError('there is no connection to the server');
    await this.#outgoing.rest();
    const place = this.#places.visit(rid);
    try {
      const answer = await this.#client.request(SWITCH, { rid, ...WAY, ...place.recovery.asking() });
      this.#arrive(place, answer);
    } finally {
      if (this.#client.online) this.#outgoing.open();
    }
    await this.#finishMove(place.recovery);
  }

  #moveOver() {
    this.#move = null;
    this.#showFirst();
  }

  #arrive(place, answer) {
    this.#place = place;
    const unsent = this.#outgoing.lines;
    for (const line of unsent) this.#outgoing.remove(line);
    this.#people = new Set(answer.users).add(this.me);
    const pushes = place.entered(answer);
    this.emit('moved', unsent);
    this.emit('people', this.people);
    this.#tell(pushes);
  }

  // We are there already, whatever becomes of the pages; a lost connection brings us in again.
  async #finishMove(recovery) {
    try {
      await this.#catchUp(recovery);
      if (recovery.incomplete) await this.enter();
    } catch {
      if (this.#client.online) this.#tell(recovery.giveUp());
    }
  }

  #tell(pushes) {
    for (const { route, body } of pushes) this.#heard[route]?.(body);
  }

  // Ours may stand already, by the answer to its sender, which does not know the time.
  #said(publication) {
    const { epoch, offset, id, ts = Date.now() } = publication;
    const line = this.#outgoing.find(id);
    if (line) return this.#settle(line, { epoch, offset, ts });
    const known = this.#place.transcript.at(epoch, offset);
    if (!known) this.#stand('line', this.#lineOf(publication));
    else if (known.ts !== ts) this.emit('retimed', Object.assign(known, { ts }));
  }

  // Other programs publish here too, and may say less than people do: from nobody, to everyone.
  #lineOf({ from, target, msg, ts = Date.now(), epoch, offset }) {
    const own = from === this.me;
    const said = { from: String(from ?? ''), target: String(target ?? EVERYONE) };
    return { ...said, text: String(msg ?? ''), ts, own, epoch, offset };
  }

  #settle(line, { epoch, offset, ts = line.ts }) {
    Object.assign(line, { epoch, offset, ts });
    this.#outgoing.remove(line);
    this.#stand('settled', line);
  }

  #stand(event, line) {
    const { before = null, gone = null } = this.#place.transcript.add(line) ?? {};
    this.emit(event, line, before);
    if (gone) this.emit('gone', gone);
  }

  #setPeople(users) {
    this.#people = new Set(users).add(this.me);
    this.emit('people', this.people);
  }

  #changed(joined, left) {
    for (const name of joined) this.#joined(name);
    for (const name of left) this.#left(name);
  }

  #joined(name) {
    if (this.#people.has(name)) return;
    this.#people.add(name);
    this.emit('joined', name);
  }

  #left(name) {
    if (this.#people.delete(name)) this.emit('left', name);
  }

  #stateChanged(name) {
    if (name !== 'online') return this.#outgoing.close();
    this.#outgoing.open();
    this.#showFirst();
  }

  #showFirst() {
    if (this.#place.fresh) this.showEarlier();
  }
}
