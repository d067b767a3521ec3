// Package twilio sends texts and places calls through Twilio's REST API (2010-04-01), and takes
// what Twilio sends back: replies, receipts, key presses and answering-machine verdicts.
//
// Client and the handler of Hooks are safe for concurrent use. Every wait, body and connection
// has a limit; see Limits.
//
// Twilio has no idempotency key. So an outcome is Failed only when the request certainly had no
// effect, and Unknown as soon as one byte of it may have arrived: the caller must not send an
// Unknown message again. Each request carries the attempt's identifier in its callback URLs, so
// a later callback resolves an Unknown.
//
// # What callbacks become
//
// Callbacks come late, doubled and out of order; the receiver of receipts puts them in order.
//
//	message: sent                      ReceiptSent
//	message: delivered, read           ReceiptDelivered
//	message: undelivered, failed       ReceiptFailed, Reason by error code
//	message: canceled                  ReceiptFailed, Dropped
//	call: ringing, in-progress         ReceiptSent
//	call: human verdict                ReceiptAnswered
//	call: human verdict, prompt played ReceiptDelivered
//	call: key pressed, words spoken    ReceiptDelivered, and the Reply
//	call: machine verdict              ReceiptMachine, voicemail left
//	call: busy, no-answer, failed      ReceiptFailed: Busy, Unreached, CarrierDown or BadContact
//	call: canceled                     ReceiptFailed, Dropped
//	call: completed                    nothing: it says neither who listened nor what was heard
//
// Whether a verdict and a played prompt belong to the same call is remembered in memory for the
// last calls only; a restart in the middle of a call loses that proof and nothing else.
package twilio
