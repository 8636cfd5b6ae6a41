import { byId } from './dom.js';
import { nameProblem, tidyName } from './names.js';
import { namingProblem } from './words.js';

/** The dialog for going to another room. */
export class MovingView {
  #dialog = byId('moving');
  #room = byId('moving-room');
  #problem = byId('moving-problem');
  #onMove;

  /** @param {(rid: string) => Promise<string>} onMove resolves with the problem, '' when it went */
  constructor(onMove) {
    this.#onMove = onMove;
    byId('moving-form').addEventListener('submit', (event) => this.#submitted(event));
    byId('moving-cancel').addEventListener('click', () => this.close());
    this.#room.addEventListener('input', () => this.#complain(''));
  }

  open() {
    this.#room.value = '';
    this.#complain('');
    this.#dialog.showModal();
  }

  close() {
    this.#dialog.close();
  }

  async #submitted(event) {
    event.preventDefault();
    const rid = tidyName(this.#room.value);
    const wrong = nameProblem(rid);
    if (wrong) return this.#complain(namingProblem('room', wrong));
    const problem = await this.#onMove(rid);
    if (problem) this.#complain(problem);
    else this.close();
  }

  #complain(problem) {
    this.#problem.textContent = problem;
    this.#room.setAttribute('aria-invalid', String(problem !== ''));
    if (problem) this.#room.focus();
  }
}
