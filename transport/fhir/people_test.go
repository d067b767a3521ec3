package fhir_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"relais/engine"
)

// TestFindPatients: only who has the name, the date of birth and one of the contacts is found.
func TestFindPatients(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client(t, nil)
	p := seed().Patients[0]
	if p.Born.IsZero() || len(p.Contacts) == 0 {
		t.Fatal("the world's first patient needs a date of birth and a contact")
	}
	who := engine.Seeker{Given: p.Given, Family: p.Family, Born: p.Born, Phones: []engine.Phone{p.Contacts[0].Phone}}
	for name, change := range map[string]func(*engine.Seeker){
		"":              func(*engine.Seeker) {},
		"another name":  func(s *engine.Seeker) { s.Given = "Autre" },
		"another day":   func(s *engine.Seeker) { s.Born = s.Born.Add(24 * time.Hour) },
		"another phone": func(s *engine.Seeker) { s.Phones = []engine.Phone{"+14185550199"} },
		"nothing":       func(s *engine.Seeker) { s.Phones = nil },
	} {
		s := who
		change(&s)
		got, err := c.FindPatients(context.Background(), s)
		want := []string{p.Source}
		if name != "" {
			want = []string{}
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v %v", name, got, err)
		}
	}
}
