import { readJson } from './harness.mjs';

const { cases } = await readJson('../../vectors/pomelo.json');

/** The recorded cases of one layer and operation, made by the original JavaScript. */
export function vectors(layer, op) {
  return cases.filter((item) => item.layer === layer && item.op === op);
}

/** Bytes as the vectors write them: hex, run lengths, or null for none. */
export function bytesOf(notation) {
  if (notation === null) return new Uint8Array(0);
  if (typeof notation === 'string') return fromHex(notation);
  if (notation.hex !== undefined) return fromHex(notation.hex);
  return fromHex(notation.rle.map(([unit, count]) => unit.repeat(count)).join(''));
}

/** The bytes that a case expects. */
export function expectedOf(item) {
  return item.hex_rle ? bytesOf({ rle: item.hex_rle }) : bytesOf(item.hex);
}

function fromHex(hex) {
  const bytes = new Uint8Array(hex.length / 2);
  for (let at = 0; at < bytes.length; at += 1) {
    bytes[at] = Number.parseInt(hex.slice(2 * at, 2 * at + 2), 16);
  }
  return bytes;
}
