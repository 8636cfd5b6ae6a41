/**
 * What stands in a room, in the order that everybody sees: by epoch, as they were met, and by
 * offset. A line may come late (an own private one is known by its answer, older ones by paging
 * back) and still gets its place; one that is here already is not taken twice.
 *
 * When full, a line at the end takes the place of the oldest, and one before the oldest is refused.
 */
export class Transcript {
  #limit;
  #lines = [];
  #epochs = new Map();

  /** @param {{limit?: number}} [options] */
  constructor({ limit = 2000 } = {}) {
    this.#limit = limit;
  }

  /** @returns {import('./outgoing.js').Line[]} */
  get lines() {
    return [...this.#lines];
  }

  /** @param {number} count @returns {boolean} so many more have room */
  hasRoom(count) {
    return this.#lines.length + count <= this.#limit;
  }

  /** @returns {import('./outgoing.js').Line | null} the line that has this place */
  at(epoch, offset) {
    const place = { epoch, offset };
    const index = this.#indexBehind(place) - 1;
    const line = this.#lines[index];
    return line && this.#compare(line, place) === 0 ? line : null;
  }

  /**
   * @param {import('./outgoing.js').Line} line without an offset it goes to the end
   * @returns {{before: object | null, gone: object | null} | null} the line that follows it, and
   *   the one that lost its place; null: it is here already, or there is no room for it
   */
  add(line) {
    const index = this.#indexBehind(line);
    const last = this.#lines[index - 1];
    if (last && this.#compare(last, line) === 0) return null;
    const full = !this.hasRoom(1);
    if (full && index === 0) return null;
    this.#lines.splice(index, 0, line);
    return { before: this.#lines[index + 1] ?? null, gone: full ? this.#lines.shift() : null };
  }

  // Nearly always the end.
  #indexBehind(place) {
    let index = this.#lines.length;
    while (index > 0 && this.#compare(this.#lines[index - 1], place) > 0) index -= 1;
    return index;
  }

  // NaN, which is neither before nor behind nor the same, where one has no offset.
  #compare(one, other) {
    return this.#rank(one.epoch) - this.#rank(other.epoch) || one.offset - other.offset;
  }

  #rank(epoch) {
    if (!this.#epochs.has(epoch)) this.#epochs.set(epoch, this.#epochs.size);
    return this.#epochs.get(epoch);
  }
}
