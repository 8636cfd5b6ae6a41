import { websocketUrl } from './address.js';
import { Backoff } from './backoff.js';
import { systemClock } from './clock.js';
import { Connection } from './connection.js';
import { Emitter } from './emitter.js';
import { ConnectionError, GateError, RequestError } from './errors.js';
import { recallProtos, rememberProtos } from './protos_memory.js';
import { watchWakeups } from './wakeups.js';

const GATE_ROUTE = 'gate.gateHandler.queryEntry';
const PASSING = new Set([429, 503, 504]); // too fast, busy, too late

/**
 * A client of a zchat (or Pomelo) cluster: asks the gate for a connector, connects, and comes back
 * by itself, through the gate again, whenever the connection is lost.
 *
 *     const client = new Client({ gate: { port: 3014 }, uid: 'ann', onConnect: enter });
 *     client.on('onChat', ({ from, msg }) => …);
 *     client.on('state', ({ name, retryAt }) => …);
 *     await client.connect();
 *     await client.request('chat.chatHandler.send', { content: 'hello', target: '*' });
 *
 * A new connection is a new session to the server, so whatever makes a session usable (logging in,
 * entering a room) belongs into `onConnect`, which runs on every connection before the state
 * becomes `online`.
 *
 * Events: every push by its route, with its body; `state`, with the new State.
 *
 * @typedef {object} State
 * @property {'connecting' | 'online' | 'reconnecting' | 'offline'} name
 * @property {number} [retryAt] reconnecting: when the next attempt starts, by the client's clock
 * @property {number} [attempt] reconnecting: how many attempts failed or were lost in a row
 * @property {string} [reason] reconnecting, offline: why
 * @property {boolean} [kicked] offline: the server put this client out
 * @property {number} [code] offline: the WebSocket close code, when the server ended it
 * @property {Error} [error] offline: what `onConnect` failed with
 */
export class Client extends Emitter {
  #options;
  #clock;
  #backoff;
  #connection = null;
  #dictionary;
  #protos;
  #state = { name: 'offline' };
  #life = 0;
  #onlineSince = 0;
  #cancelRetry = null;
  #unwatch = null;

  /**
   * @param {object} options
   * @param {import('./address.js').Address} [options.gate] asked for a connector each time
   * @param {import('./address.js').Address} [options.connector] used when there is no gate
   * @param {string} [options.uid] what the gate chooses the connector by
   * @param {unknown} [options.user] handed to the server in the handshake
   * @param {(client: Client) => unknown} [options.onConnect] see above. An error with `retry` true
   *   means: try again later; any other ends the reconnecting
   * @param {Backoff} [options.backoff]
   * @param {number} [options.stableAfter] milliseconds online after which the backoff starts anew
   * @param {number} [options.openTimeout] milliseconds
   * @param {number} [options.requestTimeout] milliseconds
   * @param {import('./clock.js').Clock} [options.clock]
   * @param {typeof globalThis.WebSocket} [options.WebSocket]
   * @param {() => Storage} [options.storage] where schemas of bodies are kept; localStorage
   */
  constructor(options) {
    super();
    this.#protos = recallProtos(options.storage);
    this.#options = { stableAfter: 5000, ...options };
    this.#clock = options.clock ?? systemClock;
    this.#backoff = options.backoff ?? new Backoff();
  }

  /** @returns {State} */
  get state() {
    return this.#state;
  }

  get online() {
    return this.#state.name === 'online';
  }

  /**
   * The first attempt: when it fails, its error is thrown and the client is offline. Once online,
   * losses are the client's business, until `close`, a kick or an `onConnect` that gives up.
   */
  async connect() {
    if (this.#state.name !== 'offline') return;
    const life = (this.#life += 1);
    this.#unwatch ??= watchWakeups(() => this.wake());
    try {
      await this.#attempt(life);
    } catch (error) {
      if (life === this.#life) this.#goOffline({ reason: error.message, error });
      throw error;
    }
  }

  /**
   * @param {string} route serverType.handlerName.method
   * @param {unknown} [body]
   * @param {{timeout?: number}} [options] milliseconds
   * @returns {Promise<any>} the answer
   * @throws {RequestError} the server answered with a code other than 200
   * @throws {ConnectionError} there is no connection, or it broke (`sent` says which)
   * @throws {import('./errors.js').TimeoutError} no answer in time
   */
  async request(route, body, options) {
    if (!this.#connection) throw new ConnectionError('there is no connection to the server');
    return this.#connection.request(route, body, options);
  }

  /** Like request, without an answer. */
  notify(route, body) {
    if (!this.#connection) throw new ConnectionError('there is no connection to the server');
    this.#connection.notify(route, body);
  }

  /** Retries now instead of later; when online, finds out whether that is still true. */
  wake() {
    if (this.online) this.#connection.probe();
    else if (this.#cancelRetry) this.#retry();
  }

  /** Leaves for good; `connect` starts anew. Idempotent. */
  close() {
    this.#goOffline({ reason: 'closed' });
  }

  async #attempt(life) {
    this.#setState({ name: 'connecting' });
    const address = await this.#findConnector();
    const connection = this.#dial(address, {
      onPush: (route, body) => this.emit(route, body),
      onEnd: (ending) => this.#lost(life, connection, ending),
    });
    await connection.open();
    this.#learn(connection);
    this.#expect(life === this.#life, connection);
    this.#connection = connection;
    await this.#login(connection);
    this.#expect(connection === this.#connection, connection);
    this.#onlineSince = this.#clock.now();
    this.#setState({ name: 'online' });
  }

  // `close` may have been called, or the connection lost, while something was awaited.
  #expect(current, connection) {
    if (current) return;
    connection.close();
    throw new ConnectionError('the connection was given up');
  }

  async #findConnector() {
    const { gate, connector, uid } = this.#options;
    if (!gate) return connector;
    const connection = this.#dial(gate);
    try {
      await connection.open();
      this.#learn(connection);
      const { host, port } = await connection.request(GATE_ROUTE, { uid });
      return { host, port };
    } catch (error) {
      throw error instanceof RequestError ? new GateError(error.message) : error;
    } finally {
      connection.close();
    }
  }

  #learn({ dictionary, protos }) {
    this.#dictionary = dictionary;
    if (!protos.version || protos === this.#protos) return;
    this.#protos = protos;
    rememberProtos(protos, this.#options.storage);
  }

  #dial(address, handlers) {
    const { user, clock, openTimeout = 10_000, requestTimeout = 10_000, WebSocket } = this.#options;
    const url = websocketUrl(address);
    const kept = { dictionary: this.#dictionary, protos: this.#protos };
    const timeouts = { openTimeout, requestTimeout };
    return new Connection({ url, user, clock, WebSocket, ...kept, ...timeouts, ...handlers });
  }

  async #login(connection) {
    try {
      await this.#options.onConnect?.(this);
    } catch (error) {
      if (connection === this.#connection) this.#connection = null;
      connection.close();
      throw error;
    }
  }

  #lost(life, connection, { reason, kicked, retry, code }) {
    if (life !== this.#life || connection !== this.#connection) return;
    this.#connection = null;
    if (!this.online) return; // still in `onConnect`: whoever runs the attempt sees it fail
    if (!retry) return this.#goOffline({ reason, kicked, code });
    if (this.#clock.now() - this.#onlineSince >= this.#options.stableAfter) this.#backoff.reset();
    this.#retryLater(reason);
  }

  #retryLater(reason) {
    const delay = this.#backoff.next();
    this.#cancelRetry = this.#clock.after(delay, () => this.#retry());
    const retryAt = this.#clock.now() + delay;
    this.#setState({ name: 'reconnecting', retryAt, attempt: this.#backoff.attempts, reason });
  }

  async #retry() {
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    const life = this.#life;
    try {
      await this.#attempt(life);
    } catch (error) {
      if (life !== this.#life) return;
      if (worthRetrying(error)) this.#retryLater(error.message);
      else this.#goOffline({ reason: error.message, error });
    }
  }

  #goOffline(why) {
    this.#life += 1;
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    this.#unwatch?.();
    this.#unwatch = null;
    const connection = this.#connection;
    this.#connection = null;
    connection?.close();
    this.#backoff.reset();
    if (this.#state.name !== 'offline') this.#setState({ name: 'offline', ...why });
  }

  #setState(state) {
    this.#state = state;
    this.emit('state', state);
  }
}

function worthRetrying(error) {
  if (error.retry === true) return true;
  return error instanceof RequestError && PASSING.has(error.code);
}
