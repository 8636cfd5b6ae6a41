import { RouteDictionary } from '../../../webroot/js/zchat/dictionary.js';
import { ProtocolError } from '../../../webroot/js/zchat/errors.js';
import {
  MessageType,
  decodeMessage,
  encodeNotify,
  encodeRequest,
} from '../../../webroot/js/zchat/message.js';
import { equal, fails, test } from '../support/harness.mjs';
import { bytesOf, expectedOf, vectors } from '../support/vectors.mjs';

const recorded = vectors('message', 'encode').filter(({ input }) => !input.gzip);
const text = new TextDecoder('utf-8', { fatal: true }); // some recordings hold CESU-8

function isJson(bytes) {
  try {
    return JSON.stringify(JSON.parse(text.decode(bytes))) === text.decode(bytes);
  } catch {
    return false;
  }
}

test('requests and notifies are written as Pomelo writes them', () => {
  let compared = 0;
  for (const item of recorded) {
    const { id, type, route, compress_route: code } = item.input;
    const body = bytesOf(item.input.body);
    if (type > MessageType.NOTIFY || !isJson(body)) continue;
    const dictionary = new RouteDictionary(code ? { 'a.b.c': route } : {});
    const args = [code ? 'a.b.c' : route, JSON.parse(text.decode(body)), dictionary];
    const bytes = type ? encodeNotify(...args) : encodeRequest(id, ...args);
    equal(bytes, expectedOf(item), item.id);
    compared += 1;
  }
  equal(compared > 10, true, `only ${compared} cases compared;`);
});

test('responses and pushes are read', () => {
  let compared = 0;
  for (const item of recorded) {
    const { id, type, route, compress_route: code } = item.input;
    const body = bytesOf(item.input.body);
    if (type < MessageType.RESPONSE || !isJson(body)) continue;
    const dictionary = new RouteDictionary(code && route !== null ? { 'a.b.c': route } : {});
    const name = type === MessageType.RESPONSE ? '' : code ? 'a.b.c' : route;
    const wanted = { type, id, route: name, body: JSON.parse(text.decode(body)) };
    equal(decodeMessage(expectedOf(item), dictionary), wanted, item.id);
    compared += 1;
  }
  equal(compared > 10, true, `only ${compared} cases compared;`);
});

test('ids up to 2^53 keep their value', () => {
  for (const id of [1, 127, 128, 2 ** 31, 2 ** 32 + 5, Number.MAX_SAFE_INTEGER]) {
    const bytes = encodeRequest(id, '', {});
    bytes[0] = 4; // a response is the same without the route, whose length is the third last byte
    equal(decodeMessage(bytes.filter((_, at) => at !== bytes.length - 3)).id, id);
  }
});

test('an empty or broken body counts as {}', () => {
  equal(decodeMessage(new Uint8Array([4, 1])).body, {});
  equal(decodeMessage(new Uint8Array([4, 1, 123])).body, {});
  equal(decodeMessage(new Uint8Array([4, 1, 110, 117, 108, 108])).body, {});
});

test('malformed messages are refused', async () => {
  const endless = [4, ...new Array(12).fill(255)];
  const cut = [[], [4], [4, 128], [6], [6, 3, 65], [7], [7, 0]];
  const wrong = [endless, [7, 0, 9], [0, 1], [14]];
  for (const bytes of [...cut, ...wrong]) {
    await fails(() => decodeMessage(new Uint8Array(bytes)), ProtocolError);
  }
});

test('a route above 255 bytes is refused', async () => {
  await fails(() => encodeNotify('r'.repeat(256), {}), ProtocolError);
});
