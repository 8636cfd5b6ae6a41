import { Protos } from '../../../webroot/js/zchat/protos.js';
import { recallProtos, rememberProtos } from '../../../webroot/js/zchat/protos_memory.js';
import { equal, test } from '../support/harness.mjs';

class FakeStorage {
  items = new Map();

  getItem = (name) => this.items.get(name) ?? null;

  setItem = (name, text) => this.items.set(name, text);
}

function forbidden() {
  throw new Error('this page may not store anything');
}

test('they come back as they were', () => {
  const storage = new FakeStorage();
  const field = { option: 'required', type: 'string', tag: 1 };
  rememberProtos(new Protos({ server: { onPb: { s: field } }, version: 'v1' }), () => storage);
  const protos = recallProtos(() => storage);
  equal(protos.version, 'v1');
  equal(protos.decode('onPb', new Uint8Array([10, 1, 97])), { s: 'a' });
});

test('nothing, nonsense and a browser that forbids it are all no protos', () => {
  const storage = new FakeStorage();
  equal(recallProtos(() => storage).version, undefined);
  for (const text of ['', '5', '"x"', '{"server":{"r":5}}', '{"server":{"r":{"f":{}}}}']) {
    storage.setItem('zchat.protos', text);
    equal(recallProtos(() => storage).version, undefined, text);
  }
  equal(recallProtos(forbidden).version, undefined);
  rememberProtos(new Protos({ version: 'v' }), forbidden);
});

test('the name is not the one of the stock client', () => {
  const storage = new FakeStorage();
  storage.setItem('protos', '{"version":"foreign"}');
  equal(recallProtos(() => storage).version, undefined);
});
