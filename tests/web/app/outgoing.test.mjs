import { EVERYONE, Outgoing } from '../../../webroot/js/app/outgoing.js';
import { equal, test } from '../support/harness.mjs';

const message = (text) => ({ from: 'ann', target: EVERYONE, text, ts: 0 });

test('an own publication is recognised by its id, which is our cid, once', () => {
  const outgoing = new Outgoing({ prefix: 'p' });
  const line = outgoing.add(message('hello'));
  const publication = { id: line.cid, from: 'ann', target: EVERYONE, msg: 'hello' };
  equal(outgoing.recognise(publication) === line, true);
  outgoing.remove(line);
  equal(outgoing.recognise(publication), 'known');
});

test('without id the oldest equal line is meant', () => {
  const outgoing = new Outgoing();
  const [first, second] = [outgoing.add(message('yes')), outgoing.add(message('yes'))];
  const publication = { from: 'ann', target: EVERYONE, msg: 'yes' };
  equal(outgoing.recognise(publication) === first, true);
  outgoing.remove(first);
  equal(outgoing.recognise(publication) === second, true);
  equal(outgoing.recognise({ ...publication, msg: 'no' }), null);
});

test('what another page of ours said is new', () => {
  const outgoing = new Outgoing();
  outgoing.add(message('hello'));
  const other = { id: 'other-1', from: 'ann', target: EVERYONE, msg: 'hello' };
  equal(outgoing.recognise(other), null);
});

test('when full it refuses', () => {
  const outgoing = new Outgoing({ limit: 1 });
  outgoing.add(message('one'));
  equal(outgoing.add(message('two')), null);
});

test('cids differ between pages', () => {
  equal(new Outgoing().add(message('a')).cid === new Outgoing().add(message('a')).cid, false);
});
