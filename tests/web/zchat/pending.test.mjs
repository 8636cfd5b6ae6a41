import { ConnectionError, RequestError, TimeoutError } from '../../../webroot/js/zchat/errors.js';
import { Pending } from '../../../webroot/js/zchat/pending.js';
import { FakeClock } from '../support/fakes.mjs';
import { equal, fails, test } from '../support/harness.mjs';

function start(limit) {
  const clock = new FakeClock();
  return { clock, pending: new Pending({ limit, clock }) };
}

test('answers find their requests in any order', async () => {
  const { pending, clock } = start();
  const ids = [];
  const [a, b] = [1, 2].map(() => pending.add(1000, (id) => ids.push(id)));
  pending.answer(ids[1], { n: 'b' });
  pending.answer(ids[0], { n: 'a' });
  equal([await a, await b], [{ n: 'a' }, { n: 'b' }]);
  equal([ids, pending.size, clock.waiting], [[1, 2], 0, 0]);
});

test('a code other than 200 is an error with the whole answer', async () => {
  const { pending } = start();
  const answer = pending.add(1000, () => {});
  pending.answer(1, { code: 503, error: 'busy', retry: true });
  const error = await fails(() => answer, RequestError);
  equal([error.code, error.message, error.retry], [503, 'busy', true]);
});

test('time runs out, and a late answer is ignored', async () => {
  const { pending, clock } = start();
  const answer = pending.add(1000, () => {});
  clock.advance(1000);
  await fails(() => answer, TimeoutError);
  pending.answer(1, {});
});

test('when full, a request fails unsent', async () => {
  const { pending } = start(1);
  pending.add(1000, () => {});
  let sent = false;
  const error = await fails(() => pending.add(1000, () => (sent = true)), ConnectionError);
  equal([error.sent, sent], [false, false]);
});

test('a broken connection fails all, as sent', async () => {
  const { pending, clock } = start();
  const answer = pending.add(1000, () => {});
  pending.abandon('gone', false);
  const error = await fails(() => answer, ConnectionError);
  equal([error.sent, error.retry, clock.waiting], [true, false, 0]);
});
