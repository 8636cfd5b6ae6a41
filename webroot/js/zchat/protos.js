import { ProtocolError } from './errors.js';
import { decodeJson, encodeJson } from './json.js';
import { MessageType } from './protobuf.js';

const SHARED = 'message '; // what the names of messages for several routes begin with
const SCALARS = new Set(['uInt32', 'int32', 'sInt32', 'float', 'double', 'string']);

/**
 * Writes and reads bodies: as protobuf on routes for which the server has a schema, else as JSON.
 * What a server says on a route has another schema than what clients say on it.
 */
export class Protos {
  #server;
  #client;

  /** @param {{server?: object, client?: object, version?: string | number}} [wire] `sys.protos` */
  constructor(wire = {}) {
    this.wire = wire;
    /** What the next handshake says, so that they are not sent again; undefined for none. */
    this.version = wire.version || undefined;
    this.#server = compileRoutes(wire.server ?? {});
    this.#client = compileRoutes(wire.client ?? {});
  }

  /** @param {string} route @param {unknown} body @returns {Uint8Array} what this client says */
  encode(route, body) {
    const schema = this.#client.get(route);
    return schema ? schema.encode(body) : encodeJson(body);
  }

  /** @param {string} route @param {Uint8Array} bytes @returns {any} what the server said */
  decode(route, bytes) {
    const schema = this.#server.get(route);
    return schema ? schema.decode(bytes) : decodeJson(bytes);
  }
}

/** All bodies are JSON. */
export const NO_PROTOS = new Protos();

function compileRoutes(messages) {
  const made = new Map(); // by definition, because messages may contain themselves
  const compile = (definition) => {
    const known = made.get(definition);
    if (known) return known;
    const type = new MessageType();
    made.set(definition, type);
    for (const [name, { option, type: kind, tag }] of fieldsOf(definition)) {
      const inner = definition.__messages?.[kind] ?? messages[SHARED + kind];
      if (!inner && !SCALARS.has(kind)) throw new ProtocolError(`a proto of unknown type ${kind}`);
      type.add(name, option, SCALARS.has(kind) ? kind : compile(inner), tag);
    }
    return type;
  };
  const routes = Object.keys(messages).filter((name) => !name.startsWith(SHARED));
  return new Map(routes.map((route) => [route, compile(messages[route])]));
}

function fieldsOf(definition) {
  return Object.entries(definition).filter(([name]) => !name.startsWith('__'));
}
