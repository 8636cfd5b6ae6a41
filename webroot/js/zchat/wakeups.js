/**
 * Calls `fn` when the page has reason to look after its connection: the network is back or went
 * away, the tab is looked at again, the page comes out of the back/forward cache.
 *
 * @param {() => void} fn
 * @param {{window?: EventTarget, document?: Document}} [page] without a page nothing happens
 * @returns {() => void} stops watching
 */
export function watchWakeups(fn, { window, document } = globalThis) {
  if (!window || !document) return () => {};
  const whenVisible = () => {
    if (document.visibilityState === 'visible') fn();
  };
  const watched = [
    [window, 'online', fn],
    [window, 'offline', fn],
    [window, 'pageshow', fn],
    [document, 'visibilitychange', whenVisible],
  ];
  for (const [target, event, listener] of watched) target.addEventListener(event, listener);
  return () => {
    for (const [target, event, listener] of watched) target.removeEventListener(event, listener);
  };
}
