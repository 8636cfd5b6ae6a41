import { Room } from '../../../webroot/js/app/room.js';
import { Backoff, Client, RequestError } from '../../../webroot/js/zchat/index.js';
import { FakeClock, FakeServer } from '../support/fakes.mjs';
import { equal, fails, settled, test } from '../support/harness.mjs';

const SEND = 'chat.chatHandler.send';

async function enter(answer = () => ({})) {
  const server = new FakeServer((route, body) =>
    route === SEND ? answer(body) : { users: ['bo', 'ann'] },
  );
  const clock = new FakeClock();
  const client = new Client({
    connector: { host: 'h', port: 1 },
    clock,
    WebSocket: server.WebSocket,
    backoff: new Backoff({ random: () => 1 }),
    onConnect: () => room.enter(),
  });
  const room = new Room(client, { me: 'ann', rid: 'pier' });
  await client.connect();
  const log = [];
  for (const event of ['people', 'joined', 'left', 'line', 'settled', 'back', 'moved']) {
    room.on(event, (detail) => log.push([event, detail?.text ?? detail]));
  }
  const lines = [];
  room.on('sending', (line) => lines.push(line));
  return { server, clock, client, room, log, lines };
}

function echo(server, { content, target, cid }, more = {}) {
  server.push('onChat', { msg: content, from: 'ann', target, id: cid, ...more });
}

test('a message to all stands when its publication comes, and is shown once', async () => {
  const { server, client, room, log, lines } = await enter();
  room.say('hello');
  await settled();
  equal(lines[0].status, 'sent');
  const sent = server.heard.at(-1)[1];
  equal([sent.content, sent.from, sent.target, sent.rid], ['hello', 'ann', '*', 'pier']);
  echo(server, sent, { ts: 5 });
  echo(server, sent);
  equal([log, lines[0].ts], [[['settled', 'hello']], 5]);
  client.close();
});

test('a message to one stands when it was taken', async () => {
  const { server, client, room, log } = await enter();
  room.say('psst', 'bo');
  await settled();
  equal(log, [['settled', 'psst']]);
  echo(server, server.heard.at(-1)[1]);
  equal(log.length, 1);
  client.close();
});

test('a refused message can be sent again under its own cid', async () => {
  let busy = true;
  const { server, client, room, lines } = await enter(() => (busy ? { code: 503 } : {}));
  room.say('hello', 'bo');
  await settled();
  equal([lines[0].status, typeof lines[0].problem], ['failed', 'string']);
  busy = false;
  room.sayAgain(lines[0]);
  await settled();
  const cids = server.heard.filter(([route]) => route === SEND).map(([, { cid }]) => cid);
  equal([lines[0].status, cids[0] === cids[1]], [undefined, true]);
  client.close();
});

test('what is said without a connection waits; what was on its way says so', async () => {
  const { server, clock, client, room, log, lines } = await enter(() => undefined);
  room.say('on its way');
  await settled();
  server.last.onclose({ code: 1006 });
  room.say('later', 'bo');
  await settled();
  equal(lines.map(({ status }) => status), ['failed', 'waiting']);
  server.answer = (route) => (route === SEND ? {} : { users: ['ann'] });
  clock.advance(1000);
  await settled();
  equal(log.map(([event]) => event), ['people', 'back', 'settled']);
  equal(lines.map(({ status }) => status), ['failed', undefined]);
  client.close();
});

test('people come and go, each once', async () => {
  const { server, client, room, log } = await enter();
  for (const route of ['onAdd', 'onAdd', 'onLeave', 'onLeave']) server.push(route, { user: 'cy' });
  equal(log, [['joined', 'cy'], ['left', 'cy']]);
  equal(room.people, ['bo', 'ann']);
  client.close();
});

test('repeats by offset are dropped', async () => {
  const { server, client, log } = await enter();
  for (const offset of [4, 4, 3, 6]) {
    server.push('onChat', { msg: `m${offset}`, from: 'bo', target: '*', epoch: 'e', offset });
  }
  equal(log, [['line', 'm4'], ['line', 'm6']]);
  client.close();
});

test('another room gives back what was not sent', async () => {
  const { client, room, log, lines } = await enter(() => ({ code: 503 }));
  room.say('unsent');
  await settled();
  await room.moveTo('quay');
  equal([log[0][0], log[0][1][0] === lines[0], room.rid], ['moved', true, 'quay']);
  equal(log[1], ['people', ['bo', 'ann']]);
  client.close();
});

test('a name still held by our own dead connection is waited for', async () => {
  const { server, clock, client } = await enter();
  server.answer = () => ({ code: 500, error: true });
  server.last.onclose({ code: 1006 });
  clock.advance(1000);
  await settled();
  equal(client.state.name, 'reconnecting');
  server.answer = () => ({ users: ['ann'] });
  client.wake();
  await settled();
  equal(client.online, true);
  client.close();
});

test('a name held by somebody else is refused at the door', async () => {
  const { server, client, room } = await enter();
  server.answer = () => ({ code: 500, error: true });
  const stranger = new Room(client, { me: 'ann', rid: room.rid });
  const error = await fails(() => stranger.enter(), RequestError);
  equal(error.retry, false);
  client.close();
});
