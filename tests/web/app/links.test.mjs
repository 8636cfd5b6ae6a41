import { findLinks } from '../../../webroot/js/app/links.js';
import { equal, test } from '../support/harness.mjs';

const links = (text) => findLinks(text).filter(({ href }) => href).map(({ href }) => href);

test('addresses become links and the text stays whole', () => {
  const text = 'see https://example.org/a?b=c#d and http://x.example:8080 now';
  equal(links(text), ['https://example.org/a?b=c#d', 'http://x.example:8080']);
  equal(findLinks(text).map((part) => part.text).join(''), text);
});

test('the sentence around an address is not part of it', () => {
  equal(links('(https://example.org/a_(b)).'), ['https://example.org/a_(b)']);
  equal(links('“https://example.org/x”, https://example.org/y!'), [
    'https://example.org/x',
    'https://example.org/y',
  ]);
});

test('nothing but http and https becomes a link', () => {
  const others = ['javascript:alert(1)', 'data:text/html,x', 'xhttp://a', 'https://', 'ftp://a'];
  for (const text of others) equal(links(text), [], text);
});

test('a text without addresses is one part, an empty one none', () => {
  equal(findLinks('<script>alert(1)</script>'), [{ text: '<script>alert(1)</script>' }]);
  equal(findLinks(''), []);
});
