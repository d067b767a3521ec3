// Package hl7 works with record systems that speak HL7 v2 (2.3 to 2.5.1) over MLLP: a Listener takes
// what they send of their schedules (SIU^S12 to S26), and a Connector for each clinic keeps a durable
// picture made of those messages, and asks for bookings and cancellations (SRM^S01, S04).
//
// A Listener and a Connector are safe for concurrent use. A message is answered only after what it
// says was kept. Errors of a Connector are *engine.DMEFailure whose words carry no personal data and
// nothing that a record system wrote in prose.
//
// Caveats. HL7 v2 has no way to read a schedule: the picture knows only what was sent since it began,
// so a slot is known once an appointment was on it, and a message that the sender lost is missed.
// No name, birth date, telephone number or health card of a patient is kept from what is received.
package hl7
