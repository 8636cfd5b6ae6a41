import { randomId } from '../../../webroot/js/zchat/index.js';
import { equal, test } from '../support/harness.mjs';

test('an id is short and nobody else has it', () => {
  const ids = Array.from({ length: 100 }, randomId);
  equal([new Set(ids).size, ids.every((id) => /^[0-9a-f]{16}$/.test(id))], [100, true]);
});
