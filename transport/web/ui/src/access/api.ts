// The calls of these pages.
import { call } from '../api';
import type { components } from '../openapi';
import type { Me, Permission, Role } from '../wire';

type Schemas = components['schemas'];
export type Users = Schemas['Users'];
export type User = Schemas['User'];
export type InvitationLink = Schemas['InvitationLink'];
export type Invited = Schemas['Invited'];
export type OwnAccount = Schemas['OwnAccount'];
export type NewToken = Schemas['NewToken'];
export type TOTPOffer = Schemas['TOTPOffer'];
export type AuditLog = Schemas['AuditLog'];
export type Trace = Schemas['Trace'];
export type SignInOptions = Schemas['SignInOptions'];
export type Challenge = Schemas['PasskeyChallenge'];
type PasskeyAnswer = Schemas['PasskeyAnswer'];
type Acceptance = Schemas['Acceptance'];

const users = (clinic: string, rest = '') => `/api/v1/clinics/${encodeURIComponent(clinic)}/users${rest}`;
const user = (clinic: string, id: string, rest = '') => users(clinic, `/${encodeURIComponent(id)}${rest}`);
const own = (rest: string) => `/api/v1/account${rest}`;
const id = (s: string) => encodeURIComponent(s);

export const access = {
  options: () => call<SignInOptions>('GET', '/api/v1/session/options'),
  signIn: (account: string, password: string, code?: string) =>
    call<Me>('POST', '/api/v1/session', { account, password, ...(code ? { code } : {}) }),
  beginPasskeySignIn: () => call<Challenge>('POST', '/api/v1/session/passkey/begin'),
  passkeySignIn: (a: PasskeyAnswer) => call<Me>('POST', '/api/v1/session/passkey', a),

  invitation: (link: string) => call<Invited>('POST', '/api/v1/invitation', { link }),
  accept: (a: Acceptance) => call<Me>('POST', '/api/v1/invitation/accept', a),

  users: (clinic: string) => call<Users>('GET', users(clinic)),
  invite: (clinic: string, role: Role, name: string, mail: string) =>
    call<InvitationLink>('POST', users(clinic, '/invitations'), { role, name, ...(mail ? { mail } : {}) }),
  withdraw: (clinic: string, invitation: string) => call<unknown>('DELETE', users(clinic, `/invitations/${id(invitation)}`)),
  change: (clinic: string, who: string, change: { role?: Role; suspended?: boolean }) => call<Users>('POST', user(clinic, who), change),
  remove: (clinic: string, who: string) => call<unknown>('DELETE', user(clinic, who)),
  reset: (clinic: string, who: string) => call<InvitationLink>('POST', user(clinic, who, '/reset')),

  own: () => call<OwnAccount>('GET', own('')),
  confirm: (password: string, code: string) => call<unknown>('POST', own('/confirm'), { password, ...(code ? { code } : {}) }),
  changePassword: (old: string, next: string) => call<unknown>('POST', own('/password'), { ...(old ? { old } : {}), new: next }),
  beginTOTP: () => call<TOTPOffer>('POST', own('/totp/begin')),
  confirmTOTP: (code: string) => call<{ codes: string[] }>('POST', own('/totp'), { code }),
  dropTOTP: () => call<unknown>('DELETE', own('/totp')),
  recovery: () => call<{ codes: string[] }>('POST', own('/recovery')),
  beginPasskey: () => call<Challenge>('POST', own('/passkeys/begin')),
  addPasskey: (a: PasskeyAnswer) => call<unknown>('POST', own('/passkeys'), a),
  dropPasskey: (key: string) => call<unknown>('DELETE', own(`/passkeys/${id(key)}`)),
  endSession: (session: string) => call<unknown>('DELETE', own(`/sessions/${id(session)}`)),
  endOthers: () => call<unknown>('DELETE', own('/sessions')),
  makeToken: (name: string, clinic: string, scopes: Permission[], days: number) =>
    call<NewToken>('POST', own('/tokens'), { name, clinic, scopes, days }),
  dropToken: (token: string) => call<unknown>('DELETE', own(`/tokens/${id(token)}`)),

  audit: (clinic: string, q: Record<string, string>) =>
    call<AuditLog>('GET', `/api/v1/clinics/${encodeURIComponent(clinic)}/audit?${new URLSearchParams(q)}`),
};
