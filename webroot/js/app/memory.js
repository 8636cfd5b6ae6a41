import { nameProblem, tidyName } from './names.js';

const NAME = 'zchat.name';
const PLACE = 'zchat.place';

/**
 * What the browser keeps: the own name; the room in the address, so that a link leads there; and
 * for this tab where it is, so that a reload goes on there. Storage may be forbidden; then nothing
 * is remembered.
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

  /** @returns {{me: string, rid: string, token: string} | null} where this tab was when it ended */
  get place() {
    try {
      return JSON.parse(sessionStorage.getItem(PLACE));
    } catch {
      return null;
    }
  },

  set place(place) {
    try {
      if (!place) return sessionStorage.removeItem(PLACE);
      const { me, rid, token } = place;
      sessionStorage.setItem(PLACE, JSON.stringify({ me, rid, token }));
    } catch {
      // as above
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
