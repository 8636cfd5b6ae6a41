import { endingOf } from '../../../webroot/js/zchat/ending.js';
import { equal, test } from '../support/harness.mjs';

test('codes of our own say whether to come back', () => {
  for (const [code, retry] of [[4000, true], [4499, true], [4500, false], [4999, false]]) {
    equal(endingOf({ code, reason: 'r' }, null), { reason: 'r', kicked: false, retry, code });
  }
});

test('a lost connection is made again, a fault of ours is not repeated', () => {
  for (const code of [1000, 1001, 1006, 1011, 1013]) equal(endingOf({ code }, null).retry, true);
  for (const code of [1002, 1008, 1009]) equal(endingOf({ code }, null).retry, false);
});

test('a kick decides where the code says nothing', () => {
  const ending = endingOf({ code: 1000, reason: '' }, 'enough');
  equal(ending, { reason: 'enough', kicked: true, retry: false, code: 1000 });
});
