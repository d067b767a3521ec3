package actors

import (
	"testing"
	"time"
)

// TestRest: a quick record system is looked at as configured, a slow one less often, but soon enough.
func TestRest(t *testing.T) {
	for took := time.Duration(0); took <= 1250*time.Millisecond; took += 50 * time.Millisecond {
		wait := max(defaultPoll, rest(took, false))
		if seen := took + wait + took; seen > 5*time.Second {
			t.Errorf("looks of %s: a change is seen after up to %s", took, seen)
		}
		if wait < min(restFor*took, 2*time.Second) {
			t.Errorf("looks of %s come every %s", took, wait)
		}
	}
	if got := rest(20*time.Second, true); got != restMost {
		t.Errorf("a crowd rests %s", got)
	}
	if got := rest(100*time.Millisecond, true); got != 400*time.Millisecond {
		t.Errorf("a quick look in a crowd rests %s", got)
	}
}
