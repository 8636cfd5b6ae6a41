import { Backoff } from '../../../webroot/js/zchat/backoff.js';
import { equal, test } from '../support/harness.mjs';

test('the ceiling doubles up to the cap, and starts anew after a reset', () => {
  const backoff = new Backoff({ base: 1000, cap: 5000, random: () => 1 });
  const ceilings = Array.from({ length: 5 }, () => backoff.next());
  equal(ceilings, [1000, 2000, 4000, 5000, 5000]);
  backoff.reset();
  equal(backoff.next(), 1000);
});

test('the wait is anything from nothing to the ceiling', () => {
  equal(new Backoff({ random: () => 0 }).next(), 0);
  equal(new Backoff({ base: 800, random: () => 0.5 }).next(), 400);
});

test('thousands of attempts stay at the cap', () => {
  const backoff = new Backoff({ cap: 30_000, random: () => 1 });
  for (let n = 0; n < 5000; n += 1) backoff.next();
  equal(backoff.next(), 30_000);
});
