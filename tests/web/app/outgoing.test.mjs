import { EVERYONE, Outgoing } from '../../../webroot/js/app/outgoing.js';
import { ConnectionError, RequestError, TimeoutError } from '../../../webroot/js/zchat/index.js';
import { FakeClock } from '../support/fakes.mjs';
import { equal, settled, test } from '../support/harness.mjs';

const message = (text) => ({ from: 'ann', target: EVERYONE, text, ts: 0 });

/** `answers`: what the next sends are answered with; an Error is how they fail. */
function writer(answers = [], options = {}) {
  const sent = [];
  const taken = [];
  const clock = new FakeClock();
  const send = async ({ cid }) => {
    sent.push(cid);
    const answer = await (answers.shift() ?? { epoch: 'e', offset: sent.length });
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const onTaken = (line, { offset }) => {
    taken.push([line.text, offset]);
    outgoing.remove(line);
  };
  const outgoing = new Outgoing(send, { onTaken, onChanged: () => {} }, { clock, ...options });
  const say = (text) => {
    const line = outgoing.add(message(text));
    outgoing.pump();
    return line;
  };
  return { outgoing, say, sent, taken, clock };
}

test('nothing is sent before it is opened; then in order', async () => {
  const { outgoing, say, sent, taken } = writer();
  equal(['one', 'two'].map((text) => say(text).status), ['waiting', 'waiting']);
  await settled();
  equal(sent, []);
  outgoing.open();
  await settled();
  equal([taken, outgoing.lines], [[['one', 1], ['two', 2]], []]);
});

test('what may be done already is sent again under its own id, before the next', async () => {
  const failures = [
    new ConnectionError('lost', { sent: true }),
    new TimeoutError('late'),
    new RequestError({ code: 503, retry: true }),
    new RequestError({ code: 429 }),
  ];
  const { outgoing, say, sent, taken, clock } = writer([...failures]);
  outgoing.open();
  const [one, two] = [say('one'), say('two')];
  const problems = new Set();
  for (let attempt = 1; attempt <= failures.length; attempt += 1) {
    await settled();
    equal([one.status, two.status, sent.length], ['waiting', 'sending', attempt]);
    problems.add(one.problem);
    clock.advance(10_000);
  }
  await settled();
  equal(sent, [...Array(5).fill(one.cid), two.cid]);
  equal([taken.map(([text]) => text), problems.size], [['one', 'two'], 3]);
});

test('a new connection does not wait for what the old one was told', async () => {
  const { outgoing, say, taken } = writer([new RequestError({ code: 503 })]);
  outgoing.open();
  say('one');
  await settled();
  outgoing.close();
  outgoing.open();
  await settled();
  equal(taken, [['one', 2]]);
});

test('a refused one waits for its writer, the ones behind it go on', async () => {
  const { outgoing, say, taken } = writer([new RequestError({ code: 507 })]);
  outgoing.open();
  const one = say('one');
  say('two');
  await settled();
  equal([one.status, typeof one.problem, taken], ['failed', 'string', [['two', 2]]]);
  outgoing.again(one);
  outgoing.again(one);
  await settled();
  equal([one.status, taken.length, outgoing.lines], [undefined, 2, []]);
});

test('a refused one can be given up', async () => {
  const { outgoing, say, sent } = writer([new RequestError({ code: 404 })]);
  outgoing.open();
  const line = say('one');
  await settled();
  outgoing.remove(line);
  outgoing.again(line);
  await settled();
  equal([outgoing.lines, sent.length], [[], 1]);
});

test('one that comes back as a publication needs no answer', async () => {
  let answer;
  const late = new Promise((resolve) => (answer = resolve));
  const { outgoing, say, sent, taken } = writer([late]);
  outgoing.open();
  const line = say('one');
  say('two');
  await settled();
  equal([outgoing.find(line.cid) === line, outgoing.find(undefined)], [true, null]);
  outgoing.remove(line);
  await settled();
  answer({ epoch: 'e', offset: 1 });
  await settled();
  equal([sent.length, taken], [2, [['two', 2]]]);
});

test('closed, it keeps what it has; rest waits for what is on the wire', async () => {
  let answer;
  const late = new Promise((resolve) => (answer = resolve));
  const { outgoing, say, sent, taken } = writer([late]);
  outgoing.open();
  const [one, two] = [say('one'), say('two')];
  let rested = false;
  outgoing.rest().then(() => (rested = true));
  await settled();
  equal([rested, one.status, two.status], [false, 'waiting', 'waiting']);
  answer({ epoch: 'e', offset: 1 });
  await settled();
  equal([rested, sent.length, taken], [true, 1, [['one', 1]]]);
  outgoing.open();
  await settled();
  equal(taken.length, 2);
});

test('when full it refuses', () => {
  const { outgoing } = writer([], { limit: 1 });
  outgoing.add(message('one'));
  equal(outgoing.add(message('two')), null);
});
