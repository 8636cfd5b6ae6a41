export const HUES = 12;

/**
 * A colour for a name, the same on every screen.
 *
 * @param {string} name
 * @returns {number} 0 … HUES - 1; css/timeline.css says what it looks like
 */
export function hueOf(name) {
  let hash = 2166136261; // FNV-1a
  for (const character of name) {
    hash = Math.imul(hash ^ character.codePointAt(0), 16777619);
  }
  return ((hash ^ (hash >>> 13)) >>> 0) % HUES;
}
