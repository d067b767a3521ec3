package system

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

type funcActor func(*Context, any)

func (f funcActor) Receive(c *Context, msg any) { f(c, msg) }

func TestAskAndShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		r := s.Spawn("adder", "1", func() Actor {
			return funcActor(func(_ *Context, msg any) {
				if q, ok := msg.(*Request[int, int]); ok {
					q.Reply(q.Req+1, nil)
				}
			})
		})
		got, err := Ask[int, int](t.Context(), r, 41)
		if got != 42 || err != nil {
			t.Fatalf("got %d, %v", got, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if stuck := s.Shutdown(ctx); len(stuck) > 0 {
			t.Fatalf("stuck: %v", stuck)
		}
	})
}
