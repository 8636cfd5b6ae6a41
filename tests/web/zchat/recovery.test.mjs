import { HISTORY_LOST, Recovery } from '../../../webroot/js/zchat/index.js';
import { equal, test } from '../support/harness.mjs';
import { Dice } from '../support/dice.mjs';

const said = (offset, epoch = 'e') => ({ route: 'onChat', epoch, offset, id: `${epoch}${offset}` });
const name = ({ route, body }) => (route === HISTORY_LOST ? 'hole' : body.id);
const names = (pushes) => pushes.map(name);

function entered(offset = 4, epoch = 'e', options = {}) {
  const recovery = new Recovery(options);
  recovery.entered({ position: { epoch, offset }, resume: 'token' });
  return recovery;
}

const take = (recovery, ...bodies) =>
  names(bodies.flatMap((body) => recovery.take(body.route, body)));

test('the first time it asks for nothing but its name; then from the last it has', () => {
  const times = [100, 200, 150];
  const recovery = new Recovery({ token: 't', now: () => times.shift() });
  equal(recovery.asking(), { resume: 't.100' });
  recovery.entered({ position: { epoch: 'e', offset: 4 } });
  equal(recovery.asking(), { since: { epoch: 'e', offset: 4 }, resume: 't.200' });
  recovery.take('onChat', said(9));
  recovery.entered({ position: { epoch: 'e', offset: 9 }, resume: 'u', recovered: true });
  // The clock was put back.
  equal(recovery.asking(), { since: { epoch: 'e', offset: 9 }, resume: 'u.201' });
});

test('two pages of one origin have tokens of their own', () => {
  equal(new Recovery().token === new Recovery().token, false);
});

test('a repeat is dropped, a skipped offset means nothing', () => {
  equal(take(entered(), said(4), said(5), said(5), said(9), said(8)), ['e5', 'e9']);
});

test('what has no offset is passed on', () => {
  const recovery = entered();
  equal(recovery.take('onAdd', { user: 'bo' }), [{ route: 'onAdd', body: { user: 'bo' } }]);
  equal(recovery.take('odd', null), [{ route: 'odd', body: null }]);
});

test('a server that knows no positions is listened to', () => {
  const recovery = new Recovery();
  equal(recovery.entered({ users: [] }), []);
  equal(take(recovery, { route: 'onChat', id: 'a' }, said(3), said(3)), ['a', 'e3']);
});

test('what was missed comes once, before what is live', () => {
  const recovery = entered();
  const position = { epoch: 'e', offset: 7 };
  const publications = [said(4), said(5), said(7)];
  const answer = { position, recovered: true, publications, next: 0 };
  equal(names(recovery.entered(answer)), ['e5', 'e7']);
  equal([recovery.next, take(recovery, said(7), said(8))], [null, ['e8']]);
});

test('a private message at the end moves the place on silently', () => {
  const recovery = entered();
  recovery.entered({ position: { epoch: 'e', offset: 7 }, recovered: true, publications: [] });
  equal(recovery.place, { epoch: 'e', offset: 7 });
});

test('live pushes wait behind the pages, those without offset too', () => {
  const recovery = entered();
  const answer = { position: { epoch: 'e', offset: 9 }, recovered: true, next: 6 };
  equal(names(recovery.entered({ ...answer, publications: [said(5)] })), ['e5']);
  equal(recovery.next, 6);
  equal(take(recovery, said(10), { route: 'onAdd', id: 'cy' }, said(11)), []);
  equal(names(recovery.page({ publications: [said(7)], next: 8 })), ['e7']);
  equal(recovery.asking().since.offset, 8); // a connection lost now goes on from here
  const last = recovery.page({ publications: [said(9), said(10)], next: 0 });
  equal(names(last), ['e9', 'e10', 'cy', 'e11']);
  equal(recovery.next, null);
});

test('a page whose beginning has gone tells of a hole, once', () => {
  const recovery = entered();
  recovery.entered({ position: { epoch: 'e', offset: 9 }, recovered: true, next: 6 });
  const gone = { publications: [said(8)], recovered: false, next: 8 };
  equal(names(recovery.page(gone)), ['hole', 'e8']);
  recovery.entered({ position: { epoch: 'e', offset: 30 }, recovered: false });
  equal(names(recovery.page({ publications: [said(25)], recovered: false, next: 25 })), ['e25']);
});

test('pages that do not go on come to an end', () => {
  const recovery = entered();
  recovery.entered({ position: { epoch: 'e', offset: 9 }, recovered: true, next: 6 });
  equal(names(recovery.page({ publications: [], next: 6 })), []);
  equal([recovery.next, recovery.place.offset], [null, 9]);
});

test('what waited on a connection that is lost is asked for again', () => {
  const recovery = entered();
  const position = { epoch: 'e', offset: 9 };
  recovery.entered({ position, recovered: true, publications: [said(5)], next: 5 });
  recovery.take('onChat', said(10));
  equal(recovery.asking().since.offset, 5);
  const publications = [said(8), said(10)];
  const again = { position: { epoch: 'e', offset: 10 }, recovered: true, publications, next: 0 };
  equal(names(recovery.entered(again)), ['e8', 'e10']);
});

test('when too much waits, nothing is told before the room is entered again', () => {
  const recovery = entered(4, 'e', { limit: 1 });
  const position = { epoch: 'e', offset: 6 };
  recovery.entered({ position, recovered: true, publications: [], next: 5 });
  take(recovery, said(7), said(8));
  equal([recovery.incomplete, recovery.overflows], [true, 1]);
  equal(names(recovery.page({ publications: [said(6)], next: 0 })), ['e6', 'e7']);
  equal(take(recovery, said(9)), []);
  equal(recovery.asking().since.offset, 7);
  const publications = [said(8), said(9)];
  const again = { position: { epoch: 'e', offset: 9 }, recovered: true, publications, next: 0 };
  equal([names(recovery.entered(again)), recovery.incomplete], [['e8', 'e9'], false]);
});

test('what cannot be recovered is a hole, and what is left of it follows', () => {
  const recovery = entered();
  const answer = { position: { epoch: 'e', offset: 90 }, recovered: false, publications: [] };
  equal(names(recovery.entered({ ...answer, next: 0 })), ['hole']);
  equal(recovery.next, 4);
  equal(names(recovery.page({ publications: [said(80), said(90)], next: 0 })), ['e80', 'e90']);
  equal(recovery.next, null);
});

test('a room with a new numbering is a hole, and read from its beginning', () => {
  const recovery = entered();
  const answer = { position: { epoch: 'f', offset: 2 }, recovered: false };
  equal([names(recovery.entered(answer)), recovery.next], [['hole'], 0]);
  const publications = [said(1, 'f'), said(2, 'f')];
  equal(names(recovery.page({ publications, next: 0 })), ['f1', 'f2']);
  equal(take(recovery, said(2, 'f'), said(3, 'f')), ['f3']);
});

test('a place past the end is a hole, with nothing to ask for', () => {
  const recovery = entered(9);
  const answer = { position: { epoch: 'e', offset: 5 }, recovered: false };
  equal(names(recovery.entered(answer)), ['hole']);
  equal([recovery.next, recovery.place.offset], [null, 5]);
});

test('a push of another epoch is a hole, once', () => {
  equal(take(entered(), said(5), said(1, 'f'), said(2, 'f')), ['e5', 'hole', 'f1', 'f2']);
});

test('a frontend says what it lost, which we may have read', () => {
  const lost = (after, before, epoch = 'e') => ({ route: HISTORY_LOST, epoch, after, before });
  equal(take(entered(), lost(2, 5), said(5)), ['e5']);
  equal(take(entered(), lost(4, 8), said(7), said(8)), ['hole', 'e8']);
  equal(take(entered(), lost(0, 1, 'f'), said(1, 'f')), ['hole', 'f1']);
});

test('the room changes its numbering between two pages', () => {
  const recovery = entered();
  recovery.entered({ position: { epoch: 'e', offset: 9 }, recovered: true, next: 6 });
  const page = { publications: [said(1, 'f'), said(2, 'f')], next: 2 };
  equal(names(recovery.page(page)), ['hole', 'f1', 'f2']);
  equal([recovery.next, recovery.place], [null, { epoch: 'f', offset: 2 }]);
});

test('pages that are refused are a hole', () => {
  const recovery = entered();
  equal(recovery.giveUp(), []);
  recovery.entered({ position: { epoch: 'e', offset: 9 }, recovered: true, next: 6 });
  recovery.take('onChat', said(10));
  equal([names(recovery.giveUp()), recovery.next], [['hole', 'e10'], null]);
});

/** A room as a server keeps it: some publications are for others, old ones are trimmed. */
class FakeRoom {
  epoch = 0;
  first = 1;
  tail = 0;
  ours = [];

  constructor(dice) {
    this.dice = dice;
  }

  publish() {
    this.tail += 1;
    if (this.dice.chance(0.3)) return null;
    const push = said(this.tail, `e${this.epoch}`);
    this.ours.push(push);
    return push;
  }

  trim() {
    this.first = Math.max(this.first, this.tail - 3);
  }

  renumber() {
    this.epoch += 1;
    this.first = 1;
    this.tail = 0;
  }

  after(offset, limit) {
    const from = Math.max(offset + 1, this.first);
    const end = Math.min(this.tail, from + limit - 1);
    const epoch = `e${this.epoch}`;
    const within = (push) => push.epoch === epoch && push.offset >= from && push.offset <= end;
    return { publications: this.ours.filter(within), next: end < this.tail ? end : 0 };
  }

  enter({ since }) {
    const position = { epoch: `e${this.epoch}`, offset: this.tail };
    if (!since) return { position };
    const known = since.epoch === position.epoch && since.offset <= this.tail;
    const recovered = known && since.offset + 1 >= this.first;
    const missed = recovered ? this.after(since.offset, 2) : { publications: [], next: 0 };
    return { position, recovered, ...missed };
  }
}

/** Plays one random history; returns what was for us since the start, and what was told. */
function play(seed) {
  const dice = new Dice(seed);
  const room = new FakeRoom(dice);
  for (let count = dice.below(4); count > 0; count -= 1) room.publish();
  const recovery = new Recovery({ limit: 3 });
  recovery.entered(room.enter(recovery.asking()));
  const begin = room.ours.length;
  const told = [];
  const hear = (pushes) => told.push(...names(pushes));
  let online = true;
  const enter = () => hear(recovery.entered(room.enter(recovery.asking())));
  const fetch = () => recovery.next !== null && hear(recovery.page(room.after(recovery.next, 2)));
  const pushed = (push) => online && push && hear(recovery.take(push.route, push));
  const acts = [
    () => pushed(room.publish()),
    () => pushed(room.publish()),
    () => pushed(room.ours.findLast(({ epoch }) => epoch === `e${room.epoch}`)),
    () => (online = false),
    () => !online && ((online = true), enter()),
    () => online && fetch(),
    () => recovery.next === null && dice.chance(0.1) && room.trim(),
    () => !online && dice.chance(0.1) && room.renumber(),
  ];
  for (let step = 0; step < 80; step += 1) {
    dice.pick(acts)();
    if (online && recovery.next === null && recovery.incomplete) enter();
  }
  online = true;
  do {
    enter();
    while (recovery.next !== null) fetch();
  } while (recovery.incomplete);
  return { ours: room.ours.slice(begin).map(({ id }) => id), told };
}

test('random histories: each message once and in order, or a hole is told where it misses', () => {
  let holes = 0;
  for (let seed = 1; seed <= 2000; seed += 1) {
    const { ours, told } = play(seed);
    const shown = told.filter((name) => name !== 'hole');
    equal(shown, ours.filter((name) => shown.includes(name)), `seed ${seed}: order`);
    let last = -1;
    let hole = false;
    for (const name of [...told, null]) {
      const at = name === null ? ours.length : ours.indexOf(name);
      if (name === 'hole') hole = true;
      else {
        if (at > last + 1 && !hole) throw new Error(`seed ${seed}: silent hole before ${name}`);
        [last, hole] = [at, false];
      }
    }
    holes += told.includes('hole') ? 1 : 0;
  }
  equal(holes > 100 && holes < 1900, true, `${holes} histories with a hole`);
});
