/** The tab's title: where we are, and how much was said while nobody looked. */
export class Attention {
  #place = 'zchat';
  #unread = 0;

  constructor() {
    document.addEventListener('visibilitychange', () => this.#looked());
    window.addEventListener('focus', () => this.#looked());
  }

  /** @param {string | null} room null: in none */
  show(room) {
    this.#place = room === null ? 'zchat' : `${room} · zchat`;
    this.#unread = 0;
    this.#write();
  }

  /** Somebody said something. */
  count() {
    if (document.visibilityState === 'visible' && document.hasFocus()) return;
    this.#unread += 1;
    this.#write();
  }

  #looked() {
    if (document.visibilityState !== 'visible') return;
    this.#unread = 0;
    this.#write();
  }

  #write() {
    document.title = this.#unread ? `(${this.#unread}) ${this.#place}` : this.#place;
  }
}
