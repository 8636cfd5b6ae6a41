/**
 * The inner unit of the Pomelo wire, the body of a DATA package:
 *
 *     flag (1)  [id varint]  [route: code (2) | length (1) + UTF-8]  body
 *
 * Flag: bit 0 = the route is a dictionary code, bits 1-3 = type. A request has id and route, a
 * notify and a push have a route, a response has an id. Ids are base 128, least significant group
 * first. Bodies are what a Protos makes of them: JSON, or protobuf.
 *
 * @typedef {{type: number, id: number, route: string, body: any}} Message
 */

import { RouteDictionary } from './dictionary.js';
import { ProtocolError } from './errors.js';
import { NO_PROTOS } from './protos.js';

export const MessageType = Object.freeze({ REQUEST: 0, NOTIFY: 1, RESPONSE: 2, PUSH: 3 });

const { REQUEST, NOTIFY, RESPONSE, PUSH } = MessageType;
const LONGEST_ROUTE = 255;
const LARGEST_ID = Number.MAX_SAFE_INTEGER;
const EMPTY = new RouteDictionary();
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * @param {number} id at least 1: id 0 would make it a notify
 * @param {string} route
 * @param {unknown} body
 * @param {RouteDictionary} [dictionary]
 * @param {import('./protos.js').Protos} [protos]
 * @returns {Uint8Array}
 */
export function encodeRequest(id, route, body, dictionary = EMPTY, protos = NO_PROTOS) {
  return encode(REQUEST, varint(id), route, protos.encode(route, body), dictionary);
}

/**
 * @param {string} route
 * @param {unknown} body
 * @param {RouteDictionary} [dictionary]
 * @param {import('./protos.js').Protos} [protos]
 * @returns {Uint8Array}
 */
export function encodeNotify(route, body, dictionary = EMPTY, protos = NO_PROTOS) {
  return encode(NOTIFY, [], route, protos.encode(route, body), dictionary);
}

/**
 * Reads what a server may send: a response or a push.
 *
 * @param {Uint8Array} bytes
 * @param {RouteDictionary} [dictionary]
 * @param {import('./protos.js').Protos} [protos]
 * @param {(id: number) => string} [routeOf] the route of the request that a response answers
 * @returns {Message} `id` is 0 for a push, `route` is '' for a response
 * @throws {ProtocolError} cut off, of another type, or with a route code nobody knows
 */
export function decodeMessage(
  bytes,
  dictionary = EMPTY,
  protos = NO_PROTOS,
  routeOf = () => '',
) {
  if (bytes.length === 0) throw new ProtocolError('a message without its flag byte');
  const type = (bytes[0] >> 1) & 7;
  if (type === RESPONSE) {
    const { id, end } = readId(bytes);
    return { type, id, route: '', body: protos.decode(routeOf(id), bytes.subarray(end)) };
  }
  if (type !== PUSH) throw new ProtocolError(`a server does not send messages of type ${type}`);
  const { route, end } = bytes[0] & 1 ? readCode(bytes, dictionary) : readRoute(bytes);
  return { type, id: 0, route, body: protos.decode(route, bytes.subarray(end)) };
}

function encode(type, id, route, body, dictionary) {
  const code = dictionary.code(route);
  const flag = (type << 1) | (code === undefined ? 0 : 1);
  const name = code === undefined ? text(route) : [code >>> 8, code & 255];
  const bytes = new Uint8Array(1 + id.length + name.length + body.length);
  bytes[0] = flag;
  bytes.set(id, 1);
  bytes.set(name, 1 + id.length);
  bytes.set(body, 1 + id.length + name.length);
  return bytes;
}

function text(route) {
  const bytes = encoder.encode(route);
  if (bytes.length > LONGEST_ROUTE) {
    throw new ProtocolError(`a route has at most ${LONGEST_ROUTE} bytes: ${route}`);
  }
  return [bytes.length, ...bytes];
}

// Division instead of shifts: shifts work on 32 bits, ids may have 53.
function varint(id) {
  const bytes = [];
  let rest = id;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  bytes.push(rest);
  return bytes;
}

function readId(bytes) {
  let id = 0;
  let scale = 1;
  for (let at = 1; at < bytes.length; at += 1) {
    id += (bytes[at] & 127) * scale;
    scale *= 128;
    if (id > LARGEST_ID) throw new ProtocolError('a message id above 2^53');
    if (bytes[at] < 128) return { id, end: at + 1 };
  }
  throw new ProtocolError('a message id is cut off');
}

function readCode(bytes, dictionary) {
  if (bytes.length < 3) throw new ProtocolError('a route code is cut off');
  const code = (bytes[1] << 8) | bytes[2];
  const route = dictionary.route(code);
  if (route === undefined) throw new ProtocolError(`unknown route code ${code}`);
  return { route, end: 3 };
}

function readRoute(bytes) {
  const end = 2 + bytes[1];
  if (!(end <= bytes.length)) throw new ProtocolError('a route is cut off');
  return { route: decoder.decode(bytes.subarray(2, end)), end };
}
