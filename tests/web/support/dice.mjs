/** Chance that a seed repeats (mulberry32). */
export class Dice {
  #state;

  constructor(seed) {
    this.#state = seed;
  }

  /** 0 <= x < 1 */
  roll() {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  chance(probability) {
    return this.roll() < probability;
  }

  below(count) {
    return Math.floor(this.roll() * count);
  }

  pick(items) {
    return items[this.below(items.length)];
  }
}
