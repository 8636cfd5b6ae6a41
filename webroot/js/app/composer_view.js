import { byId, element } from './dom.js';
import { EVERYONE } from './outgoing.js';

/** Where one writes: the text, and to whom. */
export class ComposerView {
  #form = byId('composer');
  #text = byId('text');
  #target = byId('target');
  #gone = byId('target-gone');
  #people = new Set();
  #handlers;

  /**
   * @param {object} handlers
   * @param {(text: string, target: string) => boolean} handlers.onSay false: keep the text
   * @param {(target: string) => void} handlers.onTarget
   */
  constructor(handlers) {
    this.#handlers = handlers;
    this.#form.addEventListener('submit', (event) => this.#submitted(event));
    this.#text.addEventListener('keydown', (event) => this.#pressed(event));
    this.#text.addEventListener('input', () => this.#grow());
    this.#target.addEventListener('change', () => this.writeTo(this.#target.value));
    byId('target-all').addEventListener('click', () => this.writeTo(EVERYONE));
  }

  get target() {
    return this.#target.value;
  }

  focus() {
    this.#text.focus();
  }

  /** Puts text back that could not be sent; what is being written stays, below it. */
  restore(texts) {
    this.#text.value = [...texts, this.#text.value].filter((text) => text !== '').join('\n');
    this.#grow();
  }

  /** Who may be written to, this user left out. */
  showPeople(names) {
    const { target } = this;
    this.#people = new Set(names);
    const listed = new Set(names);
    if (target !== EVERYONE) listed.add(target);
    this.#target.replaceChildren(
      element('option', { value: EVERYONE }, 'Everyone'),
      ...[...listed].sort().map(option),
    );
    this.#choose(target);
  }

  add(name) {
    this.#people.add(name);
    if (!this.#option(name)) this.#target.append(option(name));
    this.#showTarget();
  }

  // Somebody being written to stays chosen: a private message must never go to all by surprise.
  remove(name) {
    this.#people.delete(name);
    if (this.target !== name) this.#option(name)?.remove();
    this.#showTarget();
  }

  writeTo(target) {
    this.#choose(target);
    this.focus();
  }

  /** Everyone again. Where touching is writing, the keyboard stays down until it is asked for. */
  reset() {
    this.#choose(EVERYONE);
    if (!matchMedia('(pointer: coarse)').matches) this.focus();
  }

  #choose(target) {
    this.#target.value = target;
    for (const { value } of [...this.#target.options]) {
      const gone = value !== EVERYONE && value !== target && !this.#people.has(value);
      if (gone) this.#option(value).remove();
    }
    this.#showTarget();
    this.#handlers.onTarget(target);
  }

  #option(name) {
    return [...this.#target.options].find(({ value }) => value === name);
  }

  #showTarget() {
    const { target } = this;
    const everyone = target === EVERYONE;
    this.#form.dataset.kind = everyone ? 'all' : 'private';
    this.#text.placeholder = everyone ? 'Write to everyone' : `Only ${target} will read this`;
    byId('target-all').hidden = everyone;
    this.#gone.hidden = everyone || this.#people.has(target);
    this.#gone.textContent = this.#gone.hidden ? '' : `${target} is not here any more.`;
  }

  #submitted(event) {
    event.preventDefault();
    const text = this.#text.value.trim();
    if (text === '') return this.focus();
    if (!this.#handlers.onSay(text, this.target)) return;
    this.#text.value = '';
    this.#grow();
    this.focus();
  }

  // While an input method composes, Enter picks a candidate.
  #pressed(event) {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.#form.requestSubmit();
    } else if (event.key === 'Escape' && this.target !== EVERYONE) this.writeTo(EVERYONE);
  }

  // Browsers without field-sizing.
  #grow() {
    if (CSS.supports('field-sizing', 'content')) return;
    this.#text.style.height = 'auto';
    this.#text.style.height = `${this.#text.scrollHeight}px`;
  }
}

function option(name) {
  return element('option', { value: name }, name);
}
