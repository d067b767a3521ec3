import type { Joins } from './fr';

export const en: Joins = {
  joining: 'Joined by themselves, to link',
  quiet: 'No answer, put on hold',
  born: (day) => `born ${day}`,
  by: (who) => `signed up by ${who}`,
  reference: 'Reference in the record system',
  link: 'Link',
  search: 'Look in the record system',
  found: (n) => (n === 0 ? 'Nobody there has this name, birth date and contact.' : n === 1 ? 'Exactly one person matches.' : `${n} people match: check.`),
  cannot: 'The record system cannot be searched for this person.',
  refuse: 'Refuse',
  sure: 'Yes, take off the list',
  linked: (name) => `${name} will receive offers now.`,
  refused: (name) => `${name} is not on the list. Call them to say so.`,
  asked: (when) => `last asked ${when}`,
  poster: 'Poster and QR code for joining',
};
