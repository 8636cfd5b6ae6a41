/** JSON bodies as UTF-8 bytes. */

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** @param {unknown} value @returns {Uint8Array} */
export function encodeJson(value) {
  return encoder.encode(JSON.stringify(value));
}

/**
 * Reads a body the way Pomelo does: what is empty or not JSON counts as `{}`.
 *
 * @param {Uint8Array} bytes
 * @returns {any}
 */
export function decodeJson(bytes) {
  try {
    return JSON.parse(decoder.decode(bytes)) ?? {};
  } catch {
    return {};
  }
}
