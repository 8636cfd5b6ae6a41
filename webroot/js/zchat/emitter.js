/** Named events with any number of listeners. */
export class Emitter {
  #listeners = new Map();

  /**
   * @param {string} event
   * @param {(...details: any[]) => void} listener
   * @returns {() => void} takes the listener out again
   */
  on(event, listener) {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  /**
   * Calls every listener of `event`. One that throws is reported and does not stop the others.
   *
   * @param {string} event
   * @param {...any} details
   */
  emit(event, ...details) {
    for (const listener of this.#listeners.get(event) ?? []) {
      try {
        listener(...details);
      } catch (error) {
        (globalThis.reportError ?? console.error)(error);
      }
    }
  }
}
