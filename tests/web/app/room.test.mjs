import { Room } from '../../../webroot/js/app/room.js';
import { Backoff, Client, ConnectionError, RequestError } from '../../../webroot/js/zchat/index.js';
import { Dice } from '../support/dice.mjs';
import { FakeRooms } from '../support/fake_room.mjs';
import { FakeClock } from '../support/fakes.mjs';
import { equal, fails, settled, test } from '../support/harness.mjs';

const TAKEN = { code: 500, error: true };
const EVENTS = 'people joined left line earlier hole settled retimed moved'.split(' ');

/** Ann in the room pier, over a client; `before`: texts or messages from before she came. */
async function enter({ before = [], more = {} } = {}) {
  const server = new FakeRooms();
  server.rid = 'pier';
  for (const said of before) server.journal(said.msg ? said : { msg: said });
  Object.assign(server.answers, more);
  const clock = new FakeClock();
  const client = new Client({
    connector: { host: 'h', port: 1 },
    clock,
    WebSocket: server.WebSocket,
    backoff: new Backoff({ random: () => 1 }),
    onConnect: () => room.enter(),
  });
  const room = new Room(client, { me: 'ann', rid: 'pier', token: 't' }, { clock });
  await client.connect();
  await settled();
  const log = [];
  for (const event of EVENTS) {
    room.on(event, (detail, next) => log.push([event, detail?.text ?? detail, next?.text ?? next]));
  }
  const own = [];
  room.on('sending', (line) => own.push(line));
  const shown = () => room.lines.map(({ text }) => text);
  const drop = () => server.last.onclose({ code: 1006 });
  const comeBack = async () => {
    clock.advance(1000);
    await settled();
  };
  return { server, clock, client, room, log, own, shown, drop, comeBack };
}

test('what was said before is shown first', async () => {
  const { server, client, room, shown } = await enter({ before: ['one', 'two'] });
  equal(server.asked('history'), [{ before: 3, limit: 50 }]);
  server.tell('three');
  equal([shown(), room.hasEarlier], [['one', 'two', 'three'], false]);
  client.close();
});

test('what another program says may name neither its sender nor for whom it is', async () => {
  const { server, client, room } = await enter({ before: [{ msg: 'before', from: null }] });
  server.push('onChat', { msg: 'now', epoch: 'e2', offset: 1, ts: 5 });
  server.push('onChat', { epoch: 'e2', offset: 2, ts: 6 });
  equal(room.lines.map(({ from, target, text }) => [from, target, text]).slice(1), [
    ['', '*', 'now'],
    ['', '*', ''],
  ]);
  equal(room.lines[0].from, '');
  client.close();
});

test('older messages are shown on demand, above all others', async () => {
  const before = Array.from({ length: 60 }, (_, at) => `m${at + 1}`);
  const { server, client, room, log, shown } = await enter({ before });
  equal([shown()[0], room.hasEarlier], ['m11', true]);
  room.showEarlier();
  await room.showEarlier(); // asked already
  await settled();
  equal([shown().length, shown()[0], room.hasEarlier], [60, 'm1', false]);
  equal([log.map(([event]) => event), server.asked('history').length], [['earlier'], 2]);
  client.close();
});

test('a page of what others say in private is passed over', async () => {
  const secrets = Array.from({ length: 120 }, () => ({ msg: 'secret', hidden: true }));
  const { server, client, room, shown } = await enter({ before: ['one', ...secrets] });
  equal([shown(), room.hasEarlier, server.asked('history').length], [['one'], false, 3]);
  client.close();
});

test('earlier messages that cannot be had are no harm', async () => {
  const more = { history: () => ({ code: 503 }) };
  const { client, room, log, server } = await enter({ before: ['one'], more });
  await room.showEarlier();
  const [event, lines, error] = log[0];
  equal([event, lines, error.code, room.hasEarlier], ['earlier', [], 503, true]);
  delete server.answers.history;
  await room.showEarlier();
  equal(room.lines.length, 1);
  client.close();
});

test('a message to all stands by its answer, and is shown once', async () => {
  const { server, client, room, log, own, shown } = await enter();
  room.say('hello');
  await settled();
  const { cid, ...sent } = server.asked('send')[0];
  equal(sent, { content: 'hello', from: 'ann', target: '*', rid: 'pier' });
  equal(log, [['settled', 'hello', null]]);
  const [publication] = server.rooms.get('pier').said;
  equal(publication.id, cid);
  server.push('onChat', { ...publication, ts: 5 });
  equal([log[1], own[0].ts, shown()], [['retimed', 'hello', undefined], 5, ['hello']]);
  client.close();
});

test('a publication that is faster than the answer is one', async () => {
  const { server, client, room, own, shown } = await enter();
  server.answers.send = ({ content, from, cid }) => {
    server.tell(content, { from, id: cid });
  };
  room.say('hello');
  await settled();
  equal([shown(), own[0].status, own[0].ts], [['hello'], undefined, 1000]);
  client.close();
});

test('a private message of ours stands between those before and behind it', async () => {
  const { server, client, room, log, shown } = await enter();
  const late = [];
  server.answers.send = ({ content, from, target, cid }) => {
    late.push(server.journal({ msg: 'before' }));
    const { epoch, offset } = server.journal({ msg: content, from, target, id: cid });
    late.push(server.journal({ msg: 'behind' }));
    return { epoch, offset };
  };
  room.say('psst', 'bo');
  await settled();
  equal(shown(), ['psst']);
  for (const publication of late) server.push('onChat', publication);
  equal(shown(), ['before', 'psst', 'behind']);
  equal(log.slice(1), [['line', 'before', 'psst'], ['line', 'behind', null]]);
  client.close();
});

test('a short absence is filled without a word, our private messages are not doubled', async () => {
  const { server, client, room, log, shown, drop, comeBack } = await enter();
  server.tell('one');
  for (const text of ['psst 1', 'psst 2']) room.say(text, 'bo');
  await settled();
  drop();
  for (const msg of ['two', 'three', 'four', 'five']) server.journal({ msg });
  await comeBack();
  equal(shown(), ['one', 'psst 1', 'psst 2', 'two', 'three', 'four', 'five']);
  equal(server.asked('enter')[1].since, { epoch: 'epoch of pier', offset: 1 });
  equal(server.asked('enter')[1].resume.startsWith('token.'), true);
  equal(log.some(([event]) => event === 'hole'), false);
  client.close();
});

test('what cannot be recovered is said', async () => {
  const { server, client, log, drop, comeBack } = await enter();
  server.tell('one');
  drop();
  server.renumber('another');
  server.journal({ msg: 'two' });
  await comeBack();
  equal(log.filter(([event]) => event !== 'people').map(([event, text]) => [event, text]), [
    ['line', 'one'],
    ['hole', undefined],
    ['line', 'two'],
  ]);
  client.close();
});

test('a hole that a frontend tells of is said', async () => {
  const { server, client, log } = await enter();
  server.push('onHistoryLost', { epoch: 'epoch of pier', after: 0, before: 4 });
  equal(log.map(([event]) => event), ['hole']);
  client.close();
});

test('what was on its way when the connection broke is sent again, and is one', async () => {
  const { server, client, room, own, shown, drop, comeBack } = await enter();
  server.answers.send = (body) => (server.send(body), null); // taken, but nobody is told
  room.say('on its way');
  room.say('later', 'bo');
  await settled();
  drop();
  room.say('meanwhile');
  equal(own.map(({ status }) => status), ['waiting', 'waiting', 'waiting']);
  delete server.answers.send;
  await comeBack();
  equal(own.map(({ status }) => status), [undefined, undefined, undefined]);
  equal(shown(), ['on its way', 'later', 'meanwhile']);
  equal(server.rooms.get('pier').said.length, 3);
  client.close();
});

test('a refused message shows its problem, the next one goes on', async () => {
  const { server, client, room, own, shown } = await enter();
  server.answers.send = ({ target }) => (target === 'cy' ? { code: 404 } : undefined);
  room.say('psst', 'cy');
  room.say('hello');
  await settled();
  equal([own[0].status, own[0].problem], ['failed', 'cy is not here any more.']);
  equal(shown(), ['hello']);
  delete server.answers.send;
  room.sayAgain(own[0]);
  await settled();
  equal(shown(), ['hello', 'psst']);
  client.close();
});

test('a page that is late lets the client come back, one that is refused is a hole', async () => {
  const { server, client, log, shown, drop, comeBack } = await enter();
  server.tell('one');
  drop();
  for (const msg of ['two', 'three', 'four', 'five']) server.journal({ msg });
  server.answers.history = () => ({ code: 503 });
  await comeBack();
  equal([client.state.name, shown()], ['reconnecting', ['one', 'two', 'three', 'four']]);
  server.answers.history = () => ({ code: 400 });
  server.journal({ msg: 'six' });
  server.journal({ msg: 'seven' });
  server.journal({ msg: 'eight' });
  await comeBack();
  await comeBack();
  equal([client.state.name, log.filter(([event]) => event === 'hole').length], ['online', 1]);
  client.close();
});

test('people come and go, each once', async () => {
  const { server, client, room, log } = await enter();
  for (const route of ['onAdd', 'onAdd', 'onLeave', 'onLeave']) server.push(route, { user: 'cy' });
  equal(log.map(([event, name]) => [event, name]), [['joined', 'cy'], ['left', 'cy']]);
  equal(room.people, ['bo', 'ann']);
  client.close();
});

test('people of a moment come and go in one push, which is asked for', async () => {
  const { server, client, room, log } = await enter();
  server.push('onPresence', { joined: ['cy', 'bo', 'di'], left: [] });
  server.push('onPresence', { joined: ['ed'], left: ['cy', 'nobody'] });
  const told = log.map(([event, name]) => [event, name]);
  equal(told, [['joined', 'cy'], ['joined', 'di'], ['joined', 'ed'], ['left', 'cy']]);
  equal(room.people, ['bo', 'ann', 'di', 'ed']);
  await room.moveTo('quay');
  equal([server.asked('enter')[0], server.asked('switchRoom')[0]].map((body) => body.presence), [
    'diff',
    'diff',
  ]);
  client.close();
});

test('another room gives back what was not sent; the first one is remembered', async () => {
  const { server, client, room, log, own, shown } = await enter();
  server.tell('at the pier');
  server.answers.send = () => ({ code: 503 });
  room.say('unsent');
  await settled();
  delete server.answers.send;
  await room.moveTo('quay');
  await settled();
  equal([room.rid, shown(), server.asked('switchRoom')[0].since], ['quay', [], undefined]);
  const [moved] = log.filter(([event]) => event === 'moved');
  equal(moved[1][0] === own[0], true);
  room.say('at the quay');
  await settled();
  server.rid = 'pier';
  server.journal({ msg: 'meanwhile' });
  await Promise.all([room.moveTo('pier'), room.moveTo('quay'), room.moveTo('pier')]);
  await settled();
  equal([room.rid, shown()], ['pier', ['at the pier', 'meanwhile']]);
  equal(server.asked('switchRoom')[1].since, { epoch: 'epoch of pier', offset: 1 });
  client.close();
});

test('one move waits for the other', async () => {
  const { server, client, room, drop } = await enter();
  server.answers.switchRoom = ({ rid }) => (rid === 'quay' ? null : undefined);
  const first = fails(() => room.moveTo('quay'), ConnectionError);
  const second = fails(() => room.moveTo('dock'), ConnectionError);
  await settled();
  equal([server.asked('switchRoom').map(({ rid }) => rid), room.rid], [['quay'], 'pier']);
  drop();
  await Promise.all([first, second]);
  client.close();
});

test('without a connection one stays where one is', async () => {
  const { client, room, drop } = await enter();
  drop();
  await fails(() => room.moveTo('quay'), ConnectionError);
  equal(room.rid, 'pier');
  client.close();
});

test('the pages of the new room may fail, one is there', async () => {
  const { server, client, room, log } = await enter();
  server.tell('one');
  await room.moveTo('quay');
  server.rid = 'pier';
  for (const msg of ['2', '3', '4', '5', '6']) server.journal({ msg });
  server.answers.history = () => ({ code: 503 });
  await room.moveTo('pier');
  equal([room.rid, log.some(([event]) => event === 'hole')], ['pier', true]);
  server.tell('live');
  equal(room.lines.at(-1).text, 'live');
  client.close();
});

test('a taken name is refused at the door', async () => {
  const { server, client, drop, comeBack } = await enter();
  server.answers.enter = () => TAKEN;
  drop();
  await comeBack();
  equal([client.state.name, client.state.error instanceof RequestError], ['offline', true]);
  client.close();
});

test('random losses and delays: everybody sees one order, each message once', async () => {
  for (let seed = 1; seed <= 6; seed += 1) {
    const dice = new Dice(seed);
    const { server, client, room, shown, drop, comeBack } = await enter();
    server.answers.send = (body) => {
      if (dice.chance(0.2)) return { code: 503, retry: true };
      if (dice.chance(0.2)) return server.send(body), { code: 504 };
      if (dice.chance(0.5)) return undefined;
      const { epoch, offset } = server.send(body);
      if (body.target === '*') server.push('onChat', server.rooms.get('pier').said[offset - 1]);
      return { epoch, offset };
    };
    let said = 0;
    for (let step = 0; step < 30; step += 1) {
      const does = dice.below(6);
      if (does < 2) room.say(`ann ${(said += 1)}`, dice.pick(['*', 'bo']));
      else if (does === 2 && client.online) server.tell(`bo ${(said += 1)}`);
      else if (does === 3) server.journal({ msg: `bo ${(said += 1)}` }), client.online && drop();
      else await comeBack();
    }
    delete server.answers.send;
    for (let round = 0; round < 40 && shown().length < said; round += 1) await comeBack();
    equal(shown(), server.rooms.get('pier').said.map(({ msg }) => msg), `seed ${seed}`);
    equal(shown().length, said, `seed ${seed}`);
    client.close();
  }
});
