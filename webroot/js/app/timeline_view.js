import { byId, element } from './dom.js';
import {
  dayItem,
  messageItem,
  noticeItem,
  presenceItem,
  showPresence,
  timeNode,
} from './line_view.js';
import { ScrollView } from './scroll_view.js';
import { sameDay } from './times.js';

const MOST_NOTICES = 500;
const ONE_BREATH = 5 * 60_000;

/**
 * What is said in the room. Messages that stand are in #timeline, in the order that everybody
 * sees; ours that are on their way are in #outgoing below it, and move up when they stand.
 *
 * The transcript bounds the messages. When there are too many notices, the oldest goes.
 *
 * @typedef {import('./outgoing.js').Line} Line
 */
export class TimelineView {
  #timeline = byId('timeline');
  #outgoing = byId('outgoing');
  #earlier = byId('earlier');
  #scroll;
  #items = new Map();
  #lines = new WeakMap();
  #days = new Map();
  #notices = [];
  #presence = null;
  #me = '';
  #handlers;

  /**
   * @param {object} handlers
   * @param {(line: Line) => void} handlers.onRetry
   * @param {(line: Line) => void} handlers.onGiveUp
   * @param {() => void} handlers.onEarlier the reader wants to see what is before
   */
  constructor(handlers) {
    this.#handlers = handlers;
    this.#scroll = new ScrollView(() => this.#earlier.hidden || handlers.onEarlier());
    this.#earlier.addEventListener('click', handlers.onEarlier);
  }

  /** Starts anew, for this user. @param {string} me @param {Line[]} lines what stands */
  clear(me, lines) {
    this.#me = me;
    this.#items.clear();
    this.#days.clear();
    this.#notices = [];
    this.#presence = null;
    this.#timeline.replaceChildren();
    this.#outgoing.replaceChildren();
    this.#scroll.toEnd();
    this.addEarlier(lines);
  }

  /** A message stands. @param {Line} line @param {Line | null} next the one behind it */
  addLine(line, next) {
    this.#place(line, this.#item(line), next);
    if (!line.own) this.#scroll.countUnseen();
  }

  /** These stand before all others. Nobody wants them read out. */
  addEarlier(lines) {
    this.#quietly(() => this.#scroll.keep(() => this.#putAbove(lines)));
  }

  /** @param {boolean} offered whether there may be earlier messages @param {string} problem */
  offerEarlier(offered, problem = '') {
    if (!offered && this.#earlier === document.activeElement) this.#scroll.focus();
    this.#earlier.hidden = !offered;
    this.#earlier.textContent = problem ? `${problem} Try again` : 'Show earlier messages';
  }

  /** One of ours goes out. */
  addOutgoing(line) {
    this.#outgoing.append(this.#item(line));
    this.showStatus(line);
    this.#scroll.toEnd();
  }

  /** How one of ours fares. */
  showStatus(line) {
    const item = this.#items.get(line);
    if (!item) return;
    item.dataset.status = line.status ?? '';
    item.querySelector('.fate')?.remove();
    if (line.status === 'sending') return;
    const words = line.problem ?? 'Waiting for the connection';
    item.querySelector('.said').append(this.#fate(line, words));
  }

  /** One of ours stands: it moves to its place. @param {Line} line @param {Line | null} next */
  settle(line, next) {
    const item = this.#items.get(line);
    if (!item) return;
    item.removeAttribute('data-status');
    item.querySelector('.fate')?.remove();
    this.#place(line, item, next);
    this.retime(line);
  }

  /** The time of one of ours is known now. */
  retime(line) {
    this.#items.get(line)?.querySelector('.when').replaceWith(timeNode(line.ts));
  }

  /** One of ours was given up. */
  remove(line) {
    this.#items.get(line)?.remove();
    this.#items.delete(line);
  }

  /** The oldest message goes, and what stands before it. */
  drop(line) {
    const item = this.#items.get(line);
    this.#items.delete(line);
    this.#days.delete(item);
    this.#scroll.keep(() => {
      while (this.#timeline.firstElementChild !== item) this.#timeline.firstElementChild.remove();
      item.remove();
    });
    this.#dress(this.#timeline.querySelector('.line'));
  }

  /** @param {'joined' | 'left'} what @param {string} name */
  addPresence(what, name) {
    if (this.#presence?.what === what) {
      this.#presence.names.push(name);
      return showPresence(this.#presence.item, what, this.#presence.names);
    }
    const item = presenceItem(what, [name]);
    this.#notify(item);
    this.#presence = { what, names: [name], item };
  }

  /** @param {string} text @param {string} what for styles and tests */
  addNotice(text, what) {
    this.#notify(noticeItem(text, what));
  }

  #item(line) {
    const item = messageItem(line, this.#me);
    this.#items.set(line, item);
    this.#lines.set(item, line);
    return item;
  }

  #place(line, item, next) {
    const behind = next && this.#items.get(next);
    if (!behind) this.#append(item);
    else (this.#days.get(behind) ?? behind).before(item);
    this.#dress(item);
    if (behind) this.#dress(behind);
  }

  #putAbove(lines) {
    const first = this.#timeline.querySelector('.line');
    const top = this.#timeline.firstElementChild;
    for (const line of lines) {
      const item = this.#item(line);
      this.#timeline.insertBefore(item, top);
      this.#dress(item);
    }
    if (first) this.#dress(first);
  }

  #notify(item) {
    this.#append(item);
    this.#notices.push(item);
    if (this.#notices.length <= MOST_NOTICES) return;
    this.#scroll.keep(() => this.#notices.shift().remove());
  }

  #append(item) {
    this.#presence = null;
    this.#timeline.append(item);
    this.#scroll.stick();
  }

  // Whether it says its day and its name depends on what stands before it.
  #dress(item) {
    const line = this.#lines.get(item);
    this.#days.get(item)?.remove();
    this.#days.delete(item);
    const last = this.#lineBefore(item);
    item.toggleAttribute('data-follows', this.#follows(item, line));
    if (sameDay(last?.ts ?? Date.now(), line.ts)) return;
    const day = dayItem(line.ts);
    item.before(day);
    item.removeAttribute('data-follows');
    this.#days.set(item, day);
  }

  #lineBefore(item) {
    let node = item.previousElementSibling;
    while (node && !this.#lines.has(node)) node = node.previousElementSibling;
    return node && this.#lines.get(node);
  }

  // The same voice to the same ears within a breath: the name need not stand there again.
  #follows(item, { from, target, ts }) {
    const last = this.#lines.get(item.previousElementSibling);
    return last?.from === from && last.target === target && ts - last.ts < ONE_BREATH;
  }

  // Assistive technology looks at what changed a frame later.
  #quietly(change) {
    this.#timeline.setAttribute('aria-live', 'off');
    change();
    const aloud = () => this.#timeline.setAttribute('aria-live', 'polite');
    requestAnimationFrame(() => requestAnimationFrame(aloud));
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
}
