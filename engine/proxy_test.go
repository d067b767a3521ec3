package engine_test

import (
	"errors"
	"testing"
	"time"

	"relais/engine"
)

func TestReached(t *testing.T) {
	own := engine.Contact{Channel: engine.SMS, Phone: "+15145550101"}
	hers := engine.Contact{Channel: engine.SMS, Phone: "+15145550102", Proxy: "x1"}
	p := engine.Patient{Lang: engine.French, Contacts: []engine.Contact{own, hers}}
	p.Proxies = []engine.Proxy{{ID: "x1", Name: "Anne", Relation: "fille", Lang: engine.English}}
	if got := p.Reached(); len(got) != 1 || got[0].Phone != own.Phone || p.Speaks() != engine.French {
		t.Errorf("before the proxy is chosen offers go to %d contacts in %s", len(got), p.Speaks())
	}
	p.Proxies[0].Chosen = true
	if got := p.Reached(); len(got) != 1 || got[0].Phone != hers.Phone || p.Speaks() != engine.English {
		t.Errorf("once the proxy is chosen offers go to %d contacts in %s", len(got), p.Speaks())
	}
	p.Proxies[0].Archived = time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)
	if got := p.Reached(); len(got) != 1 || got[0].Phone != own.Phone {
		t.Errorf("a proxy that was archived still answers")
	}
}

func TestChangedIsAConflictThatSaysWhoAndWhen(t *testing.T) {
	at := time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)
	var err error = engine.ChangedBy("anne", at, "somebody changed it")
	who, ok := errors.AsType[*engine.Changed](err)
	if !ok || who.By != "anne" || !who.At.Equal(at) || engine.CodeOf(err) != engine.Conflict {
		t.Errorf("%v", err)
	}
}
