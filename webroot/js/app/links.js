/**
 * Finds the web addresses in a text. Only http and https become links, so no text can make a
 * `javascript:` one, and the text shown is always the text written.
 *
 * @typedef {{text: string, href?: string}} Part
 */

const ADDRESS = /\bhttps?:\/\/[^\s<>"'`]+/giu;
const TRAILING = /[.,;:!?…'"’”]$/u;
const BRACKETS = { ')': '(', ']': '[', '}': '{' };

/**
 * @param {string} text
 * @returns {Part[]} in order; together they are the whole text
 */
export function findLinks(text) {
  const parts = [];
  let end = 0;
  for (const { 0: match, index } of text.matchAll(ADDRESS)) {
    const address = withoutTrailing(match);
    if (!URL.canParse(address)) continue;
    if (index > end) parts.push({ text: text.slice(end, index) });
    parts.push({ text: address, href: address });
    end = index + address.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end) });
  return parts;
}

// "(see https://example.org/a_(b))." links up to and with the inner bracket.
function withoutTrailing(address) {
  let kept = address;
  while (TRAILING.test(kept) || hasLooseBracket(kept)) kept = kept.slice(0, -1);
  return kept;
}

function hasLooseBracket(text) {
  const close = text.at(-1);
  const open = BRACKETS[close];
  return open !== undefined && text.split(close).length > text.split(open).length;
}
