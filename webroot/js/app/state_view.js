import { byId } from './dom.js';

const WORDS = {
  connecting: 'connecting…',
  online: 'online',
  reconnecting: 'reconnecting',
  offline: 'offline',
};

/**
 * The connection's state, said plainly: a word beside the room's name, and a strip above the
 * composer while it is not `online`. The seconds count down outside of the live region, or a
 * screen reader would read each of them out.
 */
export class StateView {
  #word = byId('state');
  #strip = byId('strip');
  #text = byId('strip-text');
  #countdown = byId('strip-countdown');
  #again = byId('strip-again');
  #leave = byId('strip-leave');
  #timer = 0;

  /** @param {{onAgain: () => void, onLeave: () => void}} handlers */
  constructor({ onAgain, onLeave }) {
    this.#again.addEventListener('click', onAgain);
    this.#leave.addEventListener('click', onLeave);
  }

  /**
   * @param {import('../zchat/client.js').State} state
   * @param {string} [reason] offline: why, in words
   */
  show(state, reason = '') {
    const { name } = state;
    clearInterval(this.#timer);
    this.#word.dataset.state = name;
    this.#word.textContent = WORDS[name];
    this.#strip.hidden = name === 'online';
    this.#text.textContent = stripText(name, reason);
    this.#countdown.textContent = '';
    this.#again.disabled = name === 'connecting';
    this.#again.textContent = name === 'offline' ? 'Enter again' : 'Try now';
    this.#leave.hidden = name !== 'offline';
    if (name === 'reconnecting') this.#countDown(state.retryAt);
  }

  #countDown(retryAt) {
    const tick = () => {
      const seconds = Math.max(0, Math.ceil((retryAt - performance.now()) / 1000));
      const words = seconds === 0 ? 'now' : `in ${seconds} s`;
      this.#countdown.textContent = `Trying again ${words}.`;
      this.#word.textContent = `reconnecting ${words}`;
    };
    tick();
    this.#timer = setInterval(tick, 250);
  }
}

function stripText(name, reason) {
  if (name === 'reconnecting') return 'Connection lost.';
  return name === 'offline' ? reason : 'Connecting…';
}
