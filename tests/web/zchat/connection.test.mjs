import { Connection } from '../../../webroot/js/zchat/connection.js';
import { RouteDictionary } from '../../../webroot/js/zchat/dictionary.js';
import { ConnectionError, ProtocolError } from '../../../webroot/js/zchat/errors.js';
import { PackageType, encodePackage } from '../../../webroot/js/zchat/package.js';
import { Protos } from '../../../webroot/js/zchat/protos.js';
import { FakeClock, FakeServer, heartbeat, kick, push, response } from '../support/fakes.mjs';
import { equal, fails, settled, test } from '../support/harness.mjs';

async function open(server, options = {}) {
  const clock = new FakeClock();
  const log = [];
  const connection = new Connection({
    url: 'ws://127.0.0.1:1/',
    clock,
    WebSocket: server.WebSocket,
    onPush: (route, body) => log.push([route, body]),
    onEnd: (ending) => log.push(['end', ending]),
    ...options,
  });
  await connection.open();
  return { connection, clock, log, socket: server.last };
}

test('handshake, ack, request, answer', async () => {
  const server = new FakeServer((route, body) => ({ route, body }));
  const { connection, socket } = await open(server, { user: { a: 1 } });
  equal(await connection.request('a.b.c', { n: 1 }), { route: 'a.b.c', body: { n: 1 } });
  equal(socket.sent.map(({ type }) => type), [1, 2, 4]);
  equal(server.heard[0][1].user, { a: 1 });
});

test('the dictionary is named in the next handshake and kept when not sent again', async () => {
  const server = new FakeServer();
  server.handshake.sys = { useDict: true, dict: { onChat: 7 }, dictVersion: 'v1' };
  const { connection } = await open(server);
  equal(connection.dictionary.code('onChat'), 7);
  server.handshake.sys = { useDict: true };
  const again = await open(server, { dictionary: connection.dictionary });
  equal(server.heard[1][1].sys.dictVersion, 'v1');
  equal(again.connection.dictionary.code('onChat'), 7);
});

test('a server without dictionary is written to in plain routes', async () => {
  const dictionary = new RouteDictionary({ 'a.b.c': 1 }, 'v1');
  const { connection } = await open(new FakeServer(), { dictionary });
  equal(connection.dictionary.code('a.b.c'), undefined);
});

test('who awaits an answer sees it before the push behind it', async () => {
  const server = new FakeServer(() => undefined);
  const { connection, log, socket } = await open(server);
  const answered = connection.request('a.b.c').then(() => log.push('answer'));
  server.deliver(socket, push('first', {}), response(1, {}), push('second', {}), heartbeat);
  server.push('third', {});
  await answered;
  await settled();
  equal(log, [['first', {}], 'answer', ['second', {}], ['third', {}]]);
});

test('silence ends the connection and fails its requests', async () => {
  const server = new FakeServer(() => undefined);
  const { connection, clock, log, socket } = await open(server);
  const answer = connection.request('a.b.c', {}, { timeout: 60_000 });
  clock.advance(6000);
  const error = await fails(() => answer, ConnectionError);
  equal([error.sent, log[0][1].retry, socket.closed], [true, true, true]);
  await fails(() => connection.request('a.b.c'), ConnectionError);
  equal(clock.waiting, 0);
});

test('the close code behind a kick says whether to come back', async () => {
  const server = new FakeServer();
  for (const [code, retry] of [[1000, false], [4002, true], [4500, false]]) {
    const { log, socket, clock } = await open(server);
    server.deliver(socket, kick({ reason: 'enough' }));
    equal(log, []);
    socket.onclose({ code, reason: 'as a close says it' });
    equal(log, [['end', { reason: 'enough', kicked: true, retry, code }]]);
    equal(clock.waiting, 0);
  }
});

test('a kick that no close follows is final', async () => {
  const server = new FakeServer();
  const { log, socket, clock } = await open(server);
  server.deliver(socket, kick({}), kick({ reason: 'again' }));
  clock.advance(2000);
  equal(log, [['end', { reason: 'kicked', kicked: true, retry: false, code: 1006 }]]);
});

test('garbage ends the connection, and later packages are not handled', async () => {
  const server = new FakeServer();
  const { log, socket } = await open(server);
  server.deliver(socket, new Uint8Array([9, 0, 0, 0]));
  server.push('onChat', {});
  equal(log.map(([what]) => what), ['end']);
});

test('a refused handshake fails to open', async () => {
  for (const [code, retry] of [[500, true], [501, false]]) {
    const server = new FakeServer();
    server.handshake = { code };
    const error = await fails(() => open(server), ConnectionError);
    equal(error.retry, retry);
    equal(server.last.closed, true);
  }
});

test('a server that never answers the handshake is given up', async () => {
  const server = new FakeServer();
  const clock = new FakeClock();
  const { WebSocket } = server;
  const options = { url: 'ws://127.0.0.1:1/', clock, WebSocket, openTimeout: 5000 };
  const opening = new Connection(options).open();
  clock.advance(5000);
  await fails(() => opening, ConnectionError);
});

test('close is silent and can be repeated', async () => {
  const { connection, clock, log } = await open(new FakeServer());
  connection.close();
  connection.close();
  equal([log.length, clock.waiting], [1, 0]);
});

const TEXT = { s: { option: 'required', type: 'string', tag: 1 } };
const PROTOS = { server: { onPb: TEXT, 'a.b.c': TEXT }, client: { 'a.b.d': TEXT }, version: 'v1' };

/** A DATA package: flag, what follows it, and a body of the schema above. */
function data(...head) {
  return encodePackage(PackageType.DATA, new Uint8Array([...head, 10, 2, 104, 105]));
}

test('bodies are what the schemas of the server make of them', async () => {
  const server = new FakeServer(() => undefined);
  server.handshake.sys = { useProto: true, protos: PROTOS };
  const { connection, log, socket } = await open(server);
  server.deliver(socket, data(6, 4, ...new TextEncoder().encode('onPb')));
  equal(log, [['onPb', { s: 'hi' }]]);
  const answered = connection.request('a.b.c', {});
  server.deliver(socket, data(4, 1));
  equal(await answered, { s: 'hi' });
  await fails(async () => connection.notify('a.b.d', { s: 5 }), ProtocolError);
});

test('schemas from elsewhere count only where the server says so', async () => {
  const server = new FakeServer();
  const protos = new Protos(PROTOS);
  server.handshake.sys = { useProto: true };
  equal((await open(server, { protos })).connection.protos.version, 'v1');
  equal(server.heard[0][1].sys.protoVersion, 'v1');
  server.handshake.sys = {};
  equal((await open(server, { protos })).connection.protos.version, undefined);
});
