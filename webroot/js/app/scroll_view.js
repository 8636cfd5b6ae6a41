import { byId } from './dom.js';

const NEAR_THE_END = 48; // pixels
const NEAR_THE_TOP = 400;

/**
 * Where the reader is in the talk: at the end, where new messages keep them, or further up, where
 * nothing moves under their eyes and a pill says how much is new.
 */
export class ScrollView {
  #scroller = byId('scroller');
  #pill = byId('pill');
  #atEnd = true;
  #top = 0;
  #sticking = false;
  #unseen = 0;
  #onTop;

  /** @param {() => void} onTop the reader comes near the oldest message */
  constructor(onTop) {
    this.#onTop = onTop;
    this.#scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.#pill.addEventListener('click', () => this.toEnd());
    const resized = new ResizeObserver(() => this.stick());
    for (const node of [this.#scroller, ...this.#scroller.children]) resized.observe(node);
  }

  focus() {
    this.#scroller.focus();
  }

  toEnd() {
    this.#atEnd = true;
    this.#seeEverything();
    this.stick();
  }

  /** Changes what is above the reader's eyes, which stay where they are. */
  keep(change) {
    const belowTop = this.#scroller.scrollHeight - this.#scroller.scrollTop;
    change();
    if (this.#atEnd) return this.stick();
    this.#scroller.scrollTop = this.#scroller.scrollHeight - belowTop;
    this.#top = this.#scroller.scrollTop;
  }

  // Once for all that one turn of the event loop adds: each reading of the height is a layout.
  stick() {
    if (!this.#atEnd || this.#sticking) return;
    this.#sticking = true;
    queueMicrotask(() => {
      this.#sticking = false;
      this.#scroller.scrollTop = this.#scroller.scrollHeight;
      this.#top = this.#scroller.scrollTop;
    });
  }

  /** Something new stands at the end. */
  countUnseen() {
    if (this.#atEnd) return;
    this.#unseen += 1;
    const messages = this.#unseen === 1 ? 'message' : 'messages';
    this.#pill.textContent = `${this.#unseen} new ${messages}`;
    this.#pill.hidden = false;
  }

  // Only a move upwards leaves the end: the event of our own scrolling comes a frame late, when
  // more may have been said.
  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    const near = scrollHeight - scrollTop - clientHeight < NEAR_THE_END;
    const upwards = scrollTop < this.#top;
    if (near || upwards) this.#atEnd = near;
    this.#top = scrollTop;
    if (near) this.#seeEverything();
    if (upwards && scrollTop < NEAR_THE_TOP) this.#onTop();
  }

  #seeEverything() {
    this.#unseen = 0;
    this.#pill.hidden = true;
  }
}
