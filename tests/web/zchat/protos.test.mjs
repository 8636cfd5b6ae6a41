import { ProtocolError } from '../../../webroot/js/zchat/errors.js';
import { Protos } from '../../../webroot/js/zchat/protos.js';
import { equal, fails, test } from '../support/harness.mjs';
import { expectedOf, vectors } from '../support/vectors.mjs';

/** The form that a handshake carries of a proto file. */
function parsed(file) {
  const message = { __messages: {}, __tags: {} };
  for (const [key, value] of Object.entries(file)) {
    const [option, type, name] = key.split(' ');
    if (option === 'message') message.__messages[type] = parsed(value);
    else if (!message.__tags[value]) {
      message[name] = { option, type, tag: value };
      message.__tags[value] = name;
    }
  }
  return message;
}

function form(file) {
  return Object.fromEntries(Object.entries(file).map(([key, value]) => [key, parsed(value)]));
}

function plainValue(value) {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map(plainValue);
  if (value.$repeat) return value.$repeat[0].repeat(value.$repeat[1]);
  if (value.$number) return Number(value.$number);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plainValue(item)]));
}

const UNLIKE = {
  'dev-protobuf-010': 'text is no number here',
  'dev-protobuf-011': 'a fraction is no integer here',
  'dev-protobuf-049': 'a type that nobody knows is refused',
};

test('bodies are written and read as Pomelo does', () => {
  let compared = 0;
  for (const item of vectors('protobuf', 'encode')) {
    if (UNLIKE[item.id]) continue;
    const { protos, route, msg } = item.input;
    const says = new Protos({ client: form(protos), server: {}, version: 'v' });
    const hears = new Protos({ client: {}, server: form(protos), version: 'v' });
    equal(says.encode(route, plainValue(msg)), expectedOf(item), item.id);
    equal(hears.decode(route, expectedOf(item)), plainValue(item.decoded), item.id);
    compared += 1;
  }
  equal(compared > 40, true, `only ${compared} cases compared;`);
});

test('other routes are JSON', () => {
  const protos = new Protos({ server: form({ onPb: { 'required string s': 1 } }), client: {} });
  equal(protos.decode('onPb', new Uint8Array([10, 1, 97])), { s: 'a' });
  equal(protos.decode('onPb', new Uint8Array(0)), {});
  const json = protos.encode('onPb', { s: 'a' }); // what we say there has no schema
  equal(protos.decode('other', json), { s: 'a' });
});

test('a version makes them worth keeping', () => {
  equal(new Protos({ server: {}, client: {}, version: 0 }).version, undefined);
  equal(new Protos().version, undefined);
  equal(new Protos({ version: 'v' }).version, 'v');
});

test('a type that nobody knows is refused', async () => {
  await fails(() => new Protos({ server: form({ r: { 'required bool b': 1 } }) }), ProtocolError);
});
