import { ProtocolError } from '../../../webroot/js/zchat/errors.js';
import { decodePackages, encodePackage } from '../../../webroot/js/zchat/package.js';
import { equal, fails, test } from '../support/harness.mjs';
import { bytesOf, expectedOf, vectors } from '../support/vectors.mjs';

test('packages are written as Pomelo writes them', () => {
  for (const item of vectors('package', 'encode')) {
    const bytes = encodePackage(item.input.type, bytesOf(item.input.body));
    equal(bytes, expectedOf(item), item.id);
  }
});

test('several packages in one message are read in order', () => {
  for (const item of vectors('package', 'decode')) {
    const wanted = item.packages.map(({ type, body }) => ({ type, body: bytesOf(body) }));
    equal(decodePackages(expectedOf(item)), wanted, item.id);
  }
});

test('a body of 2^24 bytes is refused', async () => {
  await fails(() => encodePackage(4, new Uint8Array(2 ** 24)), ProtocolError);
});

test('cut off and unknown packages are refused', async () => {
  const broken = [[4], [4, 0, 0], [4, 0, 0, 1], [3, 0, 0, 0, 9], [0, 0, 0, 0], [6, 0, 0, 0]];
  for (const bytes of broken) {
    await fails(() => decodePackages(new Uint8Array(bytes)), ProtocolError);
  }
});

test('malformed packages of the recordings never hang', () => {
  for (const item of vectors('package', 'decode-malformed')) {
    try {
      decodePackages(expectedOf(item));
    } catch (error) {
      equal(error instanceof ProtocolError, true, item.id);
    }
  }
});
