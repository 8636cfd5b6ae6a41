/**
 * What a person or a room may be called: 1-20 characters, letters in any script with their marks,
 * digits and `_`. The server decides by the same rule; this one only answers sooner.
 */

export const LONGEST_NAME = 20;

const FIRST = /^[\p{L}\p{N}_]/u;
const ALLOWED = /^[\p{L}\p{M}\p{N}_]*$/u;

/**
 * One way to write each name: composed characters, no space around it.
 *
 * @param {string} text
 */
export function tidyName(text) {
  return text.normalize('NFC').trim();
}

/**
 * @param {string} name a tidy one
 * @returns {'empty' | 'long' | 'characters' | null} what is wrong with it
 */
export function nameProblem(name) {
  if (name === '') return 'empty';
  if (!ALLOWED.test(name) || !FIRST.test(name)) return 'characters';
  return [...name].length > LONGEST_NAME ? 'long' : null;
}
