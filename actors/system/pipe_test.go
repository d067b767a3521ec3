package system

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"relais/engine"
)

type outcome struct {
	value int
	err   error
}

func wrapped(v int, err error) any { return outcome{v, err} }

// worker runs each function sent to it in the pool and reports what came back.
func worker(s *System, got *seen) Ref {
	return s.Spawn("worker", "1", of(func(c *Context, msg any) {
		switch m := msg.(type) {
		case func(context.Context) (int, error):
			Pipe(c, context.Background(), m, wrapped)
		case outcome:
			code := engine.Code("ok")
			if m.err != nil {
				code = engine.CodeOf(m.err)
			}
			got.add("%d %s", m.value, code)
		case string:
			panic("as asked")
		}
	}))
}

func TestPipeBringsBackResultsErrorsAndPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := start(t, Options{})
		var got seen
		r := worker(s, &got)
		for _, f := range []func(context.Context) (int, error){
			func(context.Context) (int, error) { return 7, nil },
			func(context.Context) (int, error) { return 0, engine.Errorf(engine.NotFound, "no such thing") },
			func(context.Context) (int, error) { panic("in the background") },
		} {
			r.Send(f)
			synctest.Wait()
		}
		got.want(t, "7 ok", "0 not_found", "0 internal")
	})
}

func TestResultOfAFormerLifeIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := start(t, Options{})
		var got seen
		var finished atomic.Bool
		r := worker(s, &got)
		r.Send(func(ctx context.Context) (int, error) {
			time.Sleep(time.Minute)
			finished.Store(ctx.Err() == nil)
			return 1, nil
		})
		synctest.Wait()
		r.Send("panic")
		time.Sleep(2 * time.Minute)
		got.want(t)
		if !finished.Load() {
			t.Error("work that had begun was cut off by the panic of the actor that asked for it")
		}
	})
}

func TestPoolIsBoundedAndRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := start(t, Options{Workers: 2, Waiting: 3})
		var got seen
		r := worker(s, &got)
		var now, most atomic.Int32
		for range 6 {
			r.Send(func(context.Context) (int, error) {
				if n := now.Add(1); n > most.Load() {
					most.Store(n)
				}
				time.Sleep(time.Minute)
				now.Add(-1)
				return 1, nil
			})
		}
		synctest.Wait()
		if running, waiting := s.Work(); running != 2 || waiting != 3 {
			t.Errorf("%d running, %d waiting", running, waiting)
		}
		got.want(t, "0 too_many")
		time.Sleep(5 * time.Minute)
		got.want(t, "1 ok", "1 ok", "1 ok", "1 ok", "1 ok")
		if most.Load() != 2 {
			t.Errorf("%d ran at once", most.Load())
		}
	})
}

func TestWorkWhoseTimeIsOverNeverRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := start(t, Options{Workers: 1})
		var got seen
		begin := time.Now()
		s.Spawn("worker", "1", of(func(c *Context, msg any) {
			switch m := msg.(type) {
			case Started:
				Pipe(c, context.Background(), func(context.Context) (int, error) {
					time.Sleep(time.Hour)
					return 1, nil
				}, wrapped)
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				context.AfterFunc(ctx, cancel)
				Pipe(c, ctx, func(context.Context) (int, error) {
					t.Error("ran too late")
					return 2, nil
				}, wrapped)
			case outcome:
				got.add("%v %v", time.Since(begin), errors.Is(m.err, context.DeadlineExceeded))
			}
		}))
		time.Sleep(2 * time.Hour)
		got.want(t, "1s true", "1h0m0s false")
	})
}

func TestShutdownHandlesWhatIsQueuedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := start(t, Options{})
		var got seen
		user := s.Spawn("base", "1", of(func(_ *Context, msg any) { got.add("base %v", msg) }))
		s.Spawn("top", "1", of(func(c *Context, msg any) {
			switch m := msg.(type) {
			case string:
				Pipe(c, context.Background(), func(context.Context) (int, error) {
					time.Sleep(time.Second)
					return 1, nil
				}, wrapped)
			case outcome:
				user.Send(m.value)
			case Stopped:
				user.Send("top stopped") // the kind it uses is still there
			}
		})).Send("work")
		if stuck := s.Shutdown(t.Context()); stuck != nil {
			t.Errorf("stuck: %v", stuck)
		}
		got.want(t, "base {}", "base 1", "base top stopped", "base {}")
		if r := s.Spawn("base", "2", of(func(*Context, any) {})); !r.IsZero() {
			t.Error("an actor started after the shutdown")
		}
	})
}

func TestShutdownNamesWhatDoesNotStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		release := make(chan struct{})
		block := func(ctx context.Context) (int, error) { <-release; return 0, ctx.Err() }
		var stopped atomic.Bool
		s.Spawn("well", "1", of(func(_ *Context, msg any) {
			if _, ok := msg.(Stopped); ok {
				stopped.Store(true)
			}
		}))
		s.Spawn("worker", "1", of(func(c *Context, msg any) {
			if _, ok := msg.(Started); ok {
				Pipe(c, context.Background(), block, wrapped)
			}
		}))
		s.Spawn("hangs", "1", of(func(*Context, any) { <-release }))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		begin := time.Now()
		stuck := s.Shutdown(ctx)
		if !slices.Equal(stuck, []string{"hangs/1", "work of worker/1"}) {
			t.Errorf("stuck: %q", stuck)
		}
		if !stopped.Load() || time.Since(begin) != 10*time.Second {
			t.Errorf("others stopped: %v, after %v", stopped.Load(), time.Since(begin))
		}
		close(release)
	})
}

func TestShutdownCancelsWorkThatHeedsItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := start(t, Options{})
		var got seen
		worker(s, &got).Send(func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if stuck := s.Shutdown(ctx); stuck != nil {
			t.Errorf("stuck: %s", strings.Join(stuck, ", "))
		}
	})
}
