/**
 * Makes an element. Text becomes text nodes, never markup, so nothing that a user wrote can be
 * anything but text.
 *
 * @param {string} tag
 * @param {Record<string, any>} [attributes] `on…` are listeners; false, null, undefined: left out
 * @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) {
      node.setAttribute(name, value === true ? '' : value);
    }
  }
  node.append(...children);
  return node;
}

/** @param {string} id @returns {HTMLElement} an element that index.html promises */
export function byId(id) {
  const node = document.getElementById(id);
  if (!node) throw new Error(`index.html has no #${id}`);
  return node;
}
