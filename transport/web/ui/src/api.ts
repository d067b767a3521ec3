// The HTTP API. Every failure becomes an ApiError, so that callers handle one kind of error.
import type {
  Action,
  Availability,
  Broken,
  Card,
  Changed,
  ContactChange,
  Detail,
  Enrolment,
  Found,
  JoinDecision,
  Newcomers,
  FairnessView,
  Health,
  InsightsView,
  Me,
  ModeChange,
  ModeState,
  ModeView,
  NoteCheck,
  Other,
  PatientRecord,
  Sooner,
  Person,
  Preview,
  Problem,
  Sync,
  Unread,
  UnreadEnd,
  UnreadOutcome,
} from './wire';

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    /** After a conflict: the slot as it is now. */
    readonly card?: Card,
    /** After a conflict: who was first, and when. */
    readonly changed?: Changed,
    /** Of a sign-in: what is still needed. */
    readonly step?: string,
  ) {
    super(detail || code || `HTTP ${status}`);
  }
}

/** No answer at all: the network or the server is away. Status 0. */
export const isOffline = (e: unknown) => e instanceof ApiError && e.status === 0;

type Listener = () => void;
let signedOut: Listener = () => {};

/** Called whenever the server says that nobody is signed in any more. */
export function onSignedOut(f: Listener) {
  signedOut = f;
}

/** A key for one press of one button. crypto.randomUUID needs HTTPS, this does not. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');
}

/** One call of the API; parts of the page that are fetched later bring their own paths. */
export async function call<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  const init: RequestInit = {
    method,
    credentials: 'same-origin',
    headers: { Accept: 'application/json', ...headers },
    signal: AbortSignal.timeout(15_000),
    // A command that leaves as the page goes away arrives all the same.
    keepalive: method === 'POST',
  };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    (init.headers as Record<string, string>)['Content-Type'] = 'application/json';
  }
  let res: Response;
  try {
    res = await fetch(path, init);
  } catch {
    throw new ApiError(0, 'offline', '');
  }
  const text = await res.text().catch(() => '');
  let parsed: unknown;
  try {
    parsed = text === '' ? undefined : JSON.parse(text);
  } catch {
    parsed = undefined;
  }
  if (res.ok) return parsed as T;
  const p = (parsed ?? {}) as Problem & { error?: string };
  if (res.status === 401 && !/\/(session|invitation)(\/|$)/.test(path)) signedOut();
  throw new ApiError(res.status, p.code ?? '', p.detail ?? p.error ?? p.title ?? '', p.card, p.changed, p.step);
}

/** Sends a command; a lost answer is asked for again under the same key, which counts once. */
async function twice<T>(send: (key: Record<string, string>) => Promise<T>): Promise<T> {
  const key = { 'Idempotency-Key': newKey() };
  try {
    return await send(key);
  } catch (e) {
    if (!isOffline(e)) throw e;
    return await send(key);
  }
}

export const at = (clinic: string, rest: string) => `/api/v1/clinics/${encodeURIComponent(clinic)}/${rest}`;

export interface Choice {
  from: string;
  to: string;
  practitioner: string;
  specialty: string;
}

const chosen = (c: Choice) => {
  const q = new URLSearchParams(Object.entries(c).filter(([, value]) => value !== ''));
  return q.size > 0 ? `?${q}` : '';
};

const days = (from: string, to: string) => (from && to ? `?from=${from}&to=${to}` : '');

export const api = {
  me: () => call<Me>('GET', '/api/v1/me'),
  signIn: (account: string, password: string, code: string) =>
    call<unknown>('POST', '/api/v1/session', { account, password, ...(code ? { code } : {}) }),
  signOut: () => call<unknown>('DELETE', '/api/v1/session'),
  slot: (clinic: string, slot: string) => call<Detail>('GET', at(clinic, `slots/${encodeURIComponent(slot)}`)),

  act: (clinic: string, slot: string, a: Action) =>
    twice((key) => call<Card>('POST', at(clinic, `slots/${encodeURIComponent(slot)}/actions`), a, key)),

  explain: (clinic: string, slot: string, search: string) =>
    call<{ people: Other[] }>('POST', at(clinic, `slots/${encodeURIComponent(slot)}/explain`), { search }),
  patient: (clinic: string, id: string) => call<PatientRecord>('GET', at(clinic, `patients/${encodeURIComponent(id)}`)),
  changeContact: (clinic: string, id: string, c: ContactChange) =>
    call<PatientRecord>('POST', at(clinic, `patients/${encodeURIComponent(id)}/contacts`), c),
  setSooner: (clinic: string, id: string, consent?: Sooner) =>
    call<PatientRecord>('POST', at(clinic, `patients/${encodeURIComponent(id)}/sooner`), { consent }),
  unread: (clinic: string) => call<{ unread: Unread[] }>('GET', at(clinic, 'unread')),
  broken: (clinic: string) => call<{ contacts: Broken[] }>('GET', at(clinic, 'contacts/broken')),
  newcomers: (clinic: string) => call<Newcomers>('GET', at(clinic, 'waitlist/newcomers')),
  records: (clinic: string, patient: string) => call<Found>('POST', at(clinic, `patients/${encodeURIComponent(patient)}/records`)),
  decideJoin: (clinic: string, patient: string, body: JoinDecision) =>
    call<Newcomers>('POST', at(clinic, `patients/${encodeURIComponent(patient)}/joining`), body),
  messages: (clinic: string) => call<{ messages: Preview[] }>('GET', at(clinic, 'messages')),
  checkNote: (clinic: string, lang: 'fr' | 'en', text: string) =>
    call<NoteCheck>('POST', at(clinic, 'messages/check'), { lang, text }),
  settle: (clinic: string, u: UnreadEnd) =>
    twice((key) => call<UnreadOutcome>('POST', at(clinic, 'unread'), u, key)),
  availability: (clinic: string, text: string, lang: 'fr' | 'en') => call<Availability>('POST', at(clinic, 'waitlist/availability'), { text, lang }),
  enrol: (clinic: string, e: Enrolment) => call<Person>('POST', at(clinic, 'waitlist'), e),
  mode: (clinic: string) => call<ModeView>('GET', at(clinic, 'mode')),
  setMode: (clinic: string, m: ModeChange) => twice((key) => call<ModeState>('POST', at(clinic, 'mode'), m, key)),
  fairness: (clinic: string, from: string, to: string) => call<FairnessView>('GET', at(clinic, `fairness${days(from, to)}`)),
  fairnessFile: (clinic: string, from: string, to: string) => at(clinic, `fairness.csv${days(from, to)}`),
  insights: (clinic: string, c: Choice) => call<InsightsView>('GET', at(clinic, `insights${chosen(c)}`)),
  insightsFile: (clinic: string, c: Choice) => at(clinic, `insights.csv${chosen(c)}`),
  sync: (clinic: string) => call<Sync>('GET', at(clinic, 'sync')),
  hold: (clinic: string, hold: boolean) => call<Health>('POST', at(clinic, 'hold'), { hold }),
  check: (clinic: string) => call<Health>('POST', at(clinic, 'check')),
};

/** The sandbox's own API, which answers errors as {"error": "sentence"}. */
export const sandboxCall = <T>(method: 'GET' | 'POST', path: string, body?: unknown) =>
  call<T>(method, `/sandbox/api/${path}`, body);
