/**
 * The outer unit of the Pomelo wire: type (1 byte), body length (3 bytes, big-endian), body.
 *
 * | type | name          | direction       | body                  |
 * |------|---------------|-----------------|-----------------------|
 * | 1    | HANDSHAKE     | both            | JSON                  |
 * | 2    | HANDSHAKE_ACK | client → server | none                  |
 * | 3    | HEARTBEAT     | both            | none                  |
 * | 4    | DATA          | both            | a message, message.js |
 * | 5    | KICK          | server → client | JSON {"reason": …}    |
 *
 * @typedef {{type: number, body: Uint8Array}} Package
 */

import { ProtocolError } from './errors.js';

export const PackageType = Object.freeze({
  HANDSHAKE: 1,
  HANDSHAKE_ACK: 2,
  HEARTBEAT: 3,
  DATA: 4,
  KICK: 5,
});

const HEADER = 4;
const LARGEST_BODY = 2 ** 24 - 1;
const NO_BODY = new Uint8Array(0);

/**
 * @param {number} type one of PackageType
 * @param {Uint8Array} [body]
 * @returns {Uint8Array}
 * @throws {ProtocolError} a body of 2^24 bytes or more: its length does not fit the header
 */
export function encodePackage(type, body = NO_BODY) {
  if (body.length > LARGEST_BODY) {
    throw new ProtocolError(`a package body has at most ${LARGEST_BODY} bytes, not ${body.length}`);
  }
  const bytes = new Uint8Array(HEADER + body.length);
  bytes[0] = type;
  bytes[1] = body.length >>> 16;
  bytes[2] = body.length >>> 8;
  bytes[3] = body.length;
  bytes.set(body, HEADER);
  return bytes;
}

/**
 * Splits one WebSocket message, which holds one or several whole packages.
 *
 * @param {Uint8Array} bytes
 * @returns {Package[]} bodies are views into `bytes`, not copies
 * @throws {ProtocolError} an unknown type, or a package that is cut off
 */
export function decodePackages(bytes) {
  const packages = [];
  for (let at = 0; at < bytes.length; ) {
    const start = at + HEADER;
    const length = (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
    if (start + length > bytes.length || start > bytes.length) {
      throw new ProtocolError(`a package of ${length} bytes is cut off`);
    }
    const type = bytes[at];
    if (type < PackageType.HANDSHAKE || type > PackageType.KICK) {
      throw new ProtocolError(`unknown package type ${type}`);
    }
    packages.push({ type, body: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return packages;
}
