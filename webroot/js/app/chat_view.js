import { Attention } from './attention.js';
import { ComposerView } from './composer_view.js';
import { byId } from './dom.js';
import { Drawer } from './drawer.js';
import { MovingView } from './moving_view.js';
import { PeopleView } from './people_view.js';
import { StateView } from './state_view.js';
import { TimelineView } from './timeline_view.js';

const HOLE = 'Some history could not be recovered.';
const ALONE = ' Nobody else is here yet; whoever has this page’s address can come.';

/**
 * The second screen: a room, and the parts that show it.
 *
 * @typedef {object} ChatHandlers
 * @property {() => void} onLeave
 * @property {() => void} onAgain connect now
 * @property {(rid: string) => Promise<string>} onMove resolves with the problem, '' when it went
 */
export class ChatView {
  #screen = byId('chat');
  #attention = new Attention();
  #drawer = new Drawer();
  #room = null;
  #timeline;
  #people;
  #composer;
  #moving;
  #state;

  /** @param {ChatHandlers} handlers */
  constructor({ onLeave, onAgain, onMove }) {
    this.#timeline = new TimelineView({
      onRetry: (line) => this.#room.sayAgain(line),
      onGiveUp: (line) => this.#giveUp(line),
      onEarlier: () => this.#room.showEarlier(),
    });
    this.#people = new PeopleView((name) => this.#writeTo(name));
    this.#composer = new ComposerView({
      onSay: (text, target) => this.#room.say(text, target),
      onTarget: (target) => this.#people.mark(target),
    });
    this.#moving = new MovingView(onMove);
    this.#state = new StateView({ onAgain, onLeave });
    byId('leave').addEventListener('click', onLeave);
    byId('move').addEventListener('click', () => this.#moving.open());
  }

  /** @param {import('./room.js').Room} room just entered */
  show(room) {
    this.#room = room;
    this.#screen.hidden = false;
    byId('me').textContent = room.me;
    this.#showPlace();
    this.#showPeople(room.people);
    this.#composer.reset();
    this.#listen(room);
  }

  hide() {
    this.#room = null;
    this.#screen.hidden = true;
    this.#moving.close();
    this.#drawer.close();
    this.#attention.show(null);
  }

  /** @param {import('../zchat/client.js').State} state @param {string} [reason] in words */
  showState(state, reason) {
    this.#state.show(state, reason);
  }

  /** @param {string} text something to know that is not a message */
  tell(text) {
    this.#timeline.addNotice(text, 'problem');
  }

  #listen(room) {
    const on = (event, show) => room.on(event, (...args) => room === this.#room && show(...args));
    on('people', (names) => this.#showPeople(names));
    on('joined', (name) => this.#joined(name));
    on('left', (name) => this.#left(name));
    on('line', (line, next) => this.#heard(line, next));
    on('earlier', (lines, error) => this.#earlier(lines, error));
    on('gone', (line) => this.#timeline.drop(line));
    on('hole', () => this.#timeline.addNotice(HOLE, 'hole'));
    on('sending', (line) => this.#timeline.addOutgoing(line));
    on('changed', (line) => this.#timeline.showStatus(line));
    on('settled', (line, next) => this.#timeline.settle(line, next));
    on('retimed', (line) => this.#timeline.retime(line));
    on('moved', (unsent) => this.#moved(unsent));
  }

  #showPlace() {
    const { rid, me, lines, hasEarlier } = this.#room;
    byId('room').textContent = rid;
    this.#attention.show(rid);
    this.#timeline.clear(me, lines);
    this.#timeline.offerEarlier(hasEarlier && lines.length > 0);
    const alone = this.#room.people.length === 1;
    const hint = alone ? ALONE : '';
    this.#timeline.addNotice(`You are in ${rid}.${hint}`, 'here');
  }

  #showPeople(names) {
    const { me } = this.#room;
    this.#people.show(names, me);
    this.#composer.showPeople(names.filter((name) => name !== me));
  }

  #joined(name) {
    this.#people.add(name);
    this.#composer.add(name);
    this.#timeline.addPresence('joined', name);
  }

  #left(name) {
    this.#people.remove(name);
    this.#composer.remove(name);
    this.#timeline.addPresence('left', name);
  }

  #heard(line, next) {
    this.#timeline.addLine(line, next);
    if (!line.own) this.#attention.count();
  }

  #earlier(lines, error) {
    this.#timeline.addEarlier(lines);
    const problem = error ? 'Earlier messages did not load.' : '';
    this.#timeline.offerEarlier(this.#room.hasEarlier, problem);
  }

  #moved(unsent) {
    this.#showPlace();
    this.#composer.reset();
    this.#composer.restore(unsent.map(({ text }) => text));
  }

  #giveUp(line) {
    this.#room.forget(line);
    this.#timeline.remove(line);
    this.#composer.focus();
  }

  #writeTo(name) {
    this.#drawer.close();
    this.#composer.writeTo(name);
  }
}
