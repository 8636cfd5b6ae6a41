import { systemClock } from './clock.js';
import { RouteDictionary } from './dictionary.js';
import { endingOf } from './ending.js';
import { ConnectionError, ProtocolError } from './errors.js';
import { Heartbeat } from './heartbeat.js';
import { decodeJson, encodeJson } from './json.js';
import { MessageType, decodeMessage, encodeNotify, encodeRequest } from './message.js';
import { PackageType, decodePackages, encodePackage } from './package.js';
import { Pending } from './pending.js';
import { NO_PROTOS, Protos } from './protos.js';

const { HANDSHAKE, HANDSHAKE_ACK, HEARTBEAT, DATA, KICK } = PackageType;
const VERSION = '0.1.0';
const KICK_PATIENCE = 2000; // milliseconds that a server has to close after its kick

/**
 * One WebSocket to one frontend, from its handshake to its end. It does not come back: Client
 * makes a new one.
 */
export class Connection {
  #options;
  #clock;
  #socket = null;
  #dictionary;
  #protos;
  #heartbeat = null;
  #pending;
  #inbox = [];
  #turn = null;
  #opening = null;
  #kick = null;
  #cancelKick = null;
  #ready = false;
  #ended = false;

  /**
   * @param {object} options
   * @param {string} options.url
   * @param {unknown} [options.user] handed to the server in the handshake
   * @param {RouteDictionary} [options.dictionary] from an earlier connection, to save sending it
   * @param {Protos} [options.protos] likewise
   * @param {(route: string, body: any) => void} [options.onPush]
   * @param {(ending: import('./ending.js').Ending) => void} [options.onEnd] once, and only
   *   after `open` succeeded
   * @param {number} [options.openTimeout] milliseconds until the handshake must be done
   * @param {number} [options.requestTimeout] milliseconds; the server's own deadline is 5 s
   * @param {import('./clock.js').Clock} [options.clock]
   * @param {typeof globalThis.WebSocket} [options.WebSocket]
   */
  constructor(options) {
    this.#options = { openTimeout: 10_000, requestTimeout: 10_000, ...options };
    this.#clock = options.clock ?? systemClock;
    this.#dictionary = options.dictionary ?? new RouteDictionary();
    this.#protos = options.protos ?? NO_PROTOS;
    this.#pending = new Pending({ clock: this.#clock });
  }

  /** The routes' codes; keep it for the next connection. */
  get dictionary() {
    return this.#dictionary;
  }

  /** The bodies' schemas; keep those with a version for the next connection. */
  get protos() {
    return this.#protos;
  }

  /** @returns {Promise<any>} resolves when data may be sent, with the handshake's `user` */
  open() {
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(this.#options.openTimeout, () =>
        this.#end({ reason: 'the server did not answer the handshake', retry: true }),
      );
      this.#opening = { resolve, reject, cancel };
      this.#dial();
    });
  }

  /**
   * @param {string} route serverType.handlerName.method
   * @param {unknown} [body]
   * @param {{timeout?: number}} [options] milliseconds
   * @returns {Promise<any>} the answer; one with a code other than 200 is a RequestError
   */
  async request(route, body = {}, { timeout = this.#options.requestTimeout } = {}) {
    this.#mustBeReady();
    const send = (id) =>
      this.#write(DATA, encodeRequest(id, route, body, this.#dictionary, this.#protos));
    return this.#pending.add(timeout, send, route);
  }

  /** Tells the server something; there is no answer and no certainty. */
  notify(route, body = {}) {
    this.#mustBeReady();
    this.#write(DATA, encodeNotify(route, body, this.#dictionary, this.#protos));
  }

  /** Finds out soon whether this connection still lives. */
  probe() {
    this.#heartbeat?.probe();
  }

  /** Idempotent. Requests still waiting fail. */
  close(reason = 'the connection was closed by this side') {
    this.#end({ reason, retry: false });
  }

  #dial() {
    const { url, WebSocket = globalThis.WebSocket } = this.#options;
    try {
      this.#socket = new WebSocket(url);
    } catch {
      return this.#end({ reason: `this page may not connect to ${url}`, retry: false });
    }
    this.#socket.binaryType = 'arraybuffer';
    this.#socket.onopen = () => this.#sayHello();
    this.#socket.onmessage = ({ data }) => this.#receive(data);
    this.#socket.onclose = (close) => this.#end(endingOf(close, this.#kick));
  }

  #mustBeReady() {
    if (!this.#ready) throw new ConnectionError('there is no connection to the server');
  }

  #write(type, body) {
    this.#socket.send(encodePackage(type, body));
  }

  #sayHello() {
    const kept = { dictVersion: this.#dictionary.version, protoVersion: this.#protos.version };
    const sys = { type: 'zchat-js', version: VERSION, ...kept };
    this.#write(HANDSHAKE, encodeJson({ sys, user: this.#options.user ?? {} }));
  }

  #receive(data) {
    if (this.#ended) return;
    try {
      this.#inbox.push(...decodePackages(new Uint8Array(data)));
      if (!this.#turn) this.#work();
    } catch (error) {
      this.#end({ reason: error.message, retry: true });
    }
  }

  // Several packages may share one WebSocket message. Who awaits a response must see it before the
  // push behind it, and an await continues only after this function returns: so what is behind a
  // response waits for the next turn of the event loop.
  #work() {
    while (this.#inbox.length > 0 && !this.#ended) {
      const answered = this.#handle(this.#inbox.shift());
      if (answered && this.#inbox.length > 0) return this.#workNextTurn();
    }
  }

  // A message port, because timers of hidden tabs are slowed down.
  #workNextTurn() {
    this.#turn = new MessageChannel();
    this.#turn.port1.onmessage = () => {
      this.#turn.port1.close();
      this.#turn = null;
      try {
        this.#work();
      } catch (error) {
        this.#end({ reason: error.message, retry: true });
      }
    };
    this.#turn.port2.postMessage(null);
  }

  /** @returns {boolean} somebody's await goes on because of this package */
  #handle({ type, body }) {
    this.#heartbeat?.heard();
    if (type === HANDSHAKE) return this.#welcome(decodeJson(body));
    if (type === HEARTBEAT) this.#heartbeat?.beat();
    else if (type === KICK) this.#kicked(decodeJson(body));
    else if (type === DATA) return this.#dispatch(this.#read(body));
    else throw new ProtocolError(`a server does not send packages of type ${type}`);
    return false;
  }

  #welcome({ code, sys = {}, user }) {
    if (this.#ready) return false;
    if (code !== 200) {
      const old = code === 501;
      const reason = old ? 'this client is too old for the server' : `handshake refused: ${code}`;
      this.#end({ reason, retry: !old });
      return false;
    }
    this.#learnRoutes(sys);
    this.#learnProtos(sys);
    this.#write(HANDSHAKE_ACK);
    this.#heartbeat = new Heartbeat({
      interval: (sys.heartbeat ?? 0) * 1000,
      send: () => this.#write(HEARTBEAT),
      lost: () => this.#end({ reason: 'the server fell silent', retry: true }),
      clock: this.#clock,
    });
    this.#ready = true;
    this.#opening.cancel();
    this.#opening.resolve(user);
    return true;
  }

  // useDict without a table: ours is the current one. No useDict: routes travel as text.
  #learnRoutes({ useDict, dict, dictVersion }) {
    if (dict) this.#dictionary = new RouteDictionary(dict, dictVersion);
    else if (!useDict) this.#dictionary = new RouteDictionary();
  }

  // Likewise. Schemas kept from elsewhere must not be used where the server does not say so.
  #learnProtos({ useProto, protos }) {
    if (protos) this.#protos = new Protos(protos);
    else if (!useProto) this.#protos = NO_PROTOS;
  }

  #read(body) {
    const routeOf = (id) => this.#pending.route(id);
    return decodeMessage(body, this.#dictionary, this.#protos, routeOf);
  }

  #dispatch({ type, id, route, body }) {
    if (type === MessageType.RESPONSE) {
      this.#pending.answer(id, body);
      return true;
    }
    this.#options.onPush?.(route, body);
    return false;
  }

  // The close code behind the kick says whether to come back.
  #kicked({ reason }) {
    if (this.#kick !== null) return;
    this.#kick = String(reason ?? 'kicked');
    this.#cancelKick = this.#clock.after(KICK_PATIENCE, () => this.#end(endingOf({}, this.#kick)));
  }

  #end({ reason, retry, code, kicked = false }) {
    if (this.#ended) return;
    this.#ended = true;
    const wasReady = this.#ready;
    this.#ready = false;
    this.#cancelKick?.();
    this.#heartbeat?.stop();
    this.#inbox.length = 0;
    this.#hangUp();
    this.#pending.abandon(reason, retry);
    this.#opening?.cancel();
    this.#opening?.reject(new ConnectionError(reason, { retry }));
    if (wasReady) this.#options.onEnd?.({ reason, kicked, retry, code });
  }

  #hangUp() {
    const socket = this.#socket;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
}
