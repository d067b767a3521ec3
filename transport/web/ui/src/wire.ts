// The wire types of the front desk, as package engine/desk and the HTTP API define them.

export type State =
  | 'free'
  | 'reserved'
  | 'freed'
  | 'approval'
  | 'offered'
  | 'claimed'
  | 'confirmed'
  | 'expired'
  | 'suspended';

export interface Card {
  id: string;
  state: State;
  revision: number;
  day: string;
  from: string;
  until: string;
  start: string;
  end: string;
  practitioner: string;
  place?: string;
  specialty?: string;
  patient?: string;
  asked?: number;
  pending?: number;
  declined?: number;
  wave?: number;
  hold?: string;
  next?: string;
  deadline?: string;
  paused?: boolean;
  exhausted?: boolean;
  depth?: number;
  why?: string;
  by?: string;
}

export type HealthStatus = 'starting' | 'healthy' | 'suspended' | 'checking';

export interface Health {
  status: HealthStatus;
  since: string;
  fault?: string;
  detail?: string;
  last_good?: string;
  retry_at?: string;
  held?: boolean;
  open: number;
  writing?: number;
}

export interface Practitioner {
  id: string;
  name: string;
  specialty: string;
}

export interface Place {
  id: string;
  name: string;
  address: string;
}

export interface ClinicInfo {
  id: string;
  name: string;
  zone: string;
  offset_minutes: number;
  today: string;
  mode: 'automatic' | 'approval' | 'shadow';
  practitioners: Practitioner[] | null;
  places: Place[] | null;
}

export interface Snapshot {
  epoch: string;
  seq: number;
  now: string;
  clinic: ClinicInfo;
  health: Health;
  cards: Card[] | null;
}

export interface Delta {
  seq: number;
  cards?: Card[];
  remove?: string[];
  health?: Health;
}

export interface Ping {
  seq: number;
  now: string;
}

export interface Frame {
  snapshot?: Snapshot;
  deltas?: Delta[];
  ping?: Ping;
}

export type Channel = 'sms' | 'voice' | 'email' | 'page' | 'desk';

export interface Delivery {
  channel: Channel;
  kind: string;
  status: string;
  reason?: string;
  at?: string;
}

export interface Asked {
  offer: string;
  patient: string;
  wave: number;
  at: string;
  status: string;
  replied?: string;
  by?: Channel;
  deliveries: Delivery[] | null;
}

export interface Other {
  entry: string;
  patient: string;
  rank?: number;
  class: number;
  waited: number;
  offered: number;
  obstacle?: string;
}

export interface TimelineEvent {
  seq: number;
  at: string;
  event: string;
  who?: string;
  detail?: Record<string, string>;
}

export interface Detail {
  card: Card;
  asked: Asked[] | null;
  others: Other[] | null;
  timeline: TimelineEvent[] | null;
}

export type ActionName = 'approve' | 'pause' | 'resume' | 'send_now' | 'withdraw' | 'book';

export interface Action {
  action: ActionName;
  revision: number;
  entry?: string;
}

export interface Person {
  entry: string;
  name: string;
  status: 'waiting' | 'snoozed' | 'claimed' | 'placed' | 'left';
  specialty: string;
  class: number;
  joined: string;
  channels: Channel[] | null;
  slot?: string;
  offered: number;
}

export interface Enrolment {
  given: string;
  family: string;
  lang: 'fr' | 'en';
  phone?: string;
  email?: string;
  channels: Channel[];
  proof: string;
  source: string;
  specialty: string;
  practitioners?: string[];
  notice_minutes?: number;
  class?: number;
}

export interface Me {
  account: string;
  clinics: ClinicInfo[];
  sandbox: boolean;
  version: string;
}

export interface Problem {
  title?: string;
  status?: number;
  detail?: string;
  code?: string;
  card?: Card;
}

export interface People {
  people: Person[];
  next?: string;
}
