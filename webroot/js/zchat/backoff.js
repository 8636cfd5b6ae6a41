/**
 * How long to wait before the next attempt: full jitter, a random time below a ceiling that
 * doubles. Thousands of clients that lost one server come back spread over the whole interval.
 */
export class Backoff {
  /**
   * @param {{base?: number, cap?: number, random?: () => number}} [options] `base`: the first
   *   ceiling, `cap`: the highest one, both in milliseconds
   */
  constructor({ base = 1000, cap = 30_000, random = Math.random } = {}) {
    this.base = base;
    this.cap = cap;
    this.random = random;
    this.attempts = 0;
  }

  /** @returns {number} milliseconds to wait now; counts the attempt */
  next() {
    const ceiling = Math.min(this.cap, this.base * 2 ** Math.min(this.attempts, 30));
    this.attempts += 1;
    return Math.round(this.random() * ceiling);
  }

  reset() {
    this.attempts = 0;
  }
}
