/** The page: two screens, one client, and who is told what. */

import { Client, randomId } from '../zchat/index.js';
import { ChatView } from './chat_view.js';
import { findEntryPoint } from './entry_point.js';
import { EntryView } from './entry_view.js';
import { followKeyboard } from './keyboard.js';
import { memory } from './memory.js';
import { Room } from './room.js';
import { enteringProblem, offlineReason } from './words.js';

class Page {
  #client = null;
  #room = null;
  #entry = new EntryView((wish) => this.#enter(wish));
  #chat = new ChatView({
    onLeave: () => this.#leave(),
    onAgain: () => this.#again(),
    onMove: (rid) => this.#move(rid),
  });

  start() {
    window.addEventListener('popstate', () => this.#addressChanged());
    const { place } = memory;
    const here = place && [place.rid, ''].includes(memory.room);
    this.#entry.show({ me: memory.name, rid: memory.room });
    if (here) this.#enter(place); // reloaded: the name is ours, and so is the place
  }

  async #enter(wish) {
    this.#entry.busy(true);
    let room;
    try {
      const entryPoint = await findEntryPoint();
      const onConnect = () => room.enter();
      this.#client = new Client({ ...entryPoint, uid: wish.me, onConnect });
      room = new Room(this.#client, { token: randomId(), ...wish });
      await this.#client.connect();
    } catch (error) {
      return this.#entry.show(wish, enteringProblem(error, wish));
    }
    this.#begin(room);
  }

  #begin(room) {
    this.#room = room;
    memory.name = room.me;
    memory.room = room.rid;
    this.#entry.hide();
    this.#chat.show(room);
    const client = this.#client;
    this.#showState(client.state);
    client.on('state', (state) => client === this.#client && this.#showState(state));
  }

  #showState(state) {
    const reason = state.name === 'offline' ? offlineReason(state, this.#room) : '';
    this.#chat.showState(state, reason);
    if (state.name === 'online') memory.place = this.#room;
  }

  #leave() {
    const { me, rid } = this.#room;
    const client = this.#client;
    this.#client = this.#room = memory.place = null;
    client.close();
    this.#chat.hide();
    this.#entry.show({ me, rid });
  }

  #again() {
    if (this.#client.state.name !== 'offline') return this.#client.wake();
    this.#client.connect().catch(() => {}); // its state says why it failed
  }

  async #move(rid) {
    if (rid === this.#room.rid) return '';
    try {
      await this.#room.moveTo(rid);
    } catch (error) {
      return enteringProblem(error, { me: this.#room.me, rid });
    }
    memory.room = rid;
    memory.place = this.#room;
    return '';
  }

  // A link to another room was followed, or the back button pressed.
  async #addressChanged() {
    const rid = memory.room;
    if (rid === '') return;
    if (!this.#room) return this.#entry.suggest(rid);
    const problem = await this.#move(rid);
    if (!problem || !this.#room) return;
    this.#chat.tell(problem);
    memory.room = this.#room.rid;
  }
}

followKeyboard();
new Page().start();
