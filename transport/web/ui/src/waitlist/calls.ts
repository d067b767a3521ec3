// The part of the API that is about the waitlist as a whole. What is looked for travels in bodies.
import { at, call } from '../api';
import type { EntryChange, Import, ListPage, Merge, MergeRequest, NoteChange, PatientChange, PatientRecord, ProxyChange, Twins, Wish } from '../wire';

const patient = (clinic: string, id: string, rest = '') => at(clinic, `patients/${encodeURIComponent(id)}${rest}`);

export const calls = {
  search: (clinic: string, q: { search: string; status?: string; after: string; limit: number }) =>
    call<ListPage>('POST', at(clinic, 'waitlist/search'), q),
  patient: (clinic: string, id: string) => call<PatientRecord>('GET', patient(clinic, id)),
  changePatient: (clinic: string, id: string, c: PatientChange) => call<PatientRecord>('POST', patient(clinic, id), c),
  changeProxy: (clinic: string, id: string, c: ProxyChange) => call<PatientRecord>('POST', patient(clinic, id, '/proxies'), c),
  changeNote: (clinic: string, id: string, c: NoteChange) => call<PatientRecord>('POST', patient(clinic, id, '/notes'), c),
  addEntry: (clinic: string, id: string, w: Wish) => call<PatientRecord>('POST', patient(clinic, id, '/entries'), w),
  changeEntry: (clinic: string, entry: string, c: EntryChange) =>
    call<PatientRecord>('POST', at(clinic, `waitlist/${encodeURIComponent(entry)}`), c),
  duplicates: (clinic: string) => call<{ pairs: Twins[] }>('GET', at(clinic, 'waitlist/duplicates')),
  merge: (clinic: string, keep: string, m: MergeRequest) => call<Merge>('POST', patient(clinic, keep, '/merge'), m),
  load: (clinic: string, file: string, dry: boolean) => call<Import>('POST', at(clinic, 'waitlist/import'), { file, dry }),
  file: (clinic: string, lang: 'fr' | 'en') => at(clinic, `waitlist.csv?lang=${lang}`),
};
