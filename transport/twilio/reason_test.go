package twilio

import (
	"testing"

	"relais/engine"
)

func TestCodes(t *testing.T) {
	for _, x := range []struct {
		code, status int
		reason       engine.Reason
		retry        bool
	}{
		{20429, 429, engine.RateLimited, true},
		{0, 429, engine.RateLimited, true},
		{21610, 400, engine.OptedOut, false},
		{21211, 400, engine.BadContact, false},
		{21614, 400, engine.BadContact, false},
		{30005, 0, engine.BadContact, false},
		{30006, 0, engine.Landline, false},
		{21635, 400, engine.Landline, false},
		{30003, 0, engine.Unreached, true},
		{30008, 0, engine.Unreached, true},
		{30007, 0, engine.Filtered, false},
		{30036, 0, engine.TooLate, false},
		{30001, 0, engine.RateLimited, true},
		{21611, 400, engine.RateLimited, true},
		{30410, 0, engine.CarrierDown, true},
		{20003, 401, engine.AccountFault, false},
		{21606, 400, engine.AccountFault, false},
		{30032, 0, engine.AccountFault, false},
		{30034, 0, engine.AccountFault, false},
		{0, 503, engine.CarrierDown, true},
		{0, 301, engine.AccountFault, false},
		{99999, 400, engine.AccountFault, false},
		{99999, 0, engine.CarrierDown, false},
	} {
		if v := judge(x.code, x.status); v.reason != x.reason || v.retry != x.retry {
			t.Errorf("code %d, status %d: %+v", x.code, x.status, v)
		}
	}
	for _, x := range []struct {
		status, sip string
		want        engine.Reason
	}{
		{"busy", "486", engine.Busy},
		{"no-answer", "", engine.Unreached},
		{"canceled", "487", engine.Dropped},
		{"failed", "404", engine.BadContact},
		{"failed", "480", engine.Unreached},
		{"failed", "503", engine.CarrierDown},
	} {
		if got := callReason(x.status, x.sip, 0); got != x.want {
			t.Errorf("%s %s: %s", x.status, x.sip, got)
		}
	}
}
