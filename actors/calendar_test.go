package actors

import (
	"context"
	"encoding/json"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/slot"
)

// page is a browser: it holds the calendar as it was told.
type page struct {
	mu        sync.Mutex
	epoch     string
	seq       uint64
	cards     map[engine.SlotID]desk.Card
	snapshots int
	deltas    int
	gaps      int
	slow      bool // does not keep up
	broken    bool
	ends      int // times it was sent back
}

func (p *page) PushSnapshot(encoded []byte) bool {
	if p.broken {
		panic("as the test asks")
	}
	var s desk.Snapshot
	if err := json.Unmarshal(encoded, &s); err != nil {
		panic(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch, p.seq, p.cards = s.Epoch, s.Seq, map[engine.SlotID]desk.Card{}
	for _, c := range s.Cards {
		p.cards[c.ID] = c
	}
	p.snapshots++
	return !p.slow
}

func (p *page) PushDelta(seq uint64, encoded []byte) bool {
	var d desk.Delta
	if err := json.Unmarshal(encoded, &d); err != nil {
		panic(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.slow {
		return false
	}
	if seq != p.seq+1 || d.Seq != seq {
		p.gaps++
	}
	p.seq = seq
	for _, c := range d.Cards {
		p.cards[c.ID] = c
	}
	for _, id := range d.Remove {
		delete(p.cards, id)
	}
	p.deltas++
	return true
}

// attach connects a page, from where it says it is.
func (w *world) attach(p *page) (detach func()) {
	w.t.Helper()
	detach, err := w.Attach(context.Background(), "a", p.epoch, p.seq, p)
	if err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
	return detach
}

// same holds a page against a fresh snapshot.
func (w *world) same(p *page) {
	w.t.Helper()
	synctest.Wait()
	fresh, err := w.Snapshot(context.Background(), "a")
	if err != nil {
		w.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seq != fresh.Seq || p.seq != w.Seq("a") || len(p.cards) != len(fresh.Cards) || p.gaps > 0 {
		w.t.Errorf("the page is at %d with %d cards and %d gaps, the calendar at %d with %d", p.seq, len(p.cards), p.gaps, fresh.Seq, len(fresh.Cards))
	}
	for _, c := range fresh.Cards {
		var round desk.Card
		if err := json.Unmarshal(encode(c), &round); err != nil {
			w.t.Fatal(err)
		}
		if !reflect.DeepEqual(p.cards[c.ID], round) {
			w.t.Errorf("the page shows %+v\nwant %+v", p.cards[c.ID], round)
		}
	}
}

func TestPageFollowsWithoutAGap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 5, nil)
		var pages []*page
		stop := make(chan struct{})
		var joining sync.WaitGroup
		joining.Go(func() { // pages join while everything moves
			for range 40 {
				p := &page{}
				pages = append(pages, p)
				if _, err := w.Attach(context.Background(), "a", "", 0, p); err != nil {
					t.Error(err)
				}
				time.Sleep(3 * time.Second)
			}
			close(stop)
		})
		w.wait(time.Minute)
		w.says("a", 1, "non")
		w.wait(20 * time.Second)
		w.says("a", 2, "oui")
		<-stop
		joining.Wait()
		for _, p := range pages {
			if p.snapshots != 1 {
				t.Errorf("%d snapshots", p.snapshots)
			}
			w.same(p)
		}
		if c := pages[0].cards[w.slotID("a", "S1")]; c.State != desk.Confirmed || c.Patient != "Prénoma2 Nomdefamillea2" {
			t.Errorf("the page shows %+v", c)
		}
	})
}

func TestPageResumes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 5, nil)
		p := &page{}
		detach := w.attach(p)
		detach()
		synctest.Wait()
		w.wait(2 * time.Minute)
		missed := w.Seq("a") - p.seq
		w.attach(p)
		if p.snapshots != 1 || uint64(p.deltas) != missed || missed == 0 {
			t.Errorf("%d snapshots and %d deltas; %d were missed", p.snapshots, p.deltas, missed)
		}
		w.same(p)

		// From the future, or from another life: a snapshot.
		ahead := &page{epoch: p.epoch, seq: p.seq + 100}
		w.attach(ahead)
		w.same(ahead)
		w.restart()
		w.wait(time.Minute)
		w.attach(p)
		if p.snapshots != 2 {
			t.Errorf("%d snapshots after the server forgot its sequence", p.snapshots)
		}
		w.same(p)
		if _, err := w.Attach(context.Background(), "z", "", 0, p); engine.CodeOf(err) != engine.NotFound {
			t.Errorf("the calendar of no clinic: %v", err)
		}
	})
}

func TestPageThatMissedTooMuch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 1, nil)
		p := &page{}
		w.attach(p)()
		synctest.Wait()
		for range ringSize/2 + 10 {
			w.do("S1", "pause")
			w.do("S1", "resume")
		}
		w.attach(p)
		if p.snapshots != 2 || p.deltas != 0 {
			t.Errorf("%d snapshots, %d deltas", p.snapshots, p.deltas)
		}
		w.same(p)
	})
}

func TestSlowPageIsDropped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 3, nil)
		good, slow := &page{}, &page{}
		w.attach(good)
		w.attach(slow)
		slow.mu.Lock()
		slow.slow = true
		slow.mu.Unlock()
		w.do("S1", "pause")
		slow.mu.Lock()
		slow.slow = false
		slow.mu.Unlock()
		w.do("S1", "resume")
		if slow.deltas != 0 {
			t.Error("a page that was dropped is pushed to")
		}
		w.same(good)
		w.attach(slow) // comes back
		w.same(slow)
	})
}

func TestCardsFollowTheRecordSystem(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 3, nil)
		d, p := w.dmes["a"], &page{}
		w.attach(p)
		id := w.slotID("a", "S1")
		shows := func(want desk.State) {
			t.Helper()
			w.wait(3 * time.Second)
			w.same(p)
			if got := p.cards[id].State; got != want {
				t.Errorf("the card is %q, want %q", got, want)
			}
		}
		shows(desk.Freed)
		w.do("S1", "send_now")
		shows(desk.Offered)
		d.mu.Lock()
		d.delay = 20 * time.Second
		d.mu.Unlock()
		w.says("a", 1, "oui")
		shows(desk.Claimed) // never confirmed before the record system has it
		d.mu.Lock()
		d.delay = 0
		d.mu.Unlock()
		w.wait(time.Minute)
		shows(desk.Confirmed)
		d.cancel("S1") // the winner calls and gives it back
		shows(desk.Freed)
		w.do("S1", "withdraw")
		shows(desk.Free)
		d.takes("S1")
		shows(desk.Reserved)
		d.block("S1")
		w.wait(3 * time.Second)
		w.same(p)
		if _, ok := p.cards[id]; ok {
			t.Error("a blocked slot is shown")
		}
	})
}

func TestCalendarSurvivesItsOwnPanic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 3, nil)
		w.do("S1", "send_now")
		before := w.Seq("a")
		w.attach(&page{broken: true})
		w.wait(10 * time.Second)
		if w.faults["panic calendar"] == 0 {
			t.Fatal("nothing failed")
		}
		p := &page{}
		w.attach(p)
		w.same(p)
		if w.Seq("a") < before {
			t.Errorf("the sequence fell from %d to %d", before, w.Seq("a"))
		}
		if c := p.cards[w.slotID("a", "S1")]; c.State != desk.Offered {
			t.Errorf("the card is %q", c.State)
		}
		w.phase("S1", slot.Offering)
	})
}

func TestCalendarForgetsThePast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 0, nil)
		w.wait(20 * time.Hour)
		w.restart()
		w.wait(10 * time.Second)
		count := func(want int) {
			t.Helper()
			s, err := w.Snapshot(context.Background(), "a")
			if err != nil || len(s.Cards) != want {
				t.Errorf("%d cards, %v; want %d", len(s.Cards), err, want)
			}
		}
		count(1)
		w.wait(9 * time.Hour)
		count(0)
		w.restart()
		w.wait(10 * time.Second)
		count(0)
	})
}

func (p *page) PushEnd() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ends++
}
