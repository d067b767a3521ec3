// Short names for the wire types. openapi.ts is generated from the Go types by `npm run types`.
import type { components } from './openapi';

type Schemas = components['schemas'];

export type Card = Schemas['Card'];
export type State = Card['state'];
export type Health = Schemas['Health'];
export type Sync = Schemas['Sync'];
export type ClinicInfo = Schemas['ClinicInfo'];
export type Snapshot = Schemas['Snapshot'];
export type Delta = Schemas['Delta'];
export type Ping = Schemas['Ping'];
export type Frame = Schemas['Frame'];
export type Delivery = Schemas['Delivery'];
export type Channel = Delivery['channel'];
export type Asked = Schemas['Asked'];
export type Other = Schemas['Other'];
export type TimelineEvent = Schemas['Event'];
export type Detail = Schemas['Detail'];
export type Link = NonNullable<Detail['chain']>[number];
export type Action = Schemas['Action'];
export type ActionName = Action['action'];
export type Person = Schemas['Person'];
export type People = Schemas['People'];
export type Availability = Schemas['Availability'];
export type Enrolment = Schemas['Enrolment'];
export type Me = Schemas['Me'];
export type Unread = Schemas['Unread'];
export type UnreadEnd = Schemas['UnreadEnd'];
export type UnreadOutcome = Schemas['UnreadOutcome'];
export type Broken = Schemas['Broken'];
export type Contact = Schemas['Contact'];
export type ContactChange = Schemas['ContactChange'];
export type PatientRecord = Schemas['Record'];
export type NoteCheck = Schemas['NoteCheck'];
export type Preview = Schemas['Preview'];
export type Problem = Schemas['Problem'];
