import {
  delayReason,
  enteringProblem,
  isNameTaken,
  offlineReason,
  sendingProblem,
} from '../../../webroot/js/app/words.js';
import {
  ConnectionError,
  GateError,
  RequestError,
  TimeoutError,
} from '../../../webroot/js/zchat/index.js';
import { equal, test } from '../support/harness.mjs';

const wish = { me: 'ann', rid: 'pier' };
const taken = new RequestError({ code: 500, error: true });

test('a taken name is told from a server that failed', () => {
  equal(isNameTaken(taken), true);
  equal(isNameTaken(new RequestError({ code: 500, error: 'internal error' })), false);
  equal(isNameTaken(new RequestError({ code: 500 })), false);
  equal(isNameTaken(new ConnectionError('gone')), false);
});

test('every way of not entering has its own words', () => {
  const errors = [
    taken,
    new GateError('none'),
    new ConnectionError('gone'),
    new TimeoutError('late'),
    new RequestError({ code: 503 }),
    new RequestError({ code: 500 }),
  ];
  equal(new Set(errors.map((error) => enteringProblem(error, wish))).size, errors.length);
  equal(enteringProblem(taken, wish).includes('ann'), true);
});

test('a reader who left is named', () => {
  const absent = new RequestError({ code: 404, error: 'no such user' });
  equal(sendingProblem(absent, 'bo'), 'bo is not here any more.');
});

test('every way of waiting has its own words', () => {
  const [fast, busy] = [429, 503].map((code) => delayReason(new RequestError({ code })));
  equal(new Set([fast, busy, delayReason(new ConnectionError('gone'))]).size, 3);
  equal([new TimeoutError('late'), new RequestError({ code: 504 })].map(delayReason), [busy, busy]);
});

test('why one is offline is said', () => {
  equal(offlineReason({ reason: 'enough' }, wish), 'The server ended the connection: enough.');
  equal(offlineReason({ code: 4503, reason: 'resumed' }, wish).includes('another window'), true);
  equal(offlineReason({ error: taken }, wish), enteringProblem(taken, wish));
});
