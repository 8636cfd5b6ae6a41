import { byId } from './dom.js';

const NARROW = '(max-width: 719px)';

/** On narrow screens the people are a drawer: Escape, the button or a look elsewhere closes it. */
export class Drawer {
  #panel = byId('side');
  #button = byId('people-button');
  #rest = byId('talk');

  constructor() {
    this.#button.addEventListener('click', () => this.#set(!this.#isOpen));
    byId('drawer-close').addEventListener('click', () => this.#closeAndReturn());
    byId('shade').addEventListener('click', () => this.#closeAndReturn());
    this.#panel.addEventListener('keydown', ({ key }) => {
      if (key === 'Escape' && this.#isOpen) this.#closeAndReturn();
    });
    matchMedia(NARROW).addEventListener('change', () => this.close());
    this.close();
  }

  close() {
    this.#set(false);
  }

  get #isOpen() {
    return this.#button.getAttribute('aria-expanded') === 'true';
  }

  #closeAndReturn() {
    this.close();
    this.#button.focus();
  }

  // What is behind an open drawer, or in a closed one, is out of the tab order.
  #set(open) {
    const narrow = matchMedia(NARROW).matches;
    this.#button.setAttribute('aria-expanded', String(open));
    this.#panel.toggleAttribute('data-open', open);
    this.#panel.inert = narrow && !open;
    this.#rest.inert = narrow && open;
    byId('shade').hidden = !open;
    if (open) this.#panel.querySelector('button')?.focus();
  }
}
