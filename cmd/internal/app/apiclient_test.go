package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"relais/transport/web/apiclient"
)

// TestGeneratedClientIsCurrent wants the client made from the description as it is.
func TestGeneratedClientIsCurrent(t *testing.T) {
	spec, err := os.ReadFile(filepath.Join(top, "docs", "openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	made, err := os.ReadFile(filepath.Join(top, "transport", "web", "apiclient", "openapi.sha256"))
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(spec); hex.EncodeToString(sum[:]) != strings.TrimSpace(string(made)) {
		t.Error("transport/web/apiclient was made from another docs/openapi.json: run make api")
	}
}

// TestBookingByAnotherProgram goes the way of docs/api.md with the generated client: a token, the calendar, a slot
// given by hand, and what a token may not do.
func TestBookingByAnotherProgram(t *testing.T) {
	t.Parallel()
	const clinic = "dermatologie"
	ctx := t.Context()
	p := demo(t, dataDir(t), nil)
	p.healthy(clinic)
	person, err := apiclient.NewClientWithResponses(p.url, apiclient.WithHTTPClient(p.http)) // signed in by its cookie
	if err != nil {
		t.Fatal(err)
	}
	made, err := person.MakeTokenWithResponse(ctx, apiclient.TokenRequest{
		Name: "intranet", Clinic: clinic, Days: 1, Scopes: &[]apiclient.TokenRequestScopes{"look", "work"},
	})
	if err != nil || made.JSON201 == nil {
		t.Fatalf("%v: %s", err, made.Body)
	}
	c, err := apiclient.NewClientWithResponses(p.url, apiclient.WithRequestEditorFn(func(_ context.Context, req *http.Request) error {
		req.Header.Set("Authorization", "Bearer "+made.JSON201.Secret)
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	p.opened(clinic, p.cancel(clinic, 3))
	var slot string
	eventually(t, "a slot is offered", func() bool {
		calendar, err := c.CalendarWithResponse(ctx, clinic)
		if err != nil || calendar.JSON200 == nil {
			t.Fatalf("%v: %s", err, calendar.Body)
		}
		for _, card := range *calendar.JSON200.Cards {
			if card.State == "offered" {
				slot = card.ID
			}
		}
		return slot != ""
	})
	detail, err := c.SlotWithResponse(ctx, clinic, slot)
	if err != nil || detail.JSON200 == nil {
		t.Fatalf("%v: %s", err, detail.Body)
	}
	var next apiclient.Other
	for _, o := range *detail.JSON200.Others {
		if o.Rank != nil && o.Obstacle == nil && next.Entry == "" {
			next = o
		}
	}
	give := apiclient.Action{Action: "book", Revision: detail.JSON200.Card.Revision, Entry: &next.Entry}
	key := &apiclient.ActParams{IdempotencyKey: rand.Text()}
	for range 2 { // the second is a repetition of the first
		done, err := c.ActWithResponse(ctx, clinic, slot, key, give)
		if err != nil || done.JSON200 == nil || done.JSON200.Patient == nil || *done.JSON200.Patient != next.Patient {
			t.Fatalf("%v: %s", err, done.Body)
		}
	}
	late, err := c.ActWithResponse(ctx, clinic, slot, &apiclient.ActParams{IdempotencyKey: rand.Text()}, give)
	if err != nil || late.StatusCode() != http.StatusConflict || late.ApplicationProblemJSONDefault.Card == nil {
		t.Errorf("an old revision: %v: %s", err, late.Body)
	}
	eventually(t, "the record system has the booking", func() bool {
		d, err := c.SlotWithResponse(ctx, clinic, slot)
		return err == nil && d.JSON200 != nil && d.JSON200.Card.State == "confirmed"
	})
	for _, a := range p.record(clinic).Appointments {
		if a.Start.Equal(detail.JSON200.Card.Start) && a.Practitioner == detail.JSON200.Card.Practitioner && (!a.Relais || a.Patient != next.Patient) {
			t.Errorf("the record system has %+v", a)
		}
	}
	if other, err := c.CalendarWithResponse(ctx, "famille"); err != nil || other.StatusCode() != http.StatusNotFound {
		t.Errorf("another clinic: %v: %s", err, other.Body)
	}
	if users, err := c.UsersWithResponse(ctx, clinic); err != nil || users.StatusCode() != http.StatusForbidden {
		t.Errorf("what the token may not do: %v: %s", err, users.Body)
	}
}
