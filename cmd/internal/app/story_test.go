package app

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"relais/engine"
	"relais/engine/desk"
	"relais/transport/sandbox"
)

// browser is a page on the live feed: it holds the calendar as the frames make it.
type browser struct {
	t      *testing.T
	p      *process
	clinic string
	conn   *websocket.Conn
	epoch  string
	seq    uint64
	cards  map[string]desk.Card
	health desk.Health
	states map[string][]desk.State // that each card went through
	snaps  int
}

func browse(t *testing.T, p *process, clinic string) *browser {
	t.Helper()
	b := &browser{t: t, p: p, clinic: clinic, cards: map[string]desk.Card{}, states: map[string][]desk.State{}}
	b.connect()
	return b
}

// connect opens the feed where the page was.
func (b *browser) connect() {
	b.t.Helper()
	at := fmt.Sprintf("%s/ws/calendar?clinic=%s&epoch=%s&seq=%d", strings.Replace(b.p.url, "http", "ws", 1), b.clinic, url.QueryEscape(b.epoch), b.seq)
	conn, _, err := websocket.Dial(soon(b.t), at, &websocket.DialOptions{HTTPClient: &http.Client{Jar: b.p.http.Jar}}) //nolint:bodyclose // the library owns it
	if err != nil {
		b.t.Fatal(err)
	}
	conn.SetReadLimit(8 << 20)
	b.conn = conn
	b.t.Cleanup(func() { _ = conn.CloseNow() })
}

// read takes in one frame. Sequences have no gap.
func (b *browser) read() {
	b.t.Helper()
	_, data, err := b.conn.Read(soon(b.t))
	if err != nil {
		b.t.Fatalf("the feed: %v", err)
	}
	var f desk.Frame
	if err := json.Unmarshal(data, &f); err != nil {
		b.t.Fatalf("%v: %.200s", err, data)
	}
	switch {
	case f.Snapshot != nil:
		b.snaps++
		b.epoch, b.seq, b.health = f.Snapshot.Epoch, f.Snapshot.Seq, f.Snapshot.Health
		clear(b.cards)
		for _, c := range f.Snapshot.Cards {
			b.put(c)
		}
	case f.Ping != nil:
		if f.Ping.Seq > b.seq {
			b.t.Fatalf("a ping names %d, the feed is at %d", f.Ping.Seq, b.seq)
		}
	}
	for _, d := range f.Deltas {
		if d.Seq != b.seq+1 {
			b.t.Fatalf("delta %d after %d", d.Seq, b.seq)
		}
		b.seq = d.Seq
		for _, c := range d.Cards {
			b.put(c)
		}
		for _, id := range d.Remove {
			delete(b.cards, string(id))
		}
		if d.Health != nil {
			b.health = *d.Health
		}
	}
}

func (b *browser) put(c desk.Card) {
	id := string(c.ID)
	b.cards[id] = c
	if s := b.states[id]; len(s) == 0 || s[len(s)-1] != c.State {
		b.states[id] = append(s, c.State)
	}
}

// until reads frames until ok.
func (b *browser) until(ok func() bool) {
	b.t.Helper()
	for !ok() {
		b.read()
	}
}

// sees reads until a card has a state.
func (b *browser) sees(id string, s desk.State) {
	b.t.Helper()
	b.until(func() bool { return b.cards[id].State == s })
}

// TestStory is the main job, over every channel, with two browsers that look on.
func TestStory(t *testing.T) {
	t.Parallel()
	p := demo(t, dataDir(t), nil, "--wave-every", "1h")
	p.healthy("dermatologie")
	one, two := browse(t, p, "dermatologie"), browse(t, p, "dermatologie")
	one.read()
	two.read()

	// By text: the first yes has it, the second is told kindly, the others are told.
	slot, card, who := p.open("dermatologie", engine.SMS, 2)
	id := string(card.ID)
	one.sees(id, desk.Offered)
	if c := one.cards[id]; c.Asked != 3 || c.Next == nil || c.Deadline == nil {
		t.Errorf("the offered card says %+v", c)
	}
	winner, second := who[0].ID, who[1].ID
	p.text(winner, "OUI")
	for _, b := range []*browser{one, two} {
		b.sees(id, desk.Confirmed)
		states := b.states[id]
		if !slices.Contains(states, desk.Offered) || !slices.Contains(states, desk.Claimed) {
			t.Errorf("a browser saw only %v", states)
		}
		if i := slices.Index(states, desk.Offered); slices.Contains(states[i:], desk.Free) || slices.Contains(states[i:], desk.Reserved) {
			t.Errorf("a browser saw the slot forgotten on its way: %v", states)
		}
	}
	p.text(second, "Oui !")
	p.told(winner, "confirmé")
	p.told(second, "Vous gardez votre rang")
	p.told(second, "prise")
	if a := p.appointment("dermatologie", slot.Slot); a.Status != "booked" || !a.Relais || a.Patient != p.thread(winner).Name {
		t.Errorf("the record system shows %+v", a)
	}

	// A page that was away catches up without a snapshot, and has what the others have.
	_ = two.conn.CloseNow()
	again := p.opened("dermatologie", p.cancel("dermatologie", 20))
	one.sees(string(again.ID), desk.Offered)
	snaps := two.snaps
	two.connect()
	two.until(func() bool { return two.seq >= one.seq })
	one.until(func() bool { return one.seq >= two.seq })
	if two.snaps != snaps {
		t.Error("a page that was away for a moment got a whole snapshot")
	}
	if one.seq == two.seq && !maps.EqualFunc(one.cards, two.cards, func(a, b desk.Card) bool { return a.Revision == b.Revision && a.State == b.State }) {
		t.Error("two browsers at the same sequence show different cards")
	}
}

// TestMailConfirms opens the link of a mail: looking changes nothing, pressing books.
func TestMailConfirms(t *testing.T) {
	t.Parallel()
	p := demo(t, dataDir(t), nil, "--wave-every", "1h")
	p.healthy("famille")
	_, _, who := p.open("famille", engine.EmailMail, 1)
	m := phone{who[0], who[0].Items[len(who[0].Items)-1]}
	var link string
	for _, l := range m.item.Links {
		if _, token, ok := strings.Cut(l, "/o/"); ok && !strings.Contains(token, "/") {
			link = l
		}
	}
	if link == "" {
		t.Fatalf("the mail has no link: %v", m.item.Links)
	}
	eventually(t, "all mails are reported on", func() bool {
		return p.metric("relais_mail_in_total", `what="delivered"`)+p.metric("relais_mail_in_total", `what="bounced"`) >=
			p.metric("relais_deliveries_total", `channel="email"`)
	})
	before := p.cards("famille")
	for range 3 {
		status, header, page := p.do("GET", link, nil)
		if status != http.StatusOK || !strings.Contains(string(page), "<form") {
			t.Fatalf("the page of the link: %d %.300s", status, page)
		}
		if header.Get("Referrer-Policy") != "no-referrer" || !strings.Contains(header.Get("Cache-Control"), "no-store") {
			t.Errorf("the page may leave traces: %v", header)
		}
	}
	if after := p.cards("famille"); !maps.EqualFunc(before, after, func(a, b desk.Card) bool { return a.Revision == b.Revision }) {
		t.Error("looking at the page changed something")
	}
	status, _, page := p.do("POST", link+"/yes", "")
	if status != http.StatusOK || !strings.Contains(string(page), "onfirm") {
		t.Fatalf("confirming: %d %.600s", status, page)
	}
	p.told(m.thread.ID, "onfirm")
	eventually(t, "the slot is confirmed for the one who pressed", func() bool {
		for _, c := range p.cards("famille") {
			if c.State == desk.Confirmed && strings.Contains(c.Patient, m.thread.Name) {
				return true
			}
		}
		return false
	})
	// Reloading the page tells the same; pressing again too.
	for range 2 {
		if status, _, page := p.do("POST", link+"/yes", ""); status != http.StatusOK || !strings.Contains(string(page), "onfirm") {
			t.Errorf("pressing again: %d %.300s", status, page)
		}
	}
}

// TestCall answers a call: a live one that comes too late ends with a sentence, pressing 1 books.
func TestCall(t *testing.T) {
	t.Parallel()
	p := demo(t, dataDir(t), nil, "--wave-every", "1h")
	p.healthy("dermatologie")
	call := func(id, verb string, body any) {
		t.Helper()
		p.must(http.StatusNoContent, "POST", "/sandbox/api/calls/"+id+"/"+verb, body, nil)
	}
	last := func(thread string) sandbox.Item {
		items := p.thread(thread).Items
		return items[len(items)-1]
	}

	slot, card, who := p.open("dermatologie", engine.Voice, 1)
	ring := last(who[0].ID)
	if ring.Kind != "call" || ring.Status != "ringing" {
		t.Fatalf("the phone shows %+v", ring)
	}
	call(ring.ID, "answer", struct{}{})
	eventually(t, "the call says what it is about", func() bool { return len(last(who[0].ID).Said) > 0 })
	call(ring.ID, "press", map[string]string{"key": "1"})
	eventually(t, "the slot is confirmed", func() bool { return p.card("dermatologie", string(card.ID)).State == desk.Confirmed })
	if a := p.appointment("dermatologie", slot.Slot); !a.Relais || a.Patient != who[0].Name {
		t.Errorf("the record system shows %+v", a)
	}
	said := p.call(who[0].ID, ring.ID).Said
	if len(said) == 0 || !strings.Contains(said[len(said)-1].Say, "onfirm") {
		t.Errorf("the call said %v", said)
	}
	eventually(t, "the call ends", func() bool { return p.call(who[0].ID, ring.ID).Status == "ended" })

	// Press 2: declined.
	_, card, who = p.open("dermatologie", engine.Voice, 1)
	ring = last(who[0].ID)
	call(ring.ID, "answer", struct{}{})
	eventually(t, "the call says what it is about", func() bool { return len(last(who[0].ID).Said) > 0 })
	call(ring.ID, "press", map[string]string{"key": "2"})
	eventually(t, "the card counts who declined", func() bool { return p.card("dermatologie", string(card.ID)).Declined == 1 })

	// Somebody else says yes while the call is live: it ends with a sentence.
	for {
		_, card, who = p.open("dermatologie", engine.Voice, 1)
		if len(p.asked("dermatologie", string(card.ID), engine.SMS)) > 0 {
			break
		}
	}
	ring = last(who[0].ID)
	call(ring.ID, "answer", struct{}{})
	eventually(t, "the call says what it is about", func() bool { return len(last(who[0].ID).Said) > 0 })
	p.text(p.asked("dermatologie", string(card.ID), engine.SMS)[0].ID, "oui")
	eventually(t, "the live call ends", func() bool { return p.call(who[0].ID, ring.ID).Status == "ended" })
	said = p.call(who[0].ID, ring.ID).Said
	if n := len(said); n < 2 || !strings.Contains(said[n-1].Say, "cette place vient de partir") {
		t.Errorf("the live call said %v", said)
	}
}
