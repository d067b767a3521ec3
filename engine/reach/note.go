package reach

import (
	"relais/engine"
)

// MaxNotes is how many notes of the front desk one offer carries.
const MaxNotes = 3

// note queues what the front desk wrote. A refusal is told, so that somebody calls the person.
func (t *turn) note(in Note) error {
	c := NoteContact(t.Person.Contacts, in.Phone)
	switch {
	case in.Text == "":
		return engine.Errorf(engine.Invalid, "the note is empty")
	case c < 0:
		return engine.Errorf(engine.Conflict, "nothing can be written to this person; call them")
	case Notes(t.Deliveries) >= MaxNotes || !t.queue(engine.MsgNote, c, 1, t.now):
		return engine.Errorf(engine.TooMany, "too much was written to this person about this slot; call them")
	}
	t.Deliveries[len(t.Deliveries)-1].Text = in.Text
	return nil
}

// Notes counts the notes among the deliveries, each once.
func Notes(deliveries []Delivery) int {
	n := 0
	for _, d := range deliveries {
		if d.Kind == engine.MsgNote && d.Try == 1 {
			n++
		}
	}
	return n
}

// NoteContact returns the contact that a note goes to: the telephone that wrote, else the first for
// texts, else the first for e-mail; -1 when there is none.
func NoteContact(contacts []engine.Contact, wrote engine.Phone) int {
	best, rank := -1, 0
	for i, c := range contacts {
		r := 0
		switch {
		case !reachable(contacts, i):
		case c.Channel == engine.SMS && c.Phone == wrote:
			r = 3
		case c.Channel == engine.SMS:
			r = 2
		case c.Channel == engine.EmailMail:
			r = 1
		}
		if r > rank {
			best, rank = i, r
		}
	}
	return best
}
