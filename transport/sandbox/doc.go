// Package sandbox is the outside world inside the process, for trying Relais without accounts: a
// record system that speaks FHIR R4, a carrier that speaks Twilio's REST API, and a mailbox
// behind an SMTP server. Relais reaches them through the same adapters and over the same
// protocols as the real ones. It is started only by "relais demo" and by tests.
//
// # A carrier that works badly
//
// StartCarrier makes one account; two accounts are two carriers on one Wall, each with its own
// sender and faults. SetChaos makes one work badly, by seed: refusals, answers that never come
// though the message was taken, lost, doubled and reordered callbacks, a whole outage. SetLine, or
// Chaos.Lines for a share of all numbers, says what hangs at a number: nothing, a landline, a
// voicemail, a network that filters our texts.
//
//	first, err := sandbox.StartCarrier(sandbox.CarrierConfig{
//		Wall: wall, AccountSID: "AC01", AuthToken: token, From: "+15145550100", Seed: 7,
//		Second: time.Millisecond, // no human pacing: 25 s of ringing are 25 ms
//		Arrived: func(a sandbox.Arrival) { ... first.TextFrom(a.Phone, "OUI"), first.Answer(a.SID), first.Press(a.SID, "1") ... },
//	})
//	err = first.SetChaos(sandbox.Chaos{
//		Refused: 0.05, Timeout: 0.02, Undelivered: 0.02, Lost: 0.01, Doubled: 0.1, Reordered: 0.1,
//		Lines: map[sandbox.LineKind]float64{sandbox.LineGone: 0.03, sandbox.LineLandline: 0.05, sandbox.LineFiltered: 0.01},
//	})
//	err = first.SetChaos(sandbox.Chaos{Outage: sandbox.OutErrors}) // until the next SetChaos
package sandbox
