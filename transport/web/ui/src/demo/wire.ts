// The wire types of the sandbox's own API, as package transport/sandbox defines them.
export interface Line {
  at: string;
  who: 'relais' | 'person' | 'machine';
  say: string;
}

export interface Attached {
  name: string;
  kind: string;
  text?: string;
}

export interface Item {
  id: string;
  at: string;
  kind: 'sms' | 'email' | 'call';
  mine: boolean;
  subject?: string;
  text: string;
  html?: string;
  links?: string[] | null;
  files?: Attached[] | null;
  reply_to?: string;
  leave?: string;
  status: string;
  said?: Line[] | null;
}

export interface Thread {
  id: string;
  name: string;
  phone: string;
  email: string;
  lang: string;
  last: string;
  items: Item[] | null;
}

export interface Carrier {
  down: boolean;
  fail_share: number;
  delay_milli: number;
}

export interface Named {
  id: string;
  name: string;
}

export interface Appointment {
  slot: string;
  id?: string;
  practitioner: string;
  start: string;
  end: string;
  status: 'booked' | 'free' | 'cancelled' | 'blocked';
  patient?: string;
  relais?: boolean;
}

export interface DmeRecord {
  clinic: string;
  name: string;
  fault: string;
  practitioners: Named[] | null;
  appointments: Appointment[] | null;
  changed: string;
}

export interface SandboxState {
  threads: Thread[] | null;
  records: DmeRecord[] | null;
  carrier: Carrier;
  trickle: boolean;
}
