import { ProtocolError } from '../../../webroot/js/zchat/errors.js';
import { MessageType } from '../../../webroot/js/zchat/protobuf.js';
import { equal, fails, test } from '../support/harness.mjs';

/** A message of fields `option type name` → tag. */
function message(fields) {
  const type = new MessageType();
  for (const [field, tag] of Object.entries(fields)) {
    const [option, kind, name] = field.split(' ');
    type.add(name, option, kind, tag);
  }
  return type;
}

const ALL = message({
  'optional uInt32 u': 1,
  'optional sInt32 i': 2,
  'optional float f': 4,
  'optional double d': 5,
  'optional string s': 6,
  'repeated int32 js': 2000,
  'repeated double ds': 11,
  'repeated string ss': 12,
});

test('what is written is read', () => {
  const value = {
    u: Number.MAX_SAFE_INTEGER,
    i: -(2 ** 40),
    f: 0.5,
    d: 0.1,
    s: 'é😀',
    js: [-1, 0, 1, 300],
    ds: [1, 2],
    ss: ['a', '', '中'],
  };
  const type = message({ 'optional string s': 1, 'repeated uInt32 ns': 2 });
  equal(ALL.decode(ALL.encode(value)), value);
  equal(type.encode({ s: null, ns: [], other: 1 }), new Uint8Array(0));
});

test('messages contain messages, also their own kind', () => {
  const node = new MessageType();
  node.add('n', 'required', 'uInt32', 1);
  node.add('more', 'repeated', node, 2);
  const value = { n: 1, more: [{ n: 2, more: [{ n: 3 }] }, { n: 4 }] };
  equal(node.decode(node.encode(value)), value);
});

test('levels are bounded', async () => {
  const node = new MessageType();
  node.add('more', 'optional', node, 1);
  const circle = {};
  circle.more = circle;
  await fails(() => node.encode(circle), ProtocolError);
  let bytes = [];
  for (let level = 0; level < 50; level += 1) bytes = [10, bytes.length, ...bytes];
  await fails(() => node.decode(new Uint8Array(bytes)), ProtocolError);
});

test('what does not fit names its field', async () => {
  const inner = message({ 'required uInt32 n': 1 });
  const outer = message({ 'optional string s': 1 });
  outer.add('list', 'repeated', inner, 2);
  const wrong = [
    [{ s: 5 }, 's'],
    [{ list: {} }, 'list'],
    [{ list: [{ n: 1 }, { n: -1 }] }, 'list[1].n'],
    [{ list: [{}] }, 'list[0].n'],
    [{ list: [{ n: 1.5 }] }, 'list[0].n'],
  ];
  for (const [value, path] of wrong) {
    const error = await fails(() => outer.encode(value), ProtocolError);
    equal(error.message.endsWith(` in ${path}`), true, error.message);
  }
  await fails(() => outer.encode(null), ProtocolError);
});

test('bytes that end early, or of another schema, are refused', async () => {
  const cut = [[8], [136], [37, 0, 0, 0], [41, 0], [50, 5, 97], [96], [98, 1]];
  const wrong = [[0, 0], [24, 1], [130, 125, 255, 255, 255, 255, 15, 0], new Array(12).fill(255)];
  for (const bytes of [...cut, ...wrong]) {
    await fails(() => ALL.decode(new Uint8Array(bytes)), ProtocolError);
  }
});
