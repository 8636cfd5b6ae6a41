import { PAGE, Place, Places } from '../../../webroot/js/app/place.js';
import { equal, test } from '../support/harness.mjs';

function entered(offset) {
  const place = new Place('pier', 't');
  place.entered({ position: { epoch: 'e', offset } });
  return place;
}

test('what is before begins where one came in first', () => {
  const place = entered(7);
  place.entered({ position: { epoch: 'e', offset: 20 }, recovered: true, publications: [] });
  equal([place.fresh, place.hasEarlier, place.asking], [true, true, { before: 8, limit: PAGE }]);
});

test('pages go back until the beginning', () => {
  const place = entered(7);
  const page = [{ epoch: 'e', offset: 5 }];
  equal(place.earlier({ publications: page, next: 5 }), page);
  equal([place.asking.before, place.hasEarlier], [5, true]);
  place.earlier({ publications: [], next: 0 });
  equal(place.hasEarlier, false);
});

test('nothing is before the beginning, or known before one has come in', () => {
  equal([entered(0).hasEarlier, new Place('pier', 't').hasEarlier], [false, false]);
});

test('what is before in another numbering is not ours', () => {
  const place = entered(7);
  equal(place.earlier({ publications: [{ epoch: 'f', offset: 5 }], next: 5 }), []);
  equal(place.hasEarlier, false);
});

test('rooms are remembered; when there are too many, the one visited longest ago is not', () => {
  const places = new Places('t', { limit: 2 });
  const [pier, quay] = [places.visit('pier'), places.visit('quay')];
  equal(places.visit('pier') === pier, true);
  places.visit('dock');
  equal([places.visit('pier') === pier, places.visit('quay') === quay], [true, false]);
  equal(pier.recovery.asking().resume.startsWith('t.'), true);
});
