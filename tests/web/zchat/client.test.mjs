import {
  Backoff,
  Client,
  ConnectionError,
  GateError,
  RequestError,
} from '../../../webroot/js/zchat/index.js';
import { FakeClock, FakeServer, kick } from '../support/fakes.mjs';
import { equal, fails, settled, test } from '../support/harness.mjs';

const QUERY = 'gate.gateHandler.queryEntry';

function gateAnswers(route) {
  return route === QUERY ? { code: 200, host: '10.0.0.7', port: 3051 } : {};
}

function make(server, options = {}) {
  const clock = new FakeClock();
  const states = [];
  const client = new Client({
    connector: { host: '10.0.0.1', port: 3050 },
    clock,
    WebSocket: server.WebSocket,
    backoff: new Backoff({ random: () => 1 }),
    ...options,
  });
  client.on('state', ({ name }) => states.push(name));
  return { client, clock, states };
}

test('the gate is asked, left, and its connector entered', async () => {
  const server = new FakeServer(gateAnswers);
  const { client } = make(server, { gate: { host: '10.0.0.1', port: 3014 }, uid: 'ann' });
  await client.connect();
  const [gate, connector] = server.sockets;
  equal([gate.url, gate.closed], ['ws://10.0.0.1:3014/', true]);
  equal([connector.url, connector.closed], ['ws://10.0.0.7:3051/', false]);
  equal(server.heard[1], [QUERY, { uid: 'ann' }]);
  client.close();
});

test('a gate without connectors is a GateError', async () => {
  const server = new FakeServer(() => ({ code: 500 }));
  const { client } = make(server, { gate: { host: '10.0.0.1', port: 3014 } });
  await fails(() => client.connect(), GateError);
  equal(client.state.name, 'offline');
  equal(server.last.closed, true);
});

test('a lost connection is made again, and onConnect runs each time', async () => {
  const server = new FakeServer();
  let entered = 0;
  const onConnect = (client) => client.request('a.b.enter', { n: (entered += 1) });
  const { client, clock, states } = make(server, { onConnect });
  await client.connect();
  server.last.onclose({ code: 1006 });
  equal([client.state.name, client.state.retryAt], ['reconnecting', 1000]);
  await fails(() => client.request('a.b.c'), ConnectionError);
  clock.advance(1000);
  await settled();
  equal(states, ['connecting', 'online', 'reconnecting', 'connecting', 'online']);
  equal([entered, server.sockets.length], [2, 2]);
  client.close();
});

test('the waits grow while attempts fail, and wake skips the wait', async () => {
  const server = new FakeServer();
  const { client, clock } = make(server);
  await client.connect();
  server.refuse = true;
  server.last.onclose({ code: 1006 });
  clock.advance(1000);
  await settled();
  equal([client.state.name, client.state.retryAt], ['reconnecting', 3000]);
  server.refuse = false;
  client.wake();
  await settled();
  equal(client.online, true);
  client.close();
});

test('losses right after connecting do not reset the waits', async () => {
  const server = new FakeServer();
  const { client, clock } = make(server);
  await client.connect();
  server.last.onclose({ code: 1006 });
  clock.advance(1000);
  await settled();
  server.last.onclose({ code: 1006 });
  equal(client.state.attempt, 2);
  clock.advance(2000);
  await settled();
  clock.advance(5000);
  server.last.onclose({ code: 1006 });
  equal(client.state.attempt, 1);
  client.close();
});

test('onConnect that is refused for good ends the reconnecting, and says so', async () => {
  const server = new FakeServer();
  const { client, clock } = make(server, { onConnect: (client) => client.request('a.b.enter') });
  await client.connect();
  server.answer = () => ({ code: 500, error: true });
  server.last.onclose({ code: 1006 });
  clock.advance(1000);
  await settled();
  equal([client.state.name, client.state.error instanceof RequestError], ['offline', true]);
  equal([server.last.closed, clock.waiting], [true, 0]);
});

test('onConnect that is refused for now is tried again', async () => {
  const server = new FakeServer();
  const { client, clock } = make(server, { onConnect: (client) => client.request('a.b.enter') });
  await client.connect();
  server.answer = () => ({ code: 503, retry: true });
  server.last.onclose({ code: 1006 });
  clock.advance(1000);
  await settled();
  equal(client.state.name, 'reconnecting');
  client.close();
});

test('a kick is final until connect is called again', async () => {
  const server = new FakeServer();
  const { client, clock } = make(server);
  await client.connect();
  server.deliver(server.last, kick({ reason: 'enough' }));
  server.last.onclose({ code: 1000 });
  const { name, kicked, reason } = client.state;
  equal([name, kicked, reason, clock.waiting], ['offline', true, 'enough', 0]);
  await client.connect();
  equal(client.online, true);
  client.close();
});

test('close during an attempt is final', async () => {
  const server = new FakeServer();
  const { client, clock } = make(server);
  const connecting = client.connect();
  client.close();
  await fails(() => connecting, ConnectionError);
  equal([client.state.name, server.last.closed, clock.waiting], ['offline', true, 0]);
});

test('a first attempt that fails is not repeated', async () => {
  const server = new FakeServer();
  server.refuse = true;
  const { client, clock } = make(server);
  await fails(() => client.connect(), ConnectionError);
  equal([client.state.name, clock.waiting], ['offline', 0]);
});

test('pushes reach their listeners until those are taken out', async () => {
  const server = new FakeServer();
  const { client } = make(server);
  const heard = [];
  const off = client.on('onChat', ({ msg }) => heard.push(msg));
  await client.connect();
  server.push('onChat', { msg: 'one' });
  off();
  server.push('onChat', { msg: 'two' });
  equal(heard, ['one']);
  client.close();
});

test('schemas of bodies are kept for the next connection and the next page load', async () => {
  const items = new Map();
  const kept = { getItem: (name) => items.get(name), setItem: (name, text) => items.set(name, text) };
  const server = new FakeServer();
  const versions = () => server.heard.map(([, hello]) => hello.sys.protoVersion ?? null);
  const options = { storage: () => kept };
  for (const sys of [
    { useProto: true, protos: { server: {}, client: {}, version: 'v1' } },
    {},
    { useProto: true },
  ]) {
    server.handshake.sys = sys;
    const { client } = make(server, options);
    await client.connect();
    client.close();
  }
  equal(versions(), [null, 'v1', 'v1']);
});
