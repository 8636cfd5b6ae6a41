import { element } from './dom.js';
import { hueOf } from './hues.js';
import { findLinks } from './links.js';
import { EVERYONE } from './outgoing.js';
import { dayName, fullTime, timeOfDay } from './times.js';

/**
 * One message as a list item.
 *
 * @param {import('./outgoing.js').Line} line
 * @param {string} me
 * @returns {HTMLLIElement}
 */
export function messageItem(line, me) {
  const { from, target, own, cid } = line;
  const kind = target === EVERYONE ? 'all' : 'private';
  return element(
    'li',
    { class: 'line', 'data-testid': 'message', 'data-from': from, 'data-target': target,
      'data-kind': kind, 'data-own': own, 'data-hue': hueOf(from), 'data-cid': cid },
    element('bdi', { class: 'who', 'data-testid': 'message-from' }, from),
    element('div', { class: 'said' },
      ...(kind === 'private' ? [privacyNote(line, me)] : []),
      element('p', { class: 'text', dir: 'auto', 'data-testid': 'message-text' },
        ...textNodes(line.text)),
    ),
    timeNode(line.ts),
  );
}

/** Someone came or went: `names` grows while the same thing happens again. */
export function presenceItem(what, names) {
  const item = element('li', { class: 'notice', 'data-testid': 'notice', 'data-what': what });
  showPresence(item, what, names);
  return item;
}

/** @param {HTMLElement} item @param {'joined' | 'left'} what @param {string[]} names */
export function showPresence(item, what, names) {
  const shown = names.length > 4 ? names.slice(0, 3) : names;
  const rest = names.length - shown.length;
  const nodes = shown.flatMap((name, at) => [at ? ', ' : '', element('bdi', {}, name)]);
  item.replaceChildren(...nodes, rest ? ` and ${rest} more ${what}` : ` ${what}`);
}

/** @param {string} text @param {string} what for styles and tests */
export function noticeItem(text, what) {
  return element('li', { class: 'notice', 'data-testid': 'notice', 'data-what': what }, text);
}

/** @param {number} ts */
export function dayItem(ts) {
  return element('li', { class: 'day', 'data-testid': 'day' }, dayName(ts));
}

/** @param {number} ts milliseconds since 1970 */
export function timeNode(ts) {
  const datetime = new Date(ts).toISOString();
  return element('time', { class: 'when', datetime, title: fullTime(ts) }, timeOfDay(ts));
}

function privacyNote({ own, target }, me) {
  const reader = own && target !== me ? element('bdi', {}, target) : 'you';
  return element('span', { class: 'privacy', 'data-testid': 'message-privacy' },
    'only to ', reader);
}

function textNodes(text) {
  return findLinks(text).map(({ text: shown, href }) =>
    href
      ? element('a', { href, target: '_blank', rel: 'noopener noreferrer nofollow' }, shown)
      : shown,
  );
}
