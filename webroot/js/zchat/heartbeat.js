import { systemClock } from './clock.js';

/**
 * Keeps one connection alive and notices when it is dead.
 *
 * The rhythm is Pomelo's: the server sends the first heartbeat after the ack and answers each of
 * ours at once; one interval after hearing one we send the next. So every timer that sends is
 * started by a received message and never by another timer: browsers slow down chains of timers
 * in hidden tabs to one a minute, which would be too slow for the server.
 *
 * Anything received proves life. Silence of two intervals is a dead connection.
 */
export class Heartbeat {
  #clock;
  #interval;
  #send;
  #lost;
  #heard;
  #cancelSend = null;
  #cancelCheck = null;
  #cancelProbe = null;

  /**
   * @param {object} options
   * @param {number} options.interval milliseconds; 0: the server wants no heartbeats
   * @param {() => void} options.send writes one heartbeat
   * @param {() => void} options.lost called once, when the connection is taken for dead
   * @param {import('./clock.js').Clock} [options.clock]
   */
  constructor({ interval, send, lost, clock = systemClock }) {
    this.#clock = clock;
    this.#interval = interval;
    this.#send = send;
    this.#lost = lost;
    this.#heard = clock.now();
    if (interval > 0) this.#check(2 * interval);
  }

  /** Any package arrived. */
  heard() {
    this.#heard = this.#clock.now();
    this.#cancelProbe?.();
    this.#cancelProbe = null;
  }

  /** A heartbeat arrived: ours is due one interval later. One already due stays. */
  beat() {
    if (this.#interval === 0 || this.#cancelSend) return;
    this.#cancelSend = this.#clock.after(this.#interval, () => {
      this.#cancelSend = null;
      this.#send();
    });
  }

  /**
   * Asks for a sign of life now: after sleep or a change of network a connection may be dead
   * without anybody having been told.
   *
   * @param {number} [patience] milliseconds
   */
  probe(patience = 4000) {
    if (this.#interval === 0 || this.#cancelProbe) return;
    this.#send();
    this.#cancelProbe = this.#clock.after(patience, () => this.#die());
  }

  stop() {
    for (const cancel of [this.#cancelSend, this.#cancelCheck, this.#cancelProbe]) cancel?.();
    this.#interval = 0;
  }

  #check(ms) {
    this.#cancelCheck = this.#clock.after(ms, () => {
      const left = this.#heard + 2 * this.#interval - this.#clock.now();
      if (left > 0) this.#check(left);
      else this.#die();
    });
  }

  #die() {
    this.stop();
    this.#lost();
  }
}
