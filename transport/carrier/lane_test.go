package carrier

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"relais/engine"
)

// left is who left a lane, and when.
type left struct {
	name string
	at   time.Duration
}

// race lets tickets into a lane in order and returns how they left it.
func race(l *lane, within time.Duration, tickets ...named) (order []left, refused map[string]error) {
	var mu sync.Mutex
	refused = map[string]error{}
	start := time.Now()
	var all sync.WaitGroup
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for _, t := range tickets {
		all.Go(func() {
			err := l.wait(ctx, &t.ticket)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				refused[t.name] = err
				return
			}
			order = append(order, left{t.name, time.Since(start)})
		})
		synctest.Wait() // it stands in the queue
	}
	all.Wait()
	return order, refused
}

type named struct {
	name string
	ticket
}

func names(order []left) (out []string) {
	for _, o := range order {
		out = append(out, o.name)
	}
	return out
}

func TestOrderInsideAClinic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
		order, _ := race(newLane(1, 100), time.Minute,
			named{"first come", ticket{cost: 1}},
			named{"no time", ticket{cost: 1}},
			named{"late slot", ticket{cost: 1, before: noon.Add(time.Hour)}},
			named{"near slot", ticket{cost: 1, before: noon}},
			named{"near slot, later", ticket{cost: 1, before: noon}},
			named{"answer, no time", ticket{cost: 1, answer: true}},
			named{"answer", ticket{cost: 1, answer: true, before: noon.Add(2 * time.Hour)}},
		)
		want := []string{"first come", "answer", "answer, no time", "near slot", "near slot, later", "late slot", "no time"}
		if !slices.Equal(names(order), want) {
			t.Errorf("left %q", names(order))
		}
		for i, o := range order {
			if o.at != time.Duration(i)*time.Second {
				t.Errorf("%s left at %v", o.name, o.at)
			}
		}
	})
}

// TestFloodDelaysNobody: a clinic with 1,000 messages does not delay another's by more than its share.
func TestFloodDelaysNobody(t *testing.T) {
	for name, answers := range map[string]bool{"offers": false, "answers": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLane(10, 2000)
				all := make([]named, 0, 1010)
				for range 1000 {
					all = append(all, named{"flood", ticket{clinic: "a", cost: 1, answer: answers}})
				}
				for range 10 {
					all = append(all, named{"other", ticket{clinic: "b", cost: 1}})
				}
				order, refused := race(l, time.Hour, all...)
				if len(order) != 1010 || len(refused) != 0 {
					t.Fatalf("%d left, %d refused", len(order), len(refused))
				}
				seen := 0
				for i, o := range order {
					if o.name != "other" {
						continue
					}
					seen++
					// Every second turn is the other's; answers may be 20 ahead.
					most := 2*seen + 1
					if answers {
						most += ahead
					}
					if i+1 > most {
						t.Errorf("the other's %d. left as the %d.", seen, i+1)
					}
				}
				if took := order[1009].at; took < 100*time.Second || took > 102*time.Second {
					t.Errorf("1,010 at 10 a second took %v", took)
				}
			})
		})
	}
}

func TestSharesAreOfSegments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []named
		for range 20 {
			all = append(all, named{"long", ticket{clinic: "a", cost: 3}}, named{"short", ticket{clinic: "b", cost: 1}})
		}
		order, _ := race(newLane(1, 100), time.Hour, all...)
		long, short := 0, 0
		for _, o := range order[:20] { // while both wait
			if o.name == "long" {
				long++
			} else {
				short++
			}
		}
		if long < 4 || long > 6 || short < 14 {
			t.Errorf("of the first 20, %d long and %d short", long, short)
		}
	})
}

// TestAnswerOvertakesOtherClinics: what answers a person does not wait behind everybody's offers.
func TestAnswerOvertakesOtherClinics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []named
		for i := range 15 {
			c := engine.ClinicID(rune('a' + i))
			all = append(all, named{"offer", ticket{clinic: c, cost: 1}}, named{"offer", ticket{clinic: c, cost: 1}})
		}
		all = append(all, named{"answer", ticket{clinic: "z", cost: 1, answer: true}})
		order, _ := race(newLane(1, 100), time.Hour, all...)
		if at := slices.Index(names(order), "answer"); at != 1 {
			t.Errorf("the answer left as the %d.", at+1)
		}
	})
}

func TestFullLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []named
		for range 8 {
			all = append(all, named{"flood", ticket{clinic: "a", cost: 1}})
		}
		all = append(all, named{"other", ticket{clinic: "b", cost: 1}}, named{"flood's answer", ticket{clinic: "a", cost: 1, answer: true}})
		order, refused := race(newLane(1, 5), time.Hour, all...)
		if !errors.Is(refused["flood"], errFull) || refused["other"] != nil || refused["flood's answer"] != nil {
			t.Errorf("refused %v, left %q", refused, names(order))
		}
		if len(order) != 6 { // the first left at once
			t.Errorf("left %q", names(order))
		}
	})
}

func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLane(0.1, 100)
		last := ticket{clinic: "a", cost: 1}
		order, refused := race(l, 15*time.Second,
			named{"1", ticket{clinic: "a", cost: 1}}, named{"2", ticket{clinic: "a", cost: 1}},
			named{"3", ticket{clinic: "a", cost: 1}}, named{"4", last})
		if !slices.Equal(names(order), []string{"1", "2"}) || !errors.Is(refused["4"], context.DeadlineExceeded) || l.depth() != 0 {
			t.Errorf("left %q, refused %v, %d wait", names(order), refused, l.depth())
		}
		time.Sleep(10 * time.Second)
		if order, _ := race(l, time.Minute, named{"5", ticket{clinic: "a", cost: 1}}); len(order) != 1 || order[0].at > 0 {
			t.Errorf("after it was idle: %v", order)
		}
	})
}

// TestHighRate: timers are coarse, the rate is kept all the same.
func TestHighRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []named
		for range 1000 {
			all = append(all, named{"x", ticket{cost: 1}})
		}
		order, _ := race(newLane(500, 2000), time.Minute, all...)
		if took := order[len(order)-1].at; took < 1800*time.Millisecond || took > 2100*time.Millisecond {
			t.Errorf("1,000 at 500 a second took %v", took)
		}
	})
}

func BenchmarkLane(b *testing.B) {
	l := newLane(1e9, 10_000)
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := l.wait(context.Background(), &ticket{clinic: "a", cost: 1}); err != nil {
				b.Error(err)
			}
		}
	})
}
