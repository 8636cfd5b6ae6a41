import { websocketUrl } from '../../../webroot/js/zchat/address.js';
import { equal, test } from '../support/harness.mjs';

test('the page says what the address leaves out', () => {
  const page = { protocol: 'http:', hostname: 'chat.example' };
  equal(websocketUrl({ port: 3014 }, page), 'ws://chat.example:3014/');
  equal(websocketUrl({ host: '10.0.0.5', port: 3050 }, page), 'ws://10.0.0.5:3050/');
});

test('a secure page connects securely', () => {
  const page = { protocol: 'https:', hostname: 'chat.example' };
  equal(websocketUrl({ port: 3014 }, page), 'wss://chat.example:3014/');
});

test('IPv6 addresses stand in brackets, once', () => {
  equal(websocketUrl({ host: '::1', port: 1 }, {}), 'ws://[::1]:1/');
  equal(websocketUrl({ port: 1 }, { hostname: '[::1]' }), 'ws://[::1]:1/');
});
