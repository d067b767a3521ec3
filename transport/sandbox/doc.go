// Package sandbox is the outside world inside the process, for trying Relais without accounts: a
// record system that speaks FHIR R4, a carrier that speaks Twilio's REST API, and a mailbox
// behind an SMTP server. Relais reaches them through the same adapters and over the same
// protocols as the real ones. It is started only by "relais demo".
package sandbox
