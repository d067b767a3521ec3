package actors

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/reach"
	"relais/storage"
)

// The bounds of what waits for the front desk. What does not fit any more leaves the queue, and stays
// on the timeline.
const (
	mostUnread      = 500  // conversations of a clinic
	mostUnreadTexts = 10   // of a conversation, the newest
	mostText        = 1600 // characters of one text
)

// unreadRecord is one conversation as it is stored.
type unreadRecord struct {
	Patient engine.PatientID  `json:"patient"`
	Offer   engine.OfferID    `json:"offer,omitempty"`
	Start   time.Time         `json:"start,omitzero"` // of the slot
	Channel engine.Channel    `json:"channel"`
	Phone   engine.Phone      `json:"phone,omitempty"` // that wrote
	Lang    engine.Lang       `json:"lang"`
	Since   time.Time         `json:"since"`
	Texts   []desk.UnreadText `json:"texts"`
	Earlier int               `json:"earlier,omitempty"`
}

// subject is the timeline that keeps what was written.
func (u unreadRecord) subject() string {
	if u.Offer != "" {
		return string(u.Offer.Slot())
	}
	return "patient/" + string(u.Patient)
}

// id names the conversation: one for each offer, or for a patient without one.
func (u unreadRecord) id() string {
	if u.Offer != "" {
		return string(u.Offer)
	}
	return "patient/" + string(u.Patient)
}

// unread is a clinic's queue in memory, as the store has it. Safe for concurrent use.
type unread struct {
	mu    sync.Mutex
	items map[string]stored[unreadRecord]
}

func newUnread() *unread { return &unread{items: map[string]stored[unreadRecord]{}} }

func (u *unread) get(id string) (stored[unreadRecord], bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	i, ok := u.items[id]
	return i, ok
}

func (u *unread) put(id string, rec stored[unreadRecord]) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if old, ok := u.items[id]; !ok || old.version < rec.version {
		u.items[id] = rec
	}
}

func (u *unread) remove(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.items, id)
}

// list returns the conversations, the one that waits longest first.
func (u *unread) list() []stored[unreadRecord] {
	u.mu.Lock()
	defer u.mu.Unlock()
	list := make([]stored[unreadRecord], 0, len(u.items))
	for _, i := range u.items {
		list = append(list, i)
	}
	slices.SortFunc(list, func(a, b stored[unreadRecord]) int {
		return cmp.Or(a.value.Since.Compare(b.value.Since), strings.Compare(a.value.id(), b.value.id()))
	})
	return list
}

func unreadKey(c engine.ClinicID, id string) storage.Key {
	return storage.Key{Clinic: c, Kind: storage.KindUnread, ID: id}
}

func (r *Relais) loadUnread(ctx context.Context, c *clinic) error {
	return r.scan(ctx, c.ID, storage.KindUnread, func(rec storage.Record) error {
		var u unreadRecord
		err := json.Unmarshal(rec.Data, &u)
		c.unread.put(rec.Key.ID, stored[unreadRecord]{u, rec.Version})
		return err
	})
}

// keepUnread puts a text that no rule could read before the front desk, and on the timeline. It returns
// false where the conversation waits already, so that the person is not told the same again.
func (r *Relais) keepUnread(ctx context.Context, c *clinic, u unreadRecord, in engine.Reply) (isNew bool, err error) {
	text := []rune(in.Text)
	words := string(text[:min(len(text), mostText)])
	id := u.id()
	for try := 0; ; try++ {
		now := time.Now().UTC()
		old, waits := c.unread.get(id)
		next := u
		next.Since = now
		if waits {
			next = old.value
			next.Channel, next.Phone = u.Channel, cmp.Or(u.Phone, next.Phone)
		}
		next.Texts = append(slices.Clone(next.Texts), desk.UnreadText{At: now, Text: words})
		if over := len(next.Texts) - mostUnreadTexts; over > 0 {
			next.Texts, next.Earlier = next.Texts[over:], next.Earlier+over
		}
		b := storage.Batch{
			Puts: []storage.Put{{Key: unreadKey(c.ID, id), Expect: old.version, Data: encode(next)}},
			Events: []storage.Event{{Clinic: c.ID, Subject: u.subject(), At: now, Data: encode(eventData{
				Event: "unclear", Offer: u.Offer, Detail: map[string]string{"channel": string(in.Channel), "text": words},
			})}},
		}
		if in.ID != "" {
			b.Puts = append(b.Puts, storage.Put{Key: replyKey(in.ID), Data: encode(replyRecord{Intent: in.Intent, Offer: u.Offer, At: now})})
		}
		pushed := r.makeRoom(c, id, &b)
		err := r.store.Commit(ctx, b)
		switch {
		case err == nil:
			c.unread.put(id, stored[unreadRecord]{next, old.version + 1})
			if pushed != "" {
				c.unread.remove(pushed)
				r.opt.Metrics.Alert(c.ID, "unread_full")
			}
			return !waits, nil
		case !errors.Is(err, storage.ErrStale) || try >= mostRetries:
			return false, unavailable(err)
		}
		if in.ID != "" {
			if _, err := r.store.Get(ctx, replyKey(in.ID)); err == nil {
				return true, nil // the carrier brought it before, and gets the same answer
			}
		}
		if err := r.rereadUnread(ctx, c, id, pushed); err != nil {
			return false, err
		}
	}
}

// makeRoom takes the oldest conversation out of a full queue.
func (r *Relais) makeRoom(c *clinic, id string, b *storage.Batch) (pushed string) {
	list := c.unread.list()
	if len(list) < mostUnread || slices.ContainsFunc(list, func(s stored[unreadRecord]) bool { return s.value.id() == id }) {
		return ""
	}
	pushed = list[0].value.id()
	b.Puts = append(b.Puts, storage.Put{Key: unreadKey(c.ID, pushed), Expect: list[0].version, Delete: true})
	return pushed
}

func (r *Relais) rereadUnread(ctx context.Context, c *clinic, ids ...string) error {
	for _, id := range ids {
		if id == "" {
			continue
		}
		rec, err := r.store.Get(ctx, unreadKey(c.ID, id))
		var u unreadRecord
		switch {
		case errors.Is(err, storage.ErrNotFound):
			c.unread.remove(id)
			continue
		case err == nil:
			err = json.Unmarshal(rec.Data, &u)
		}
		if err != nil {
			return unavailable(err)
		}
		c.unread.put(id, stored[unreadRecord]{u, rec.Version})
	}
	return nil
}

// Unread lists what people of a clinic wrote that no rule could read, the one that waits longest
// first, at most 500. Errors are *engine.Error.
func (r *Relais) Unread(_ context.Context, id engine.ClinicID) ([]desk.Unread, error) {
	c, err := r.clinic(id)
	if err != nil {
		return nil, err
	}
	list := []desk.Unread{}
	for _, item := range c.unread.list() {
		u := item.value
		list = append(list, desk.Unread{
			ID: u.id(), Revision: item.version, Person: u.Patient, Patient: r.label(u.Patient), Slot: u.Offer.Slot(), Start: when(u.Start),
			Since: u.Since, Channel: u.Channel, Lang: u.Lang, Texts: slices.Clone(u.Texts), Earlier: u.Earlier, Open: r.mayWrite(u),
		})
	}
	return list, nil
}

// mayWrite reports whether a note can still leave about the offer.
func (r *Relais) mayWrite(u unreadRecord) bool {
	if u.Offer == "" || !time.Now().Before(u.Start) {
		return false
	}
	p, _, ok := r.waitlist.patient(u.Patient)
	return ok && reach.NoteContact(p.Reached(), u.Phone) >= 0
}

// mostNote bounds what the front desk writes: two segments, with the clinic's name.
const mostNote = 300

// AnswerUnread ends one conversation of Unread, once per key: the text, if there is one, leaves to the
// person like every other message, in a commit with the end. Errors are *engine.Error: NotFound when
// somebody else ended it, Conflict when the person wrote more meanwhile or nothing can be written.
func (r *Relais) AnswerUnread(ctx context.Context, id engine.ClinicID, by engine.UserID, key, item string, a desk.UnreadAnswer) error {
	c, err := r.clinic(id)
	if err != nil {
		return err
	}
	if key != "" {
		_, err := r.store.Get(ctx, commandKey(c.ID, key))
		if err == nil {
			return nil
		}
		if !errors.Is(err, storage.ErrNotFound) {
			return unavailable(err)
		}
	}
	u, ok := c.unread.get(item)
	text := strings.TrimSpace(a.Text)
	switch {
	case !ok:
		return r.settledBy(ctx, c, item)
	case a.Revision != u.version:
		return engine.Errorf(engine.Conflict, "the person wrote more meanwhile; read it first")
	case len([]rune(text)) > mostNote:
		return engine.Errorf(engine.Invalid, "an answer has at most %d characters", mostNote)
	case text != "" && !r.mayWrite(u.value):
		return engine.Errorf(engine.Conflict, "nothing can be written to this person any more; call them")
	}
	now := time.Now().UTC()
	b := storage.Batch{
		Puts: []storage.Put{{Key: unreadKey(c.ID, item), Expect: u.version, Delete: true}},
		Events: []storage.Event{{Clinic: c.ID, Subject: u.value.subject(), At: now, Data: encode(eventData{
			Event: "unclear_answered", By: by, From: originOf(ctx), Detail: map[string]string{"text": text, "offer": string(u.value.Offer)},
		})}},
	}
	if key != "" {
		b.Puts = append(b.Puts, storage.Put{Key: commandKey(c.ID, key), Data: []byte("{}")})
	}
	o := order{
		ID: orderID("note/"+item, u.version, now.Nanosecond()), Do: deedNote, Slot: u.value.Offer.Slot(), Offer: u.value.Offer,
		Text: text, Phone: u.value.Phone, At: now,
	}
	if text != "" {
		if err := r.roomForNote(ctx, u.value.Offer); err != nil {
			return err
		}
		b.Effects = []storage.Effect{o.effect(c.ID)}
	}
	err = r.store.Commit(ctx, b)
	if errors.Is(err, storage.ErrStale) {
		if err := r.rereadUnread(ctx, c, item); err != nil {
			return err
		}
		return engine.Errorf(engine.Conflict, "this message was changed or settled meanwhile")
	}
	if err != nil {
		return unavailable(err)
	}
	c.unread.remove(item)
	if text != "" {
		r.carryOut(c, o)
	}
	return nil
}

// settledBy says that a conversation is not there any more, and who ended it when the timeline knows.
func (r *Relais) settledBy(ctx context.Context, c *clinic, item string) error {
	gone := engine.Errorf(engine.NotFound, "this message was settled already")
	u := unreadRecord{Patient: engine.PatientID(strings.TrimPrefix(item, "patient/"))}
	if !strings.HasPrefix(item, "patient/") {
		u.Offer = engine.OfferID(item)
	}
	events, err := r.store.Timeline(ctx, c.ID, u.subject(), 0, pageSize)
	if err != nil {
		return unavailable(err)
	}
	for _, e := range slices.Backward(events) {
		var data eventData
		if err := json.Unmarshal(e.Data, &data); err != nil || data.Event != "unclear_answered" || data.Detail["offer"] != string(u.Offer) {
			continue
		}
		gone.Err = &engine.Changed{By: data.By, At: e.At}
		break
	}
	return gone
}

func (r *Relais) roomForNote(ctx context.Context, o engine.OfferID) error {
	s, err := r.offerState(ctx, o)
	if err != nil {
		return err
	}
	if reach.Notes(s.Deliveries) >= reach.MaxNotes {
		return engine.Errorf(engine.Conflict, "enough was written to this person about this slot; call them")
	}
	return nil
}
