/**
 * Pomelo's own protobuf, which is not Google's. A message is its fields, one after the other:
 *
 *     key, a varint: tag * 8 + wire type | value
 *
 *     uInt32 0 · int32, sInt32 0 (zig-zag) · double 1 · float 5 · string, message 2 (length, bytes)
 *     repeated numbers: key once, how many, the numbers; other repeated fields: key and value each
 *
 * The wire type is ignored when read. Fields that are not there are no error then.
 */

import { ProtocolError } from './errors.js';

const MAX_NUMBER = Number.MAX_SAFE_INTEGER;
const MAX_DEPTH = 32;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** One message of a schema, in the form that the handshake carries. */
export class MessageType {
  #fields = new Map();
  #tags = new Map();

  /** Adds a field. `kind` is the name of a scalar type, or the MessageType that it holds. */
  add(name, option, kind, tag) {
    const field = { name, tag, kind: KINDS[kind] ?? message(kind) };
    field.required = option === 'required';
    field.repeated = option === 'repeated';
    this.#fields.set(name, field);
    this.#tags.set(tag, field);
  }

  /**
   * @param {object} value members that are no fields, undefined or null are left out
   * @returns {Uint8Array}
   * @throws {ProtocolError} a field is missing or does not fit; its path is named
   */
  encode(value) {
    const out = [];
    this.write(out, value, '', 0);
    return Uint8Array.from(out);
  }

  /**
   * @param {Uint8Array} bytes
   * @returns {object}
   * @throws {ProtocolError} cut off, or with a field that the schema does not know
   */
  decode(bytes) {
    return this.read(new Input(bytes), bytes.length, 0);
  }

  write(out, value, path, depth) {
    expect(depth < MAX_DEPTH, path, `at most ${MAX_DEPTH} levels of messages`);
    expect(value !== null && typeof value === 'object', path, 'an object');
    for (const { name, required } of this.#fields.values()) {
      expect(!required || (value[name] ?? null) !== null, join(path, name), 'this field');
    }
    for (const [name, item] of Object.entries(value)) {
      const field = this.#fields.get(name);
      if (field && (item ?? null) !== null) writeField(out, field, item, join(path, name), depth);
    }
  }

  read(input, end, depth) {
    expect(depth < MAX_DEPTH, '', `at most ${MAX_DEPTH} levels of messages`);
    const value = {};
    while (input.at < end) {
      const tag = Math.floor(input.varint(end) / 8);
      const field = this.#tags.get(tag);
      expect(field, '', `tags of the schema instead of ${tag}`);
      readField(input, field, value, end, depth);
    }
    return value;
  }
}

/** Bytes that are read from the front. */
class Input {
  at = 0;

  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  // Multiplication instead of shifts: shifts work on 32 bits, numbers may have 53.
  varint(end) {
    let number = 0;
    for (let scale = 1; ; scale *= 128) {
      expect(this.at < end, '', 'more bytes');
      const byte = this.bytes[this.at];
      this.at += 1;
      number += (byte & 127) * scale;
      expect(number <= MAX_NUMBER, '', 'a number below 2^53');
      if (byte < 128) return number;
    }
  }

  /** Steps over `size` bytes; returns where they begin. */
  skip(size, end) {
    expect(size <= end - this.at, '', `${size} bytes`);
    this.at += size;
    return this.at - size;
  }
}

const KINDS = {
  uInt32: number(
    (value) => value,
    (coded) => coded,
  ),
  int32: number(zigzag, unzigzag),
  sInt32: number(zigzag, unzigzag),
  float: real(5, 4, 'Float32'),
  double: real(1, 8, 'Float64'),
  string: {
    wireType: 2,
    put(out, value, path) {
      expect(typeof value === 'string', path, 'a string');
      putBytes(out, encoder.encode(value));
    },
    take(input, end) {
      const size = input.varint(end);
      const start = input.skip(size, end);
      return decoder.decode(input.bytes.subarray(start, input.at));
    },
  },
};

function number(code, meaning) {
  return {
    wireType: 0,
    packed: true,
    put(out, value, path) {
      const coded = Number.isInteger(value) ? code(value) : -1;
      expect(coded >= 0 && coded <= MAX_NUMBER, path, 'an integer that fits');
      putVarint(out, coded);
    },
    take: (input, end) => meaning(input.varint(end)),
  };
}

function zigzag(value) {
  return value < 0 ? -2 * value - 1 : 2 * value;
}

function unzigzag(coded) {
  return coded % 2 ? -(coded + 1) / 2 : coded / 2;
}

function real(wireType, size, name) {
  return {
    wireType,
    packed: true,
    put(out, value, path) {
      expect(typeof value === 'number', path, 'a number');
      const bytes = new Uint8Array(size);
      new DataView(bytes.buffer)[`set${name}`](0, value, true);
      out.push(...bytes);
    },
    take: (input, end) => input.view[`get${name}`](input.skip(size, end), true),
  };
}

function message(type) {
  return {
    wireType: 2,
    put(out, value, path, depth) {
      const inner = [];
      type.write(inner, value, path, depth + 1);
      putBytes(out, inner);
    },
    take(input, end, depth) {
      const size = input.varint(end);
      const stop = input.skip(size, end) + size;
      input.at = stop - size;
      return type.read(input, stop, depth + 1);
    },
  };
}

function writeField(out, { tag, kind, repeated }, value, path, depth) {
  const key = tag * 8 + kind.wireType;
  if (!repeated) {
    putVarint(out, key);
    kind.put(out, value, path, depth);
    return;
  }
  expect(Array.isArray(value), path, 'a list');
  value.forEach((item, index) => {
    if (!kind.packed || index === 0) putVarint(out, key);
    if (kind.packed && index === 0) putVarint(out, value.length);
    kind.put(out, item, `${path}[${index}]`, depth);
  });
}

function readField(input, { name, kind, repeated }, value, end, depth) {
  if (!repeated) {
    value[name] = kind.take(input, end, depth);
    return;
  }
  const items = (value[name] ??= []);
  const count = kind.packed ? input.varint(end) : 1;
  expect(count <= Math.max(end - input.at, 1), name, `${count} elements`);
  for (let left = count; left > 0; left -= 1) items.push(kind.take(input, end, depth));
}

function putVarint(out, number) {
  let rest = number;
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) | 128);
  out.push(rest);
}

function putBytes(out, bytes) {
  putVarint(out, bytes.length);
  for (const byte of bytes) out.push(byte);
}

function join(path, name) {
  return path ? `${path}.${name}` : name;
}

function expect(condition, path, wanted) {
  if (!condition) throw new ProtocolError(`protobuf: expected ${wanted}${path && ` in ${path}`}`);
}
