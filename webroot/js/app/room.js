import { ConnectionError, Emitter, TimeoutError } from '../zchat/index.js';
import { EVERYONE, Outgoing } from './outgoing.js';
import { Position } from './position.js';
import { isNameTaken, sendingProblem } from './words.js';

const ENTER = 'connector.entryHandler.enter';
const SWITCH = 'connector.entryHandler.switchRoom';
const SEND = 'chat.chatHandler.send';

// A connection that died without a word keeps its name until the server's heartbeat notices.
const GHOST_LIFETIME = 90_000;

// An acknowledged message whose publication passed while this page was away stands after this.
const ECHO_PATIENCE = 5000;

/**
 * Being in a room: who is here, what is said, what of ours is on its way. Knows no DOM.
 *
 * Events:
 * - `people` (names): the whole list is new; `joined` (name), `left` (name): one changed
 * - `line` (Line): a message stands in the room's order
 * - `sending` (Line): one of ours is on its way; `changed` (Line): how it fares
 * - `settled` (Line): one of ours stands now
 * - `back` (milliseconds): we were away that long; what was said meanwhile may be missing
 * - `moved` (unsent Lines): we are in another room now; everything above belongs to the old one
 */
export class Room extends Emitter {
  #client;
  #outgoing = new Outgoing();
  #position = new Position();
  #people = new Set();
  #entered = false;
  #lostAt = null;

  /** @param {import('../zchat/index.js').Client} client @param {{me: string, rid: string}} wish */
  constructor(client, { me, rid }) {
    super();
    this.#client = client;
    this.me = me;
    this.rid = rid;
    client.on('onChat', (publication) => this.#heard(publication));
    client.on('onAdd', ({ user }) => this.#joined(user));
    client.on('onLeave', ({ user }) => this.#left(user));
    client.on('state', (state) => this.#stateChanged(state));
  }

  /** @returns {string[]} everybody here, this user included */
  get people() {
    return [...this.#people];
  }

  /** Enters, or enters again after a loss: the client's `onConnect`. */
  async enter() {
    try {
      const { users } = await this.#client.request(ENTER, { username: this.me, rid: this.rid });
      this.#people = new Set(users).add(this.me);
      this.emit('people', this.people);
    } catch (error) {
      error.retry ||= isNameTaken(error) && this.#mayBeOurGhost();
      throw error;
    }
    if (this.#entered) this.#comeBack();
    this.#entered = true;
  }

  /** Goes to another room on the same connection. */
  async moveTo(rid) {
    const { users } = await this.#client.request(SWITCH, { rid });
    this.rid = rid;
    this.#position = new Position();
    const unsent = this.#outgoing.lines.filter((line) => line.status !== 'sent');
    this.#outgoing = new Outgoing();
    this.#people = new Set(users).add(this.me);
    this.emit('moved', unsent);
    this.emit('people', this.people);
  }

  /**
   * Says something. It is sent now, or as soon as there is a connection.
   *
   * @param {string} text
   * @param {string} [target] a name, or EVERYONE
   * @returns {boolean} false: too much is on its way already, keep the text
   */
  say(text, target = EVERYONE) {
    const line = this.#outgoing.add({ from: this.me, target, text, ts: Date.now() });
    if (!line) return false;
    this.emit('sending', line);
    this.#send(line);
    return true;
  }

  /** Sends a failed line again, under its own cid: if it had arrived after all, it stays one. */
  sayAgain(line) {
    if (line.status === 'failed') this.#send(line);
  }

  /** Gives a failed line up. */
  forget(line) {
    this.#outgoing.remove(line);
  }

  async #send(line) {
    if (!this.#client.online) return this.#change(line, 'waiting');
    this.#change(line, 'sending');
    const outgoing = this.#outgoing;
    const { text: content, from, target, cid } = line;
    try {
      await this.#client.request(SEND, { content, from, target, rid: this.rid, cid });
      if (outgoing === this.#outgoing) this.#acknowledged(line);
    } catch (error) {
      if (outgoing === this.#outgoing) this.#refused(line, error);
    }
  }

  // What everybody reads comes back as a publication, which may already have been here. A private
  // message goes to its reader only, so our own page shows it by itself.
  #acknowledged(line) {
    if (line.status === undefined) return;
    this.#change(line, 'sent');
    if (line.target !== EVERYONE && line.target !== this.me) this.#settle(line);
    else setTimeout(() => line.status && this.#settle(line), ECHO_PATIENCE);
  }

  #refused(line, error) {
    if (line.status === undefined) return;
    if (error instanceof ConnectionError && !error.sent) return this.#change(line, 'waiting');
    const unsure = error instanceof ConnectionError || error instanceof TimeoutError;
    const problem = unsure ? 'Perhaps not delivered.' : sendingProblem(error, line.target);
    this.#change(line, 'failed', problem);
  }

  #heard(publication) {
    if (!this.#position.advance(publication)) return;
    const { from, target, msg, ts } = publication;
    const own = from === this.me;
    const ours = own ? this.#outgoing.recognise(publication) : null;
    if (ours === 'known') return;
    if (ours) this.#settle(ours, ts);
    else this.emit('line', { from, target, text: String(msg), ts: ts ?? Date.now(), own });
  }

  #settle(line, ts = line.ts) {
    this.#outgoing.remove(line);
    line.ts = ts;
    line.status = line.problem = undefined;
    this.emit('settled', line);
  }

  #change(line, status, problem) {
    line.status = status;
    line.problem = problem;
    this.emit('changed', line);
  }

  #joined(name) {
    if (this.#people.has(name)) return;
    this.#people.add(name);
    this.emit('joined', name);
  }

  #left(name) {
    if (this.#people.delete(name)) this.emit('left', name);
  }

  #stateChanged({ name }) {
    if (name === 'online') this.#sendWaiting();
    else if (this.#entered) this.#lostAt ??= performance.now();
  }

  #sendWaiting() {
    for (const line of this.#outgoing.lines) if (line.status === 'waiting') this.#send(line);
  }

  #comeBack() {
    const away = performance.now() - this.#lostAt;
    this.#lostAt = null;
    this.emit('back', away);
  }

  #mayBeOurGhost() {
    return this.#entered && performance.now() - this.#lostAt < GHOST_LIFETIME;
  }
}
