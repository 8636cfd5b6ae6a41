/** zchat in the browser: everything a page needs. See client.js. */

export { Backoff } from './backoff.js';
export { Client } from './client.js';
export { systemClock } from './clock.js';
export { Connection } from './connection.js';
export { Emitter } from './emitter.js';
export {
  ConnectionError,
  GateError,
  ProtocolError,
  RequestError,
  TimeoutError,
  ZchatError,
} from './errors.js';
export { randomId } from './ids.js';
export { HISTORY_LOST, Recovery } from './recovery.js';
export { Unsent, isUndecided } from './unsent.js';
