/**
 * How far this page has read a room: the epoch and the highest offset seen. Offsets rise but may
 * skip (private messages of others), so a skip means nothing; a repeat is dropped.
 */
export class Position {
  epoch = undefined;
  offset = 0;

  /**
   * @param {{epoch?: string, offset?: number}} publication
   *   without an offset it always counts as new
   * @returns {boolean} it was not seen before; the position is now past it
   */
  advance({ epoch, offset }) {
    if (typeof offset !== 'number') return true;
    if (epoch === this.epoch && offset <= this.offset) return false;
    this.epoch = epoch;
    this.offset = offset;
    return true;
  }
}
