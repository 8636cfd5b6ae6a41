/**
 * Time as an argument, so that tests own it.
 *
 * @typedef {object} Clock
 * @property {() => number} now milliseconds, rising, from an arbitrary start
 * @property {(ms: number, fn: () => void) => () => void} after calls `fn` once; returns its cancel
 */

/** @type {Clock} */
export const systemClock = {
  now: () => performance.now(),
  after(ms, fn) {
    const timer = setTimeout(fn, ms);
    return () => clearTimeout(timer);
  },
};
