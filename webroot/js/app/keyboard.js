/**
 * The height that a virtual keyboard leaves, as --visible-height. `dvh` follows the keyboard on
 * some phones only.
 */
export function followKeyboard() {
  const viewport = window.visualViewport;
  if (!viewport) return;
  const follow = () => {
    if (viewport.scale !== 1) return; // zoomed in: leave the layout alone
    document.documentElement.style.setProperty('--visible-height', `${viewport.height}px`);
    window.scrollTo(0, 0);
  };
  viewport.addEventListener('resize', follow);
}
