import { Heartbeat } from '../../../webroot/js/zchat/heartbeat.js';
import { FakeClock } from '../support/fakes.mjs';
import { equal, test } from '../support/harness.mjs';

function start(interval = 3000) {
  const clock = new FakeClock();
  const log = { sent: 0, lost: 0 };
  const send = () => (log.sent += 1);
  const lost = () => (log.lost += 1);
  return { clock, log, heartbeat: new Heartbeat({ interval, send, lost, clock }) };
}

test('one heartbeat goes out an interval after each that came', () => {
  const { clock, log, heartbeat } = start();
  heartbeat.beat();
  heartbeat.beat();
  clock.advance(2999);
  equal(log.sent, 0);
  clock.advance(1);
  equal(log.sent, 1);
});

test('silence of two intervals is death, told once', () => {
  const { clock, log } = start();
  clock.advance(5999);
  equal(log.lost, 0);
  clock.advance(60_000);
  equal(log.lost, 1);
});

test('anything heard puts death off', () => {
  const { clock, log, heartbeat } = start();
  clock.advance(5000);
  heartbeat.heard();
  clock.advance(5999);
  equal(log.lost, 0);
  clock.advance(1);
  equal(log.lost, 1);
});

test('a probe asks now and waits a little', () => {
  const { clock, log, heartbeat } = start(30_000);
  heartbeat.probe(4000);
  heartbeat.probe(4000);
  equal(log.sent, 1);
  clock.advance(4000);
  equal(log.lost, 1);
});

test('an answer satisfies the probe', () => {
  const { clock, log, heartbeat } = start(30_000);
  heartbeat.probe(4000);
  clock.advance(3000);
  heartbeat.heard();
  clock.advance(10_000);
  equal(log.lost, 0);
});

test('without an interval nothing is sent and nothing expected', () => {
  const { clock, log, heartbeat } = start(0);
  heartbeat.beat();
  heartbeat.probe();
  clock.advance(1e9);
  equal([log, clock.waiting], [{ sent: 0, lost: 0 }, 0]);
});

test('stopped, it leaves no timer behind', () => {
  const { clock, heartbeat } = start();
  heartbeat.beat();
  heartbeat.probe();
  heartbeat.stop();
  equal(clock.waiting, 0);
});
