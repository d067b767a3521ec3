package system

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"relais/engine"
)

// funcActor is an actor without fields.
type funcActor func(*Context, any)

func (f funcActor) Receive(c *Context, msg any) { f(c, msg) }

// of makes an actor of one function.
func of(f func(*Context, any)) func() Actor { return func() Actor { return funcActor(f) } }

// seen collects what actors report.
type seen struct {
	mu   sync.Mutex
	list []string
}

func (s *seen) add(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, fmt.Sprintf(format, args...))
}

func (s *seen) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.list, want) {
		t.Errorf("got  %q\nwant %q", s.list, want)
	}
	s.list = nil
}

// faults is an Observer that counts.
type faults struct {
	mu    sync.Mutex
	count map[string]int
}

func (f *faults) add(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == nil {
		f.count = map[string]int{}
	}
	f.count[what]++
}

func (f *faults) Panicked(kind string)        { f.add("panic " + kind) }
func (f *faults) Dropped(kind, reason string) { f.add("drop " + kind + " " + reason) }

func (f *faults) get(what string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count[what]
}

// start returns a System that is shut down at the end of the test's bubble, and what it reports. The
// bubble itself fails the test when a goroutine is left.
func start(t *testing.T, opt Options) (*System, *faults) {
	t.Helper()
	watch := &faults{}
	opt.Observer = watch
	s, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if stuck := s.Shutdown(ctx); len(stuck) > 0 {
			t.Errorf("did not stop: %v", stuck)
		}
		synctest.Wait()
		if n := watch.get("drop  engine"); n > 0 {
			t.Errorf("the library reported %d faults", n)
		}
		for _, k := range s.Stats() {
			if k.Queued != 0 || k.Actors != 0 || k.Parked != 0 {
				t.Errorf("left over: %+v", k)
			}
		}
	})
	return s, watch
}

func TestLifecycleMessagesComeFirstAndLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := start(t, Options{})
		var got seen
		r := s.Spawn("a", "1", of(func(_ *Context, msg any) { got.add("%T", msg) }))
		r.Send("x")
		got.want(t, "system.Started", "string")
		r.Stop()
		r.Stop() // two pills hang the library
		got.want(t, "system.Stopped")
	})
}

func TestStartedDoesNotRunOnTheSpawnersGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := start(t, Options{})
		var mu sync.Mutex
		mu.Lock() // an actor started in line would wait for this for ever
		s.Spawn("a", "1", func() Actor {
			mu.Lock()
			defer mu.Unlock()
			return funcActor(func(*Context, any) {})
		})
		mu.Unlock()
	})
}

func TestMessagesBeforeStopAreHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, watch := start(t, Options{})
		var handled atomic.Int64
		r := s.Spawn("a", "1", of(func(_ *Context, msg any) {
			if _, ok := msg.(int); ok {
				handled.Add(1)
			}
		}))
		const n = 10_000 // more than the 4,096 the library takes at a time
		for i := range n {
			r.Send(i)
		}
		r.Stop()
		r.Send(n)
		synctest.Wait()
		if handled.Load() != n || watch.get("drop a stopped") != 1 {
			t.Errorf("handled %d, dropped %d", handled.Load(), watch.get("drop a stopped"))
		}
	})
}

func TestPanicCostsOneMessage(t *testing.T) {
	var log bytes.Buffer
	opt := Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	synctest.Test(t, func(t *testing.T) {
		s, watch := start(t, opt)
		var got seen
		made := 0
		r := s.Spawn("a", "1", func() Actor {
			made++
			mine := made
			return funcActor(func(_ *Context, msg any) {
				if msg == "bad +15145550123" {
					panic(msg)
				}
				if again, ok := msg.(Restarted); ok {
					msg = again.Panic
				}
				got.add("%d %v", mine, msg)
			})
		})
		for _, m := range []string{"one", "bad +15145550123", "two"} {
			r.Send(m)
		}
		got.want(t, "1 {}", "1 one", "2 bad +15145550123", "2 two")
		if watch.get("panic a") != 1 || watch.get("drop a panicked") != 1 {
			t.Errorf("observed %v", watch.count)
		}
		if st := s.Stats()[0]; st.Panics != 1 || st.Dropped != 1 {
			t.Errorf("counted %+v", st)
		}
		if text := log.String(); !strings.Contains(text, "system_test.go") || strings.Contains(text, "514555") {
			t.Errorf("the log must carry the stack and nothing of the message:\n%s", text)
		}
	})
}

func TestMorePanicsThanTheLibrarySurvives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, watch := start(t, Options{})
		var good atomic.Int64
		r := s.Spawn("a", "1", of(func(_ *Context, msg any) {
			switch msg {
			case "bad":
				panic("as asked")
			case "good":
				good.Add(1)
			}
		}))
		for range 50 {
			r.Send("bad")
			r.Send("good")
		}
		time.Sleep(2 * time.Hour) // parked many times in between
		if good.Load() != 50 || watch.get("panic a") != 50 {
			t.Errorf("%d good, %d panics", good.Load(), watch.get("panic a"))
		}
	})
}

func TestPoisonedActorIsParkedForGrowingTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, watch := start(t, Options{Depth: 5})
		var tries []time.Duration
		var heal atomic.Bool
		var got seen
		begin := time.Now()
		r := s.Spawn("a", "1", of(func(_ *Context, msg any) {
			switch msg.(type) {
			case Started, Restarted:
				tries = append(tries, time.Since(begin))
				if !heal.Load() {
					panic("cannot load")
				}
			case int:
				got.add("%v", msg)
			}
		}))
		synctest.Wait()
		for i := range 7 {
			r.Send(i)
		}
		if s.Stats()[0].Parked != 1 || watch.get("drop a full") != 2 {
			t.Errorf("parked %d, refused %d", s.Stats()[0].Parked, watch.get("drop a full"))
		}
		if _, err := Ask[string, string](t.Context(), r, "?"); engine.CodeOf(err) != engine.TooMany {
			t.Errorf("a question to a full parked actor: %v", err)
		}
		time.Sleep(20 * time.Second)
		heal.Store(true)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		sec := time.Second
		want := []time.Duration{0, 0, 0, 0, sec, 3 * sec, 7 * sec, 15 * sec, 31 * sec}
		if !slices.Equal(tries, want) {
			t.Errorf("tried at %v, want %v", tries, want)
		}
		got.want(t, "0", "1", "2", "3", "4")
	})
}

func TestParkedActorStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, watch := start(t, Options{})
		r := s.Spawn("a", "1", func() Actor { panic("cannot be made") })
		synctest.Wait()
		r.Send("never")
		done := make(chan error, 1)
		go func() {
			_, err := Ask[int, int](t.Context(), r, 1)
			done <- err
		}()
		synctest.Wait()
		r.Stop()
		if err := <-done; engine.CodeOf(err) != engine.Unavailable {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if watch.get("drop a stopped") != 2 {
			t.Errorf("observed %v", watch.count)
		}
	})
}

func TestGoexitEndsTheActorOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := start(t, Options{})
		make := of(func(_ *Context, msg any) {
			if msg == "exit" {
				runtime.Goexit()
			}
			if q, ok := msg.(*Request[int, int]); ok {
				q.Reply(q.Req, nil)
			}
		})
		s.Spawn("a", "1", make).Send("exit")
		synctest.Wait()
		if got, err := Ask[int, int](t.Context(), s.Spawn("a", "1", make), 7); got != 7 || err != nil {
			t.Errorf("got %d, %v", got, err)
		}
	})
}

func TestSpawnOfALivingNameReturnsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := start(t, Options{})
		idle := of(func(*Context, any) {})
		one := s.Spawn("a", "1", idle)
		if two := s.Spawn("a", "1", func() Actor { panic("made twice") }); one != two {
			t.Error("two actors with one name")
		}
		if other := s.Spawn("a", "2", idle); other == one {
			t.Error("one actor with two names")
		}
	})
}

func TestNameIsTakenOverOnlyWhenFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := start(t, Options{})
		var got seen
		release := make(chan struct{})
		one := s.Spawn("a", "1", of(func(_ *Context, msg any) {
			if _, ok := msg.(Stopped); ok {
				<-release
			}
			got.add("one %T", msg)
		}))
		one.Stop()
		two := s.Spawn("a", "1", of(func(_ *Context, msg any) { got.add("two %T", msg) }))
		two.Send("x")
		two.Stop()
		three := s.Spawn("a", "1", of(func(_ *Context, msg any) { got.add("three %T", msg) }))
		got.want(t, "one system.Started")
		close(release)
		got.want(t, "one system.Stopped", "two system.Started", "two string", "two system.Stopped", "three system.Started")
		three.Stop()
	})
}

func TestZeroRef(t *testing.T) {
	var r Ref
	r.Send("nobody")
	r.Stop()
	if _, err := Ask[int, int](t.Context(), r, 1); engine.CodeOf(err) != engine.Unavailable || !r.IsZero() {
		t.Errorf("got %v", err)
	}
}

func TestTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := start(t, Options{})
		var got seen
		r := s.Spawn("a", "1", of(func(c *Context, msg any) {
			switch msg {
			case "arm":
				c.After(time.Hour, "hour")
				c.At(time.Now().Add(2*time.Hour), "two hours")
				c.At(time.Now().Add(-time.Hour), "past")
				c.After(time.Minute, "cancelled")()
				late := c.After(0, "fired, then cancelled")
				runtime.Gosched()
				defer late()
			case "panic":
				panic("as asked")
			default:
				got.add("%v", msg)
			}
		}))
		r.Send("arm")
		got.want(t, "{}", "past")
		time.Sleep(90 * time.Minute)
		got.want(t, "hour")
		r.Send("panic")
		got.want(t, "{as asked}")
		time.Sleep(3 * time.Hour)
		got.want(t) // the timer of the life before the panic is gone
		r.Send("arm")
		r.Stop()
		time.Sleep(3 * time.Hour)
		got.want(t, "{}")
	})
}

func TestContextKeptTooLongDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := start(t, Options{})
		var got seen
		var kept *Context
		r := s.Spawn("a", "1", of(func(c *Context, msg any) {
			switch msg.(type) {
			case Started:
				kept = c
			case string:
				panic("as asked")
			default:
				got.add("%T", msg)
			}
		}))
		r.Send("panic")
		got.want(t, "system.Restarted")
		kept.After(0, 1)
		Pipe(kept, t.Context(), func(context.Context) (int, error) { got.add("ran"); return 0, nil },
			func(int, error) any { return 1 })
		if kept.Idle() {
			t.Error("a former life stopped the present one")
		}
		got.want(t)
	})
}

func TestAskFailsFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := start(t, Options{})
		var kept []*Request[string, string]
		r := s.Spawn("a", "1", of(func(c *Context, msg any) {
			switch q := msg.(type) {
			case *Request[string, string]:
				switch q.Req {
				case "panic":
					panic("as asked")
				case "stop":
					c.Stop()
				}
				kept = append(kept, q) // to be answered later, which never comes
			}
		}))
		begin := time.Now()
		ask := func(q string) chan error {
			done := make(chan error, 1)
			go func() {
				_, err := Ask[string, string](t.Context(), r, q)
				done <- err
			}()
			synctest.Wait()
			return done
		}
		for _, q := range []string{"panic", "stop"} {
			waiting, trigger := ask("wait"), ask(q)
			for _, done := range []chan error{waiting, trigger} {
				if err := <-done; engine.CodeOf(err) != engine.Unavailable {
					t.Errorf("%s: %v", q, err)
				}
			}
		}
		if err := <-ask("after the end"); engine.CodeOf(err) != engine.Unavailable {
			t.Errorf("got %v", err)
		}
		if time.Since(begin) != 0 {
			t.Errorf("took %v", time.Since(begin))
		}
		for _, q := range kept {
			q.Reply("too late", nil) // must not block or panic
		}
	})
}

func TestAskEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := start(t, Options{})
		var handled []int
		gate := make(chan struct{})
		r := s.Spawn("a", "1", of(func(_ *Context, msg any) {
			if q, ok := msg.(*Request[int, int]); ok {
				handled = append(handled, q.Req)
				<-gate
			}
		}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for i := range 2 {
			wg.Go(func() {
				if _, err := Ask[int, int](ctx, r, i); engine.CodeOf(err) != engine.Unavailable || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
		close(gate)
		synctest.Wait()
		if len(handled) != 1 {
			t.Errorf("handled %v: the second asker had gone", handled)
		}
		if c := r.to.(*cell); len(c.asks) != 0 {
			t.Errorf("%d questions of askers who have gone are kept", len(c.asks))
		}
	})
}

func TestForwardedQuestionBelongsToWhoHasIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := start(t, Options{})
		gate := make(chan struct{})
		b := s.Spawn("b", "1", of(func(_ *Context, msg any) {
			if q, ok := msg.(*Request[int, int]); ok {
				<-gate
				q.Reply(q.Req*2, nil)
			}
		}))
		a := s.Spawn("a", "1", of(func(_ *Context, msg any) {
			switch m := msg.(type) {
			case *Request[int, int]:
				b.Send(m)
			case string:
				panic("as asked")
			}
		}))
		done := make(chan int, 1)
		go func() {
			v, _ := Ask[int, int](t.Context(), a, 21)
			done <- v
		}()
		synctest.Wait()
		a.Send("panic")
		a.Stop()
		synctest.Wait()
		close(gate)
		if v := <-done; v != 42 {
			t.Errorf("got %d", v)
		}
	})
}

func TestManyAskersEachGetTheirOwnAnswer(t *testing.T) {
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := NewDirectory(s, "echo", func(string) Actor {
		return funcActor(func(c *Context, msg any) {
			if q, ok := msg.(*Request[int, int]); ok {
				q.Reply(q.Req, nil)
				c.Idle() // come and go as often as possible
			}
		})
	})
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 500 {
				q := g*1000 + i
				got, err := AskIn[int, int](t.Context(), d, fmt.Sprint(i%3), q)
				if got != q || err != nil {
					t.Errorf("asked %d, got %d, %v", q, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if stuck := s.Shutdown(ctx); len(stuck) > 0 {
		t.Errorf("did not stop: %v", stuck)
	}
	if st := s.Stats()[0]; st.Passivated == 0 || st.Dropped != 0 {
		t.Errorf("%+v", st)
	}
}

func TestPanicLeavesNothingThatKeepsTheNextLifeAwake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := start(t, Options{})
		release := make(chan struct{})
		defer close(release)
		r := s.Spawn("a", "1", of(func(c *Context, msg any) {
			switch msg {
			case "busy":
				c.After(time.Hour, "later")
				Pipe(c, context.Background(), func(context.Context) (int, error) { <-release; return 0, nil }, wrapped)
			case "panic":
				panic("as asked")
			case "idle":
				if !c.Idle() {
					t.Error("what a former life asked for keeps this one awake")
				}
			}
		}))
		for _, m := range []string{"busy", "panic", "idle"} {
			r.Send(m)
		}
		synctest.Wait()
	})
}

func TestPanicOfTheRuntimeIsLoggedInWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s, _ := start(t, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		var nobody map[string]int
		s.Spawn("a", "1", of(func(_ *Context, msg any) {
			if msg == "bad" {
				nobody["x"] = 1
			}
		})).Send("bad")
		synctest.Wait()
		if !strings.Contains(log.String(), "assignment to entry in nil map") {
			t.Error(log.String())
		}
	})
}
