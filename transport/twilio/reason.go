package twilio

import (
	"net/http"

	"relais/engine"
)

// verdict is what an error code means to whoever sent the message.
type verdict struct {
	reason engine.Reason
	retry  bool // the same message may work a little later
}

// codes gives the meaning of Twilio's error codes, of requests and of callbacks alike. Source:
// https://www.twilio.com/docs/api/errors.
var codes = map[int]verdict{
	20429: {engine.RateLimited, true}, // never processed
	21611: {engine.RateLimited, true}, // the sender's queue is full
	30001: {engine.RateLimited, true}, // queue overflow
	30036: {engine.TooLate, false},    // the validity period ran out in the queue

	21610: {engine.OptedOut, false},

	13223: {engine.BadContact, false}, // calls: not a phone number
	13224: {engine.BadContact, false},
	21211: {engine.BadContact, false},
	21214: {engine.BadContact, false}, // calls: cannot be reached
	21217: {engine.BadContact, false},
	21612: {engine.BadContact, false}, // no route from this sender
	21614: {engine.BadContact, false},
	30005: {engine.BadContact, false}, // unknown destination

	21635: {engine.Landline, false},
	30006: {engine.Landline, false},

	30003: {engine.Unreached, true}, // the phone is off
	30008: {engine.Unreached, true}, // unknown error at the carrier

	30004: {engine.Filtered, false},
	30007: {engine.Filtered, false},

	20500: {engine.CarrierDown, true},
	20503: {engine.CarrierDown, true},
	30410: {engine.CarrierDown, true}, // the provider timed out

	20003: {engine.AccountFault, false}, // credentials
	20005: {engine.AccountFault, false}, // account not active
	20006: {engine.AccountFault, false},
	21212: {engine.AccountFault, false}, // the sender is not a number
	21215: {engine.AccountFault, false}, // calls: region not permitted
	21222: {engine.AccountFault, false}, // malformed user name
	21224: {engine.AccountFault, false}, // malformed password
	21408: {engine.AccountFault, false}, // texts: region not permitted
	21606: {engine.AccountFault, false}, // the sender cannot send texts
	21608: {engine.AccountFault, false}, // trial account, number not verified
	21617: {engine.AccountFault, false}, // longer than 1,600 characters
	21703: {engine.AccountFault, false}, // messaging service without senders
	30002: {engine.AccountFault, false}, // account suspended
	30032: {engine.AccountFault, false}, // toll-free number not verified
	30034: {engine.AccountFault, false}, // sender not registered
}

// judge says what an error code means; status is the HTTP status of the answer that carried it,
// 0 when it came in a callback.
func judge(code, status int) verdict {
	if v, ok := codes[code]; ok {
		return v
	}
	switch {
	case status == http.StatusTooManyRequests:
		return verdict{engine.RateLimited, true}
	case status == http.StatusServiceUnavailable:
		return verdict{engine.CarrierDown, true}
	case status >= 300 && status < 500:
		// Refused for a reason we do not know: what we asked is wrong, so asking again is useless.
		return verdict{engine.AccountFault, false}
	}
	return verdict{engine.CarrierDown, false}
}

// callReason says why a call that ended without being answered did not work.
func callReason(status, sip string, code int) engine.Reason {
	switch status {
	case "busy":
		return engine.Busy
	case "no-answer":
		return engine.Unreached
	case "canceled":
		return engine.Dropped
	}
	if v, ok := codes[code]; ok {
		return v.reason
	}
	switch sip {
	case "404", "484", "604": // not found, address incomplete, does not exist anywhere
		return engine.BadContact
	case "480", "408": // temporarily unavailable, timeout
		return engine.Unreached
	}
	return engine.CarrierDown
}

// textStatus reads the status of a text; "" says nothing new.
func textStatus(status string, code int) (engine.ReceiptStatus, engine.Reason) {
	switch status {
	case "sent":
		return engine.ReceiptSent, ""
	case "delivered", "read":
		return engine.ReceiptDelivered, ""
	case "undelivered", "failed":
		return engine.ReceiptFailed, judge(code, 0).reason
	case "canceled":
		return engine.ReceiptFailed, engine.Dropped
	}
	return "", ""
}

// callStatus reads the status of a call; "" says nothing new.
func callStatus(status, sip string, code int) (engine.ReceiptStatus, engine.Reason) {
	switch status {
	case "ringing", "in-progress":
		return engine.ReceiptSent, ""
	case "busy", "no-answer", "failed", "canceled":
		return engine.ReceiptFailed, callReason(status, sip, code)
	}
	return "", ""
}
