import {
  Backoff,
  ConnectionError,
  RequestError,
  TimeoutError,
  Unsent,
  isUndecided,
} from '../../../webroot/js/zchat/index.js';
import { Dice } from '../support/dice.mjs';
import { equal, test } from '../support/harness.mjs';

const BUSY = new RequestError({ code: 503, error: 'busy', retry: true });
const REFUSED = new RequestError({ code: 404, error: 'nobody' });

const backoff = () => new Backoff({ base: 500, cap: 4000, random: () => 1 });
const item = (cid) => ({ cid });

function filled(...cids) {
  const unsent = new Unsent({ backoff: backoff() });
  for (const cid of cids) unsent.add(item(cid));
  return unsent;
}

test('what is undecided is sent again, what is refused is not', () => {
  const lost = [true, false].map((sent) => new ConnectionError('lost', { sent }));
  const passing = [429, 503, 504].map((code) => new RequestError({ code }));
  const asked = new RequestError({ code: 500, retry: true });
  for (const error of [...lost, new TimeoutError('late'), ...passing, asked]) {
    equal(isUndecided(error), true, String(error));
  }
  for (const code of [400, 404, 500, 507]) equal(isUndecided(new RequestError({ code })), false);
});

test('one is on the wire at a time, in order', () => {
  const unsent = filled('a', 'b');
  const first = unsent.next(0);
  equal([first.cid, unsent.next(0), unsent.wait(0)], ['a', null, null]);
  unsent.remove(first);
  equal(unsent.next(0).cid, 'b');
});

test('an undecided one goes again before the ones behind it, after a while', () => {
  const unsent = filled('a', 'b');
  equal(unsent.failed(unsent.next(0), BUSY, 100), 'again');
  equal([unsent.next(599), unsent.wait(400)], [null, 200]);
  equal(unsent.next(600).cid, 'a');
  unsent.failed(unsent.onWire, BUSY, 1000);
  equal(unsent.wait(1000), 1000);
  unsent.hurry();
  equal(unsent.next(1000).cid, 'a');
});

test('what is behind a refused one goes on at once', () => {
  const unsent = filled('a', 'b');
  unsent.failed(unsent.next(0), BUSY, 0);
  equal(unsent.failed(unsent.next(500), REFUSED, 500), 'refused');
  equal([unsent.next(500).cid, unsent.size], ['b', 1]);
});

test('one that turns out to stand already leaves the wire', () => {
  const unsent = filled('a', 'b');
  unsent.remove(unsent.next(0));
  equal(unsent.next(0).cid, 'b');
});

test('giving one up leaves the wire to the one that is on it', () => {
  const unsent = filled('a', 'b', 'c');
  const [refused, next] = [unsent.next(0), unsent.failed(unsent.onWire, REFUSED, 0)];
  equal([next, unsent.next(0).cid], ['refused', 'b']);
  unsent.remove(refused);
  equal([unsent.onWire.cid, unsent.next(0)], ['b', null]);
});

test('when full it refuses', () => {
  const unsent = new Unsent({ limit: 1 });
  equal([unsent.add(item('a')), unsent.add(item('b')), unsent.size], [true, false, 1]);
});

/** A server that takes, loses, refuses or forgets to answer; `taken` is what it journalled. */
function send(dice, taken, { cid }) {
  const does = dice.pick(['take', 'take', 'take and lose', 'lose', 'busy', 'refuse', 'late']);
  if (does.startsWith('take') || (does === 'late' && dice.chance(0.5))) {
    if (!taken.includes(cid)) taken.push(cid);
  }
  if (does === 'refuse' && !taken.includes(cid)) return REFUSED;
  if (does === 'busy') return BUSY;
  if (does === 'late') return new TimeoutError('late');
  return does.endsWith('lose') ? new ConnectionError('lost', { sent: true }) : null;
}

test('random failures: each is taken once and in order, or refused', () => {
  for (let seed = 1; seed <= 500; seed += 1) {
    const dice = new Dice(seed);
    const unsent = filled();
    const [written, taken, refused] = [[], [], []];
    let now = 0;
    for (let step = 0; step < 400; step += 1) {
      if (step < 100 && dice.chance(0.2)) {
        written.push(String(step));
        unsent.add(item(String(step)));
      }
      now += unsent.wait(now) ?? 0;
      const next = unsent.next(now);
      if (!next) continue;
      const error = send(dice, taken, next);
      if (!error) unsent.remove(next);
      else if (unsent.failed(next, error, now) === 'refused') refused.push(next.cid);
      if (error instanceof ConnectionError) unsent.hurry();
    }
    equal(unsent.size, 0, `seed ${seed}`);
    equal(taken, written.filter((cid) => !refused.includes(cid)), `seed ${seed}`);
  }
});
