import { byId, element } from './dom.js';
import { hueOf } from './hues.js';

const collator = new Intl.Collator();

/** Who is here: a list by name, this user first. A click on somebody is "write to them". */
export class PeopleView {
  #list = byId('people-list');
  #counts = document.querySelectorAll('[data-count]');
  #items = new Map();
  #me = '';
  #onPick;

  /** @param {(name: string) => void} onPick */
  constructor(onPick) {
    this.#onPick = onPick;
  }

  /** @param {string[]} names everybody @param {string} me */
  show(names, me) {
    this.#me = me;
    const others = names.filter((name) => name !== me).sort(collator.compare);
    const items = [me, ...others].map((name) => [name, this.#item(name)]);
    this.#items = new Map(items);
    this.#list.replaceChildren(...this.#items.values());
    this.#count();
  }

  add(name) {
    const item = this.#item(name);
    const after = [...this.#list.children]
      .slice(1)
      .find(({ dataset }) => collator.compare(dataset.name, name) > 0);
    this.#list.insertBefore(item, after ?? null);
    this.#items.set(name, item);
    this.#count();
  }

  remove(name) {
    this.#items.get(name)?.remove();
    this.#items.delete(name);
    this.#count();
  }

  /** Marks whom the composer writes to. */
  mark(target) {
    for (const [name, item] of this.#items) {
      item.querySelector('button')?.setAttribute('aria-pressed', String(name === target));
    }
  }

  #item(name) {
    const own = name === this.#me;
    const label = element('bdi', { class: 'who' }, name);
    const body = own
      ? element('span', { class: 'person' }, label, element('small', {}, 'you'))
      : element('button', { type: 'button', class: 'person', 'aria-pressed': 'false',
          title: `Write to ${name} only`, onclick: () => this.#onPick(name) }, label);
    return element('li', { 'data-testid': 'person', 'data-name': name, 'data-own': own,
      'data-hue': hueOf(name) }, body);
  }

  #count() {
    for (const node of this.#counts) node.textContent = String(this.#items.size);
  }
}
