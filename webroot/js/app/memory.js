import { nameProblem, tidyName } from './names.js';

const NAME = 'zchat.name';

/**
 * What the browser keeps: the own name, and the room in the address, so that a link leads there.
 * Storage may be forbidden; then nothing is remembered.
 */
export const memory = {
  get name() {
    try {
      return localStorage.getItem(NAME) ?? '';
    } catch {
      return '';
    }
  },

  set name(name) {
    try {
      localStorage.setItem(NAME, name);
    } catch {
      // private mode: the name is asked for again
    }
  },

  /** The room that the address names, or ''. */
  get room() {
    try {
      const room = tidyName(decodeURIComponent(location.hash.slice(1)));
      return nameProblem(room) ? '' : room;
    } catch {
      return ''; // a broken % escape
    }
  },

  set room(room) {
    if (room !== this.room) history.pushState(null, '', `#${encodeURIComponent(room)}`);
  },
};
