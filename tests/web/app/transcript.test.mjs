import { Transcript } from '../../../webroot/js/app/transcript.js';
import { Dice } from '../support/dice.mjs';
import { equal, test } from '../support/harness.mjs';

const line = (offset, epoch = 'e') => ({ epoch, offset });
const places = (transcript) => transcript.lines.map(({ epoch, offset }) => `${epoch}${offset}`);

test('a line that comes late gets its place', () => {
  const transcript = new Transcript();
  const [second, fourth] = [line(2), line(4)];
  equal(transcript.add(second), { before: null, gone: null });
  transcript.add(fourth);
  equal(transcript.add(line(3)).before === fourth, true);
  equal(transcript.add(line(1)).before === second, true);
  equal(places(transcript), ['e1', 'e2', 'e3', 'e4']);
});

test('a line that is here is not taken twice', () => {
  const transcript = new Transcript();
  const first = line(1);
  transcript.add(first);
  equal(transcript.add(line(1)), null);
  equal(transcript.at('e', 1) === first, true);
  equal([transcript.at('e', 2), transcript.at('f', 1)], [null, null]);
});

test('epochs follow each other as they were met', () => {
  const transcript = new Transcript();
  for (const { epoch, offset } of [line(8, 'z'), line(1, 'a'), line(9, 'z'), line(2, 'a')]) {
    transcript.add(line(offset, epoch));
  }
  equal(places(transcript), ['z8', 'z9', 'a1', 'a2']);
});

test('lines without offset stand as they came', () => {
  const transcript = new Transcript();
  for (const text of ['one', 'two', 'one']) equal(transcript.add({ text }).before, null);
  equal(transcript.lines.map(({ text }) => text), ['one', 'two', 'one']);
});

test('when full the oldest goes, and nothing comes in before it', () => {
  const transcript = new Transcript({ limit: 2 });
  const oldest = line(5);
  transcript.add(oldest);
  equal([transcript.hasRoom(1), transcript.hasRoom(2)], [true, false]);
  transcript.add(line(6));
  equal(transcript.add(line(7)).gone === oldest, true);
  equal([transcript.add(line(4)), places(transcript)], [null, ['e6', 'e7']]);
});

test('whatever the order in which they come, they stand in one order', () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const dice = new Dice(seed);
    const transcript = new Transcript();
    for (let count = 0; count < 40; count += 1) transcript.add(line(dice.below(30)));
    const offsets = transcript.lines.map(({ offset }) => offset);
    equal(offsets, [...new Set(offsets)].sort((a, b) => a - b), `seed ${seed}`);
  }
});
