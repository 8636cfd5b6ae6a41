/** Times as people write them, in the reader's own language and zone. */

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });
const day = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });

/** @param {number} ts milliseconds since 1970 */
export const timeOfDay = (ts) => clock.format(ts);

/** @param {number} ts */
export const fullTime = (ts) => whole.format(ts);

/** @param {number} ts */
export const dayName = (ts) => day.format(ts);

/** @param {number} a @param {number} b @returns {boolean} on one day of the reader's calendar */
export const sameDay = (a, b) => new Date(a).toDateString() === new Date(b).toDateString();
