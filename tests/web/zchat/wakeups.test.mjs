import { watchWakeups } from '../../../webroot/js/zchat/wakeups.js';
import { equal, test } from '../support/harness.mjs';

test('the network and the eye wake, until nobody watches', () => {
  const window = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
  let woken = 0;
  const stop = watchWakeups(() => (woken += 1), { window, document });
  for (const event of ['online', 'offline', 'pageshow']) window.dispatchEvent(new Event(event));
  document.dispatchEvent(new Event('visibilitychange'));
  equal(woken, 4);
  document.visibilityState = 'hidden';
  document.dispatchEvent(new Event('visibilitychange'));
  equal(woken, 4);
  stop();
  window.dispatchEvent(new Event('online'));
  equal(woken, 4);
});

test('without a page there is nothing to watch', () => {
  watchWakeups(() => {}, {})();
});
