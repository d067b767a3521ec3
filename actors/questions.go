package actors

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"relais/engine"
	"relais/engine/wording"
	"relais/storage"
)

// What a reply may have answered that is no offer; see replyRecord.About.
const (
	aboutJoin  = "join"
	aboutStill = "still"
)

// questioned takes a text as the answer to a question that is about no offer: whether we may write there,
// whether a telephone belongs to who joins, whether somebody is still looking. People answer what they read
// last. ok is false when the reply is about something else.
func (r *Relais) questioned(ctx context.Context, in engine.Reply) (a engine.Answer, ok bool, err error) {
	if a, ok, err := r.answeredBefore(ctx, in); ok || err != nil {
		return a, ok, err
	}
	var offered, asked time.Time
	if open, _, _ := r.replies.of(in.Phone); len(open) > 0 {
		offered = open[len(open)-1].made
	}
	yesOrNo := in.Intent == engine.Yes || in.Intent == engine.No
	if yesOrNo {
		_, _, asked, _, _ = r.takeConsent(in)
	}
	who, still := r.stillAsked(in.Phone)
	if a, ok, err := r.joining(ctx, in, latest(offered, asked, still)); ok || err != nil || !yesOrNo {
		return a, ok, err
	}
	if !still.IsZero() && !latest(offered, asked).After(still) {
		return r.saysStill(ctx, in, who)
	}
	return r.confirmed(ctx, in)
}

func latest(times ...time.Time) (last time.Time) {
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// answeredBefore gives a reply that the carrier brings again the answer that it had.
func (r *Relais) answeredBefore(ctx context.Context, in engine.Reply) (a engine.Answer, ok bool, err error) {
	if in.ID == "" {
		return a, false, nil
	}
	rec, err := r.store.Get(ctx, replyKey(in.ID))
	if errors.Is(err, storage.ErrNotFound) {
		return a, false, nil
	}
	var was replyRecord
	if err == nil {
		err = json.Unmarshal(rec.Data, &was)
	}
	if err != nil {
		return a, false, unavailable(err)
	}
	a = engine.Answer{Lang: cmp.Or(in.Lang, engine.French)}
	switch {
	case was.About == aboutJoin && was.Intent == engine.Yes:
		a.Kind = engine.AnsJoined
		return a, true, nil // the welcome said it
	case was.About == aboutJoin:
		a.Kind = engine.AnsNotJoined
	case was.About == aboutStill && was.Intent == engine.Yes:
		a.Kind = engine.AnsStays
	case was.About == aboutStill:
		a.Kind = engine.AnsLeaves
	default:
		return a, false, nil
	}
	a.Text = wording.Answer(a.Kind, engine.SMS, a.Lang, wording.Facts{})
	return a, true, nil
}

func decodeInto(data []byte, v any) bool { return json.Unmarshal(data, v) == nil }
