package actors

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"relais/engine"
	"relais/engine/offer"
	"relais/engine/slot"
	"relais/storage"
)

// deed is what an outbox effect asks for.
type deed string

const (
	deedStart       deed = "start"       // notifier: tell about an offer
	deedRemind      deed = "remind"      // notifier
	deedClose       deed = "close"       // notifier
	deedTell        deed = "tell"        // notifier
	deedNote        deed = "note"        // notifier: the front desk wrote something
	deedConfirm     deed = "confirm"     // asker: a question for consent
	deedLetter      deed = "letter"      // asker: a message about no offer
	deedFind        deed = "find"        // asker: look for somebody who joined in the record system
	deedBook        deed = "book"        // dme: write a booking
	deedCancel      deed = "cancel"      // dme: cancel the appointment that was given up
	deedFreed       deed = "freed"       // clinic: the record system freed a slot
	deedOccupied    deed = "occupied"    // clinic: the record system took a slot
	deedLearn       deed = "learn"       // clinic: what an opening that is over showed
	deedUnreachable deed = "unreachable" // slot: every channel of an offer failed
)

// order is one effect of the outbox: who asked, and what is to be done.
type order struct {
	ID      string              `json:"-"`
	Do      deed                `json:"do"`
	Slot    engine.SlotID       `json:"slot,omitempty"`
	Offer   engine.OfferID      `json:"offer,omitempty"`
	Patient engine.PatientID    `json:"patient,omitempty"`
	Msg     engine.MessageKind  `json:"msg,omitempty"`
	Channel engine.Channel      `json:"channel,omitempty"`
	Booking engine.BookingID    `json:"booking,omitempty"`
	Current *engine.Appointment `json:"current,omitempty"`
	Depth   int                 `json:"depth,omitempty"`
	Fact    *engine.SlotFact    `json:"fact,omitempty"`
	Parent  engine.SlotID       `json:"parent,omitempty"`
	Why     string              `json:"why,omitempty"`
	Of      *engine.Slot        `json:"of,omitempty"` // start, tell: what was offered
	Until   time.Time           `json:"until,omitzero"`
	Text    string              `json:"text,omitempty"`  // note
	Phone   engine.Phone        `json:"phone,omitempty"` // note: who wrote; confirm, letter: where it goes
	Email   engine.Email        `json:"email,omitempty"` // letter
	Join    string              `json:"join,omitempty"`  // letter: who joins, while they are no patient
	Begun   bool                `json:"begun,omitempty"` // letter: it may have left
	Asked   bool                `json:"asked,omitempty"` // tell: the person had been sent an offer
	At      time.Time           `json:"at,omitzero"`     // when it was ordered
	Shown   *offer.Evidence     `json:"shown,omitempty"` // learn
}

// orderID makes identifiers that sort by who ordered, then when.
func orderID(from string, version uint64, n int) string {
	return fmt.Sprintf("%s/%012d/%05d", from, version, n)
}

// concerns reports whether a slot ordered it, or carries it out.
func (o order) concerns(c *clinic, id engine.SlotID) bool {
	if o.Fact != nil {
		return engine.NewSlotID(c.ID, o.Fact.Source, o.Fact.Start) == id
	}
	return o.Slot == id
}

func (o order) effect(c engine.ClinicID) storage.Effect {
	return storage.Effect{Clinic: c, ID: o.ID, Data: encode(o)}
}

// slotOrders are the effects of a slot's Step that go through the outbox.
func slotOrders(s slot.State, effects []slot.Effect) []order {
	var orders []order
	for _, e := range effects {
		var o order
		switch e := e.(type) {
		case slot.StartOffer:
			o = order{Do: deedStart, Offer: e.Offer.ID, Patient: e.Offer.Patient, Of: &s.Slot, Until: s.Deadline}
		case slot.Remind:
			o = order{Do: deedRemind, Offer: e.Offer}
		case slot.CloseOffer:
			o = order{Do: deedClose, Offer: e.Offer, Msg: e.Tell}
		case slot.Tell:
			o = order{Do: deedTell, Offer: e.Offer, Msg: e.What, Channel: e.Channel, Of: &s.Slot, Until: s.Deadline}
			if i := slices.IndexFunc(s.Offers, func(of slot.Offer) bool { return of.ID == e.Offer }); i >= 0 {
				o.Patient, o.Asked = s.Offers[i].Patient, s.Offers[i].Wave > 0
			}
		case slot.WriteBooking:
			o = order{Do: deedBook, Offer: s.Winner, Booking: e.Booking, Patient: e.Patient, Of: &s.Slot}
		case slot.CancelCurrent:
			o = order{Do: deedCancel, Current: &e.Appointment, Depth: e.Depth, Parent: s.Slot.ID}
		case slot.SettleEntry, slot.MarkOffered, slot.Note, slot.Alert, slot.Answer:
			continue
		}
		o.Slot, o.At = s.Slot.ID, time.Now().UTC()
		o.ID = orderID(string(s.Slot.ID), s.Version, len(orders))
		orders = append(orders, o)
	}
	return orders
}

// encode makes the stored form of a value of our own types, which cannot fail.
func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// originOf says where a command comes from; "" when nobody knows.
func originOf(ctx context.Context) string {
	from, _ := ctx.Value(engine.OriginKey{}).(string)
	return from
}

// eventData is one line of a timeline as it is stored.
type eventData struct {
	Event  string            `json:"event"`
	Offer  engine.OfferID    `json:"offer,omitempty"`
	By     engine.UserID     `json:"by,omitempty"`
	From   string            `json:"from,omitempty"` // where By's command came from
	Detail map[string]string `json:"detail,omitempty"`
}
