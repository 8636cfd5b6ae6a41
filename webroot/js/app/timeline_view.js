import { byId, element } from './dom.js';
import {
  dayItem,
  messageItem,
  noticeItem,
  presenceItem,
  showPresence,
  timeNode,
} from './line_view.js';
import { duration, sameDay } from './times.js';

const MOST_ITEMS = 1000;
const NEAR_THE_END = 48; // pixels
const ONE_BREATH = 5 * 60_000;

/**
 * What is said in the room. Messages that stand are in #timeline, in the order that everybody
 * sees; ours that are on their way are in #outgoing below it, and move up when they stand.
 *
 * When #timeline is full, its oldest items go.
 */
export class TimelineView {
  #scroller = byId('scroller');
  #timeline = byId('timeline');
  #outgoing = byId('outgoing');
  #pill = byId('pill');
  #items = new Map();
  #last = null;
  #presence = null;
  #atEnd = true;
  #top = 0;
  #sticking = false;
  #unseen = 0;
  #me = '';
  #handlers;

  /** @param {{onRetry: (line: object) => void, onGiveUp: (line: object) => void}} handlers */
  constructor(handlers) {
    this.#handlers = handlers;
    this.#scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.#pill.addEventListener('click', () => this.stickToEnd());
    const resized = new ResizeObserver(() => this.#stick());
    for (const node of [this.#scroller, this.#timeline, this.#outgoing]) resized.observe(node);
  }

  /** Starts empty, for this user. */
  clear(me) {
    this.#me = me;
    this.#items.clear();
    this.#timeline.replaceChildren();
    this.#outgoing.replaceChildren();
    this.#last = this.#presence = null;
    this.stickToEnd();
  }

  /** A message stands. */
  addLine(line) {
    this.#place(messageItem(line, this.#me), line);
    if (!line.own) this.#countUnseen();
  }

  /** One of ours goes out. */
  addOutgoing(line) {
    const item = messageItem(line, this.#me);
    this.#items.set(line, item);
    this.#outgoing.append(item);
    this.stickToEnd();
  }

  /** How one of ours fares. */
  showStatus(line) {
    const item = this.#items.get(line);
    if (!item) return;
    item.dataset.status = line.status ?? '';
    item.querySelector('.fate')?.remove();
    const words = { waiting: 'Waiting for the connection', failed: line.problem }[line.status];
    if (words) item.querySelector('.said').append(this.#fate(line, words));
  }

  /** One of ours stands: it moves to its place. */
  settle(line) {
    const item = this.#items.get(line);
    if (!item) return;
    this.#items.delete(line);
    item.removeAttribute('data-status');
    item.querySelector('.fate')?.remove();
    item.querySelector('.when').replaceWith(timeNode(line.ts));
    this.#place(item, line);
  }

  /** One of ours was given up. */
  remove(line) {
    this.#items.get(line)?.remove();
    this.#items.delete(line);
  }

  /** @param {'joined' | 'left'} what @param {string} name */
  addPresence(what, name) {
    if (this.#presence?.what === what) {
      this.#presence.names.push(name);
      return showPresence(this.#presence.item, what, this.#presence.names);
    }
    const item = presenceItem(what, [name]);
    this.#append(item);
    this.#presence = { what, names: [name], item };
  }

  /** @param {string} text @param {string} what for styles and tests */
  addNotice(text, what) {
    this.#append(noticeItem(text, what));
  }

  /** @param {number} away milliseconds without a connection */
  addGap(away) {
    const text = `You were away for ${duration(away)}. Messages from that time may be missing.`;
    this.addNotice(text, 'gap');
  }

  stickToEnd() {
    this.#atEnd = true;
    this.#seeEverything();
    this.#stick();
  }

  #place(item, line) {
    if (!this.#last || !sameDay(this.#last.ts, line.ts)) this.#startDay(line.ts);
    item.toggleAttribute('data-follows', this.#follows(line));
    this.#append(item);
    this.#last = line;
  }

  #startDay(ts) {
    if (this.#last || !sameDay(ts, Date.now())) this.#append(dayItem(ts));
    this.#last = null;
  }

  // The same voice to the same ears within a breath: the name need not stand there again.
  #follows({ from, target, ts }) {
    const last = this.#last;
    return last?.from === from && last.target === target && ts - last.ts < ONE_BREATH;
  }

  #append(item) {
    this.#presence = null;
    if (item.classList.contains('notice')) this.#last &&= { ts: this.#last.ts };
    this.#timeline.append(item);
    if (this.#timeline.childElementCount > MOST_ITEMS) this.#timeline.firstElementChild.remove();
    this.#stick();
  }

  #fate(line, words) {
    const fate = element('p', { class: 'fate', 'data-testid': 'message-fate' }, words);
    if (line.status === 'failed') {
      const again = () => this.#handlers.onRetry(line);
      const giveUp = () => this.#handlers.onGiveUp(line);
      fate.append(
        element('button', { type: 'button', 'data-testid': 'retry', onclick: again }, 'Try again'),
        element('button', { type: 'button', 'data-testid': 'discard', onclick: giveUp }, 'Discard'),
      );
    }
    return fate;
  }

  // Only a move upwards leaves the end: the event of our own scrolling comes a frame late, when
  // more may have been said.
  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    const near = scrollHeight - scrollTop - clientHeight < NEAR_THE_END;
    if (near || scrollTop < this.#top) this.#atEnd = near;
    this.#top = scrollTop;
    if (near) this.#seeEverything();
  }

  // Once for all that one turn of the event loop adds: each reading of the height is a layout.
  #stick() {
    if (!this.#atEnd || this.#sticking) return;
    this.#sticking = true;
    queueMicrotask(() => {
      this.#sticking = false;
      this.#scroller.scrollTop = this.#scroller.scrollHeight;
      this.#top = this.#scroller.scrollTop;
    });
  }

  #countUnseen() {
    if (this.#atEnd) return;
    this.#unseen += 1;
    const messages = this.#unseen === 1 ? 'message' : 'messages';
    this.#pill.textContent = `${this.#unseen} new ${messages}`;
    this.#pill.hidden = false;
  }

  #seeEverything() {
    this.#unseen = 0;
    this.#pill.hidden = true;
  }
}
