import { expect, test } from 'vitest';
import { differences, reapplied } from './conflict';

const base = { name: 'Anne', born: '1950-02-03', class: 2, with: ['roy'] };

test('only what the other changed is shown, with what was meant for it', () => {
  const theirs = { ...base, name: 'Anna', with: ['roy', 'tessier'] };
  const mine = { ...base, class: 0, name: 'Annie' };
  expect(differences(base, theirs, mine)).toEqual([
    { field: 'name', was: 'Anne', theirs: 'Anna', mine: 'Annie' },
    { field: 'with', was: ['roy'], theirs: ['roy', 'tessier'], mine: ['roy'] },
  ]);
});

test('what was changed goes on top of the other’s, and nothing else', () => {
  const theirs = { ...base, born: '1950-02-04', with: ['tessier'] };
  const mine = { ...base, class: 0 };
  expect(reapplied(base, theirs, mine)).toEqual({ name: 'Anne', born: '1950-02-04', class: 0, with: ['tessier'] });
});
