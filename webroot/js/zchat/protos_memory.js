import { NO_PROTOS, Protos } from './protos.js';

const NAME = 'zchat.protos';

/**
 * The schemas that this page's origin was sent last. Others of the origin may have been sent them
 * by another cluster: they count only where a server says that it has this very version.
 *
 * @param {() => Storage} [storage] may throw where the browser forbids it
 * @returns {Protos}
 */
export function recallProtos(storage = () => globalThis.localStorage) {
  try {
    return new Protos(JSON.parse(storage().getItem(NAME)) ?? {});
  } catch {
    return NO_PROTOS;
  }
}

/** Keeps them for the next page load, where the browser lets us. */
export function rememberProtos(protos, storage = () => globalThis.localStorage) {
  try {
    storage().setItem(NAME, JSON.stringify(protos.wire));
  } catch {
    // Full, or forbidden: the next handshake brings them again.
  }
}
