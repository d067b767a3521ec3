package actors

import (
	"context"
	"errors"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/desk"
	"relais/engine/reach"
	"relais/engine/slot"
	"relais/engine/wording"
	"relais/storage"
)

// SettleUnread answers a conversation of Unread, or its offer on behalf of the person, or marks it as
// done, once per key. A yes that comes too late leaves it where it is, so that somebody tells the
// person. Errors are those of AnswerUnread.
func (r *Relais) SettleUnread(ctx context.Context, id engine.ClinicID, by engine.UserID, key string, in desk.UnreadEnd) (desk.UnreadOutcome, error) {
	c, err := r.clinic(id)
	if err != nil {
		return desk.UnreadOutcome{}, err
	}
	out := desk.UnreadOutcome{Settled: true}
	if in.Decision != "" {
		if out, err = r.onBehalf(ctx, c, key, in); err != nil || !out.Settled {
			return out, err
		}
	}
	return out, r.AnswerUnread(ctx, id, by, key, in.ID, desk.UnreadAnswer{Revision: in.Revision, Text: in.Text})
}

func (r *Relais) onBehalf(ctx context.Context, c *clinic, key string, in desk.UnreadEnd) (desk.UnreadOutcome, error) {
	u, ok := c.unread.get(in.ID)
	if done, err := r.keyUsed(ctx, c, key); done || err != nil {
		return desk.UnreadOutcome{Settled: true}, err
	}
	switch {
	case !ok:
		return desk.UnreadOutcome{}, r.settledBy(ctx, c, in.ID)
	case u.version != in.Revision:
		return desk.UnreadOutcome{}, engine.Errorf(engine.Conflict, "the person wrote more meanwhile; read it first")
	case u.value.Offer == "":
		return desk.UnreadOutcome{}, engine.Errorf(engine.Conflict, "this person has no offer to answer")
	}
	offer := u.value.Offer
	kind, err := system.AskIn[slot.Reply, engine.AnswerKind](ctx, r.slots, offer.Slot(), slot.Reply{
		Offer: offer, Yes: in.Decision == engine.Yes, Channel: engine.Desk, ID: key,
	})
	if err != nil {
		return desk.UnreadOutcome{}, err
	}
	r.offers.Ref(offer).Send(offerInput{in: []reach.Input{reach.Replied{Channel: engine.Desk}}})
	want := kind == engine.AnsDeclined
	if in.Decision == engine.Yes {
		want = kind == engine.AnsBooked || kind == engine.AnsFinalising
	}
	return desk.UnreadOutcome{Settled: want, Answer: kind}, nil
}

// keyUsed reports whether the command of a key was carried out before.
func (r *Relais) keyUsed(ctx context.Context, c *clinic, key string) (bool, error) {
	if key == "" {
		return false, nil
	}
	_, err := r.store.Get(ctx, commandKey(c.ID, key))
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, unavailable(err)
	}
	return true, nil
}

// CheckNote shows what a note to a patient would be as an SMS.
func (r *Relais) CheckNote(_ context.Context, id engine.ClinicID, lang engine.Lang, text string) (wording.NoteCheck, error) {
	c, err := r.clinic(id)
	if err != nil {
		return wording.NoteCheck{}, err
	}
	return wording.CheckNote(c.Clinic, lang, text), nil
}
