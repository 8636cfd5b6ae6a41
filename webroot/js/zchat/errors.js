/**
 * Every error this client raises on purpose.
 *
 *     ZchatError
 *      ├── ProtocolError    the server sent bytes that are not the Pomelo wire
 *      ├── ConnectionError  there is none, or it broke; `sent` says if the request had left
 *      │    └── GateError   the gate named no connector: none is up, as a rule
 *      ├── TimeoutError     no answer in time; whether the work was done is unknown
 *      └── RequestError     the server answered with an error: {code, error, ...}
 */

export class ZchatError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = new.target.name;
  }
}

export class ProtocolError extends ZchatError {}

export class ConnectionError extends ZchatError {
  /**
   * @param {string} message
   * @param {{sent?: boolean, retry?: boolean}} [details] `sent`: the request was written before
   *   the connection broke, so its outcome is unknown. `retry`: connecting again may help.
   */
  constructor(message, { sent = false, retry = true } = {}) {
    super(message);
    this.sent = sent;
    this.retry = retry;
  }
}

export class GateError extends ConnectionError {}

export class TimeoutError extends ZchatError {
  sent = true;
  retry = true;
}

export class RequestError extends ZchatError {
  /** @param {{code: number, error?: unknown, retry?: unknown}} body the whole answer */
  constructor(body) {
    super(typeof body.error === 'string' ? body.error : `the server answered ${body.code}`);
    this.code = body.code;
    this.body = body;
    this.retry = body.retry === true;
  }
}
