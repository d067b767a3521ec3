package system

import (
	"context"
	"runtime"
	"strconv"
	"testing"
	"time"
)

func open(b *testing.B) *System {
	b.Helper()
	s, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if stuck := s.Shutdown(ctx); len(stuck) > 0 {
			b.Errorf("%d did not stop", len(stuck))
		}
	})
	return s
}

func BenchmarkSend(b *testing.B) {
	s := open(b)
	r := s.Spawn("a", "1", of(func(_ *Context, msg any) {
		if q, ok := msg.(*Request[int, int]); ok {
			q.Reply(0, nil)
		}
	}))
	m := new(int)
	b.ReportAllocs()
	for b.Loop() {
		r.Send(m)
	}
	if _, err := Ask[int, int](b.Context(), r, 0); err != nil { // behind all of them
		b.Fatal(err)
	}
}

func BenchmarkSendInDirectory(b *testing.B) {
	s := open(b)
	d := NewDirectory(s, "a", func(string) Actor { return funcActor(func(*Context, any) {}) })
	m := new(int)
	b.ReportAllocs()
	for b.Loop() {
		d.Ref("1").Send(m)
	}
}

func BenchmarkAsk(b *testing.B) {
	s := open(b)
	r := s.Spawn("a", "1", of(func(_ *Context, msg any) {
		if q, ok := msg.(*Request[int, int]); ok {
			q.Reply(q.Req, nil)
		}
	}))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Ask[int, int](b.Context(), r, 1); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIdleActor reports what an actor that waits costs, everything counted.
func BenchmarkIdleActor(b *testing.B) {
	const n = 20_000
	for b.Loop() {
		s := open(b)
		d := NewDirectory(s, "idle", func(string) Actor { return funcActor(func(*Context, any) {}) })
		before := heap()
		for i := range n {
			if err := d.Send(strconv.Itoa(i), 1); err != nil {
				b.Fatal(err)
			}
		}
		for s.Stats()[0].Queued > 0 {
			runtime.Gosched()
		}
		after := heap()
		if d.Len() != n {
			b.Fatal("not all alive")
		}
		b.ReportMetric(float64(after-before)/n, "B/actor")
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
