package system

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"relais/engine"
)

type key string

func TestDirectoryStartsOnDemandAndPassivates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := start(t, Options{})
		var got seen
		d := NewDirectory(s, "child", func(k key) Actor {
			return funcActor(func(c *Context, msg any) {
				got.add("%s %v", k, msg)
				if msg == "rest" && !c.Idle() {
					t.Error("not idle")
				}
			})
		})
		for _, m := range []string{"work", "rest"} {
			if err := d.Send("a", m); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		got.want(t, "a {}", "a work", "a rest", "a {}")
		if d.Len() != 0 || d.Has("a") {
			t.Errorf("%d alive", d.Len())
		}
		if err := d.Send("a", "again"); err != nil {
			t.Fatal(err)
		}
		got.want(t, "a {}", "a again")
		if d.Len() != 1 || !d.Has("a") || s.Stats()[0].Passivated != 1 {
			t.Errorf("%+v", s.Stats())
		}
	})
}

func TestIdleIsRefusedWhileSomethingIsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := start(t, Options{})
		var got seen
		var question *Request[int, int]
		release := make(chan struct{})
		d := NewDirectory(s, "child", func(key) Actor {
			return funcActor(func(c *Context, msg any) {
				switch m := msg.(type) {
				case string:
					switch m {
					case "timer":
						c.After(time.Minute, outcome{})
					case "work":
						Pipe(c, context.Background(), func(context.Context) (int, error) { <-release; return 0, nil }, wrapped)
					case "message":
						c.Self().Send("idle")
						got.add("%v with a message", c.Idle())
						return
					}
				case *Request[int, int]:
					question = m
				}
				if msg == "idle" {
					got.add("%v", c.Idle())
				}
			})
		})
		send := func(m string) {
			if err := d.Send("a", m); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		send("timer")
		send("idle")
		got.want(t, "false")
		time.Sleep(2 * time.Minute)
		send("work")
		send("idle")
		got.want(t, "false")
		close(release)
		synctest.Wait()
		go func() { _, _ = AskIn[int, int](t.Context(), d, "a", 1) }()
		synctest.Wait()
		send("idle")
		got.want(t, "false")
		question.Reply(1, nil)
		send("message")
		got.want(t, "false with a message", "true")
	})
}

// TestPassivationLosesNothing sends from many goroutines to actors that leave after every message.
func TestPassivationLosesNothing(t *testing.T) {
	s, err := New(Options{Depth: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	const keys, senders, each = 4, 8, 1000
	var handled, alive [keys]atomic.Int64
	d := NewDirectory(s, "child", func(k key) Actor {
		i := k[0] - '0'
		return funcActor(func(c *Context, msg any) {
			switch msg.(type) {
			case Started:
				if alive[i].Add(1) != 1 {
					t.Errorf("two actors for key %s", k)
				}
			case Stopped:
				alive[i].Add(-1)
			case int:
				handled[i].Add(1)
				c.Idle()
			}
		})
	})
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for i := range each {
				k := key(fmt.Sprint(i % keys))
				if i%2 == 0 {
					d.Ref(k).Send(i)
				} else if err := d.Send(k, i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if stuck := s.Shutdown(ctx); stuck != nil {
		t.Errorf("stuck: %v", stuck)
	}
	for i := range handled {
		if n := handled[i].Load(); n != senders*each/keys {
			t.Errorf("key %d handled %d of %d", i, n, senders*each/keys)
		}
	}
	if st := s.Stats()[0]; st.Dropped != 0 || st.Passivated == 0 {
		t.Errorf("%+v", st)
	}
}

func TestDirectoryRefusesWhenTooMuchWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := start(t, Options{Depth: 3})
		release := make(chan struct{})
		var handled atomic.Int64
		d := NewDirectory(s, "child", func(key) Actor {
			return funcActor(func(_ *Context, msg any) {
				if _, ok := msg.(int); ok {
					<-release
					handled.Add(1)
				}
			})
		})
		var codes []engine.Code
		for i := range 6 {
			if err := d.Send("a", i); err != nil {
				codes = append(codes, engine.CodeOf(err))
			}
			synctest.Wait()
		}
		if !slices.Equal(codes, []engine.Code{engine.TooMany, engine.TooMany}) {
			t.Errorf("refused %v", codes)
		}
		if _, err := AskIn[int, int](t.Context(), d, "a", 1); engine.CodeOf(err) != engine.TooMany {
			t.Errorf("question: %v", err)
		}
		if err := d.Send("b", "another key"); err != nil {
			t.Errorf("another key: %v", err)
		}
		close(release)
		synctest.Wait()
		if handled.Load() != 4 { // one in hand and three waiting
			t.Errorf("handled %d", handled.Load())
		}
	})
}

func TestSelfOfAChildOutlivesPassivation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := start(t, Options{})
		var got seen
		var self Ref
		d := NewDirectory(s, "child", func(k key) Actor {
			return funcActor(func(c *Context, msg any) {
				self = c.Self()
				if msg == "rest" {
					c.Idle()
				} else if _, ok := msg.(string); ok {
					got.add("%v", msg)
				}
			})
		})
		d.Ref("a").Send("rest")
		synctest.Wait()
		if self != d.Ref("a") {
			t.Error("two addresses for one actor")
		}
		self.Send("awake")
		got.want(t, "awake")
		d.Each(func(k key, r Ref) { got.add("%s %v", k, r == self) })
		got.want(t, "a true")
		self.Stop()
		d.Ref("nobody").Stop()
	})
}

func TestDirectoryRefusesDuringShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, watch := start(t, Options{})
		d := NewDirectory(s, "child", func(key) Actor { return funcActor(func(*Context, any) {}) })
		s.Shutdown(t.Context())
		if err := d.Send("a", 1); engine.CodeOf(err) != engine.Unavailable {
			t.Errorf("send: %v", err)
		}
		if _, err := AskIn[int, int](t.Context(), d, "a", 1); engine.CodeOf(err) != engine.Unavailable {
			t.Errorf("question: %v", err)
		}
		d.Ref("a").Send(1)
		if watch.get("drop child stopped") != 1 {
			t.Errorf("observed %v", watch.count)
		}
	})
}
