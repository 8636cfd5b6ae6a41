import { Position } from '../../../webroot/js/app/position.js';
import { equal, test } from '../support/harness.mjs';

test('repeats are dropped, skips are not losses', () => {
  const position = new Position();
  const offsets = [1, 2, 2, 1, 7, 3];
  const seen = offsets.map((offset) => position.advance({ epoch: 'a', offset }));
  equal(seen, [true, true, false, false, true, false]);
});

test('another epoch counts anew', () => {
  const position = new Position();
  position.advance({ epoch: 'a', offset: 9 });
  equal(position.advance({ epoch: 'b', offset: 1 }), true);
});

test('a publication without offset is always new', () => {
  const position = new Position();
  equal([position.advance({}), position.advance({})], [true, true]);
});
