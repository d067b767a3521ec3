package actors

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/desk"
)

// TestTimelineSaysFromWhere: what a person does to a slot and to the mode stands on the timeline with where they were;
// what follows by itself does not.
func TestTimelineSaysFromWhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 3, nil)
		w.wait(time.Minute)
		const from = "203.0.113.9 session"
		ctx := context.WithValue(context.Background(), engine.OriginKey{}, from)
		if _, err := w.Act(ctx, "a", w.slotID("a", "S1"), "clerk", "k1", desk.Action{Action: "pause"}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.SetMode(ctx, "a", "clerk", "k2", desk.ModeChange{Mode: engine.Shadow}); err != nil {
			t.Fatal(err)
		}
		for _, subject := range []string{string(w.slotID("a", "S1")), modeSubject} {
			events, err := w.store.Timeline(ctx, "a", subject, 0, 1000)
			if err != nil || len(events) == 0 {
				t.Fatalf("%s: %d events, %v", subject, len(events), err)
			}
			found := 0
			for _, e := range events {
				var line eventData
				if err := json.Unmarshal(e.Data, &line); err != nil {
					t.Fatal(err)
				}
				if line.By == "clerk" && line.From == from {
					found++
				} else if line.From != "" {
					t.Errorf("%s: %+v", subject, line)
				}
			}
			if found == 0 {
				t.Errorf("%s: nothing says %s", subject, from)
			}
		}
	})
}
