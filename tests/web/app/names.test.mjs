import { nameProblem, tidyName } from '../../../webroot/js/app/names.js';
import { equal, test } from '../support/harness.mjs';

test('letters of any script with their marks, digits and _ make a name', () => {
  const scripts = ['Дмитрий', '水', 'สวัสดี', 'हिन्दी', 'Zoë', '𝒜bc'];
  const names = [...scripts, 'Ann', 'a_1', '_', 'x'.repeat(20)];
  for (const name of names) equal(nameProblem(tidyName(name)), null, name);
});

test('what is wrong with the others', () => {
  equal(nameProblem(''), 'empty');
  equal(nameProblem('x'.repeat(21)), 'long');
  for (const name of ['a b', 'a*b', 'a-b', '<b>', '🙂', 'a\u0000', '\u0301a', 'a\u200b', 'a\n']) {
    equal(nameProblem(name), 'characters', name);
  }
});

test('characters are counted, not UTF-16 halves', () => {
  equal(nameProblem('𝒜'.repeat(20)), null);
  equal(nameProblem('𝒜'.repeat(21)), 'long');
});

test('a name is written in one way', () => {
  equal(tidyName(' Zoe\u0308 '), 'Zoë');
});
