import { byId } from './dom.js';
import { nameProblem, tidyName } from './names.js';
import { namingProblem } from './words.js';

/** The first screen: who and where. */
export class EntryView {
  #screen = byId('entry');
  #form = byId('entry-form');
  #name = byId('entry-name');
  #room = byId('entry-room');
  #problem = byId('entry-problem');
  #button = byId('entry-button');
  #onEnter;

  /** @param {(wish: {me: string, rid: string}) => void} onEnter */
  constructor(onEnter) {
    this.#onEnter = onEnter;
    this.#form.addEventListener('submit', (event) => this.#submitted(event));
    this.#form.addEventListener('input', () => this.complain(''));
  }

  /** @param {{me: string, rid: string}} wish what is filled in already @param {string} problem */
  show({ me, rid }, problem = '') {
    this.#screen.hidden = false;
    this.#name.value = me;
    this.#room.value = rid;
    this.busy(false);
    this.complain(problem);
    (me === '' || problem ? this.#name : rid === '' ? this.#room : this.#button).focus();
  }

  hide() {
    this.#screen.hidden = true;
  }

  /** The address names another room now. */
  suggest(rid) {
    this.#room.value = rid;
  }

  busy(busy) {
    this.#button.disabled = busy;
    this.#button.textContent = busy ? 'Entering…' : 'Enter';
  }

  complain(problem, field = null) {
    this.#problem.textContent = problem;
    for (const input of [this.#name, this.#room]) {
      input.setAttribute('aria-invalid', String(input === field));
    }
    field?.focus();
  }

  #submitted(event) {
    event.preventDefault();
    if (this.#button.disabled) return;
    const me = this.#read('name', this.#name);
    const rid = me && this.#read('room', this.#room);
    if (me && rid) this.#onEnter({ me, rid });
  }

  #read(what, input) {
    const name = tidyName(input.value);
    const problem = nameProblem(name);
    if (!problem) return name;
    this.complain(namingProblem(what, problem), input);
    return null;
  }
}
