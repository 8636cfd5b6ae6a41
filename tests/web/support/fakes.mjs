import { decodePackages, encodePackage, PackageType } from '../../../webroot/js/zchat/package.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const json = (value) => encoder.encode(JSON.stringify(value));

/** Time that passes when the test says so. */
export class FakeClock {
  #now = 0;
  #timers = new Set();

  now = () => this.#now;

  after = (ms, fn) => {
    const timer = { at: this.#now + ms, fn };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  };

  get waiting() {
    return this.#timers.size;
  }

  advance(ms) {
    const end = this.#now + ms;
    for (;;) {
      const [next] = [...this.#timers].sort((a, b) => a.at - b.at);
      if (!next || next.at > end) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.fn();
    }
    this.#now = end;
  }
}

/**
 * The other end of every WebSocket a test opens. `answer(route, body)` gives a request's answer, or
 * undefined for none; `sockets` holds all connections made, newest last.
 */
export class FakeServer {
  sockets = [];
  heard = [];
  handshake = { code: 200, sys: { heartbeat: 3 } };
  refuse = false;

  constructor(answer = () => ({})) {
    this.answer = answer;
    const server = this;
    this.WebSocket = class {
      constructor(url) {
        this.url = url;
        this.closed = false;
        this.sent = [];
        server.sockets.push(this);
        setTimeout(() => (server.refuse ? this.onclose?.({ code: 1006 }) : this.onopen?.()), 0);
      }

      send(bytes) {
        this.sent.push(...decodePackages(bytes));
        for (const { type, body } of decodePackages(bytes)) server.#handle(this, type, body);
      }

      close() {
        this.closed = true;
      }
    };
  }

  get last() {
    return this.sockets.at(-1);
  }

  /** One WebSocket message with these packages. */
  deliver(socket, ...packages) {
    const bytes = packages.flatMap((bytes) => [...bytes]);
    socket.onmessage?.({ data: new Uint8Array(bytes).buffer });
  }

  push(route, body, socket = this.last) {
    this.deliver(socket, push(route, body));
  }

  #handle(socket, type, body) {
    if (type === PackageType.HANDSHAKE) {
      this.heard.push(['handshake', JSON.parse(decoder.decode(body))]);
      this.deliver(socket, encodePackage(PackageType.HANDSHAKE, json(this.handshake)));
    } else if (type === PackageType.DATA) this.#request(socket, body);
  }

  // Ids below 128 and routes as text are all that the tests need.
  #request(socket, bytes) {
    const isRequest = bytes[0] === 0;
    const at = isRequest ? 2 : 1;
    const end = at + 1 + bytes[at];
    const route = decoder.decode(bytes.subarray(at + 1, end));
    const body = JSON.parse(decoder.decode(bytes.subarray(end)));
    this.heard.push([route, body]);
    const answer = this.answer(route, body);
    if (isRequest && answer !== undefined) {
      setTimeout(() => this.deliver(socket, response(bytes[1], answer)), 0);
    }
  }
}

export function response(id, body) {
  return encodePackage(PackageType.DATA, new Uint8Array([4, id, ...json(body)]));
}

export function push(route, body) {
  const name = encoder.encode(route);
  return encodePackage(
    PackageType.DATA,
    new Uint8Array([6, name.length, ...name, ...json(body)]),
  );
}

export function kick(body) {
  return encodePackage(PackageType.KICK, json(body));
}

export const heartbeat = encodePackage(PackageType.HEARTBEAT);
