import { FakeServer } from './fakes.mjs';

const PAGE = 3;

/**
 * A server whose rooms keep what is said. `answers[route]` may take a request over by returning
 * something; null: no answer.
 */
export class FakeRooms extends FakeServer {
  answers = {};
  users = ['bo', 'ann'];
  rooms = new Map();
  rid = null;

  constructor() {
    super((route, body) => {
      const method = route.split('.').at(-1);
      const given = this.answers[method]?.(body);
      return given === undefined ? this[method](body) : (given ?? undefined);
    });
  }

  /** The bodies of the requests to this method, oldest first. */
  asked(method) {
    return this.heard.filter(([route]) => route.endsWith(`.${method}`)).map(([, body]) => body);
  }

  /** Journals a publication of the present room, for us or not; without pushing it. */
  journal({ from = 'bo', target = '*', msg, id, hidden = false }) {
    const room = this.#room();
    const place = { epoch: room.epoch, offset: room.said.length + 1, ts: 1000 + room.said.length };
    room.said.push({ from, target, msg, id, hidden, route: 'onChat', ...place });
    return room.said.at(-1);
  }

  /** Somebody says this, and we are told. */
  tell(msg, more = {}) {
    this.push('onChat', this.journal({ msg, ...more }));
  }

  /** The journal of the present room is lost, or there was none. */
  renumber(epoch) {
    this.rooms.set(this.rid, { epoch, said: [] });
  }

  enter({ rid, since }) {
    this.rid = rid;
    const { epoch, said } = this.#room();
    const position = { epoch, offset: said.length };
    const answer = { users: this.users, position, resume: 'token' };
    if (!since) return answer;
    const recovered = since.epoch === epoch;
    const missed = recovered ? this.#after(since.offset) : { publications: [], next: 0 };
    return { ...answer, recovered, ...missed };
  }

  switchRoom(body) {
    return this.enter(body);
  }

  history({ before, after, limit }) {
    if (after !== undefined) return this.#after(after);
    const page = this.#room().said.slice(0, before - 1).slice(-limit);
    return this.#page(page, page[0]?.offset > 1 ? page[0].offset : 0);
  }

  send({ content, from, target, cid }) {
    const known = this.#room().said.find(({ id }) => id === cid);
    const { epoch, offset } = known ?? this.journal({ from, target, msg: content, id: cid });
    return { epoch, offset };
  }

  #room() {
    if (!this.rooms.has(this.rid)) this.renumber(`epoch of ${this.rid}`);
    return this.rooms.get(this.rid);
  }

  #after(offset) {
    const { said } = this.#room();
    const page = said.slice(offset, offset + PAGE);
    return this.#page(page, offset + PAGE < said.length ? offset + PAGE : 0);
  }

  #page(page, next) {
    return { publications: page.filter(({ hidden }) => !hidden), next };
  }
}
