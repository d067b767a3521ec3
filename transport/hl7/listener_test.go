package hl7_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"relais/transport/hl7"
)

// dial connects to the listener as a stranger.
func (r *round) dial() net.Conn {
	r.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(r.t.Context(), "tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

func answer(tb testing.TB, in *hl7.Frames) (code, text string) {
	tb.Helper()
	b, err := in.Next()
	if err != nil {
		tb.Fatal(err)
	}
	m, err := hl7.Parse(b, hl7.UTF8)
	if err != nil {
		tb.Fatal(err)
	}
	msa := m.First("MSA")
	return m.Field(msa, 1).Text(1), m.Field(msa, 3).Text(1)
}

func siu(control, extra string) string {
	return "MSH|^~\\&|SCHED|DERMA|RELAIS||20261123080000||SIU^S12|" + control + "|P|2.3.1" + extra + "\rSCH||v1|||||||20||^^^20301201090000\rAIP|1||D7\r"
}

// TestAcknowledgments asks in every mode for messages that are taken, that hold an error, and that are refused.
func TestAcknowledgments(t *testing.T) {
	good := siu("1", "%")
	for message, wants := range map[string]map[string]string{
		good: {
			"":             "AA",
			"|||AL|NE":     "CA",
			"|||NE|AL":     "AA",
			"|||AL|AL":     "CA AA",
			"|||ER|SU":     "AA",
			"|||AL":        "CA",
			"|||NE|NE":     "",
			"||||AL":       "AA",
			"|||SU|ER":     "CA",
			"|||never|too": "",
		},
		strings.Replace(good, "SCH||v1", "NTE||v1", 1): {
			"":         "AE",
			"|||AL|AL": "CE",
			"|||NE|AL": "AE",
			"|||ER|NE": "CE",
			"|||SU|AL": "AE",
			"|||NE|ER": "AE",
			"|||SU|SU": "",
		},
		strings.Replace(good, "SIU^S12", "SIU^S25", 1): {
			"":         "AR",
			"|||AL|AL": "CR",
			"|||NE|ER": "AR",
		},
	} {
		for extra, want := range wants {
			r := newRound(t, nil)
			conn := r.dial()
			in := hl7.NewFrames(conn)
			// The message after it is answered in original mode, so silence shows.
			_, _ = conn.Write(append(hl7.Frame([]byte(strings.Replace(message, "%", extra, 1))), hl7.Frame([]byte(siu("2", "")))...))
			var got []string
			for {
				b, err := in.Next()
				if err != nil {
					t.Fatal(err)
				}
				m, _ := hl7.Parse(b, hl7.UTF8)
				msa := m.First("MSA")
				if m.Field(msa, 2).Text(1) == "2" {
					break
				}
				if head := m.First("MSH"); m.Field(head, 3).Text(1) != "RELAIS" || m.Field(head, 5).Text(1) != "SCHED" || m.Field(head, 6).Text(1) != "DERMA" {
					t.Errorf("the answer goes from and to %q", head)
				}
				got = append(got, m.Field(msa, 1).Text(1))
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%.60s with %q is answered %v, want %s", message, extra, got, want)
			}
		}
	}
}

func TestUnknownSender(t *testing.T) {
	r := newRound(t, nil)
	conn := r.dial()
	_, _ = conn.Write(hl7.Frame([]byte(strings.Replace(siu("1", ""), "DERMA", "OTHER", 1))))
	if code, text := answer(t, hl7.NewFrames(conn)); code != "AR" || !strings.Contains(text, "No clinic") {
		t.Errorf("%s %q", code, text)
	}
	r.counted(hl7.Unknown, 1)
}

// What one connection sends costs that connection, and nobody else.
func TestFloods(t *testing.T) {
	for name, c := range map[string]struct {
		send  string
		event string
	}{
		"bytes":        {strings.Repeat("GET / HTTP/1.1\r\n", 1000), hl7.Flood},
		"frames":       {strings.Repeat("\x0bgarbage\x1c\r", 1000), hl7.Flood},
		"of strangers": {strings.Repeat(string(hl7.Frame([]byte(strings.Replace(siu("1", ""), "DERMA", "OTHER", 1)))), 100), hl7.Flood},
		"one message":  {"\x0b" + strings.Repeat("x", hl7.MaxFrame+64<<10), hl7.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRound(t, nil)
			conn := r.dial()
			go func() { _, _ = conn.Write([]byte(c.send)) }()
			in := hl7.NewFrames(conn)
			for {
				if _, err := in.Next(); err != nil {
					if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
						t.Fatal("the connection was not closed")
					}
					break
				}
			}
			r.counted(c.event, 1)
			r.free() // another connection is served
		})
	}
}

// 100 MB in one message: refused with a sentence, and no more than MaxFrame of it is held.
func TestHugeMessage(t *testing.T) {
	r := newRound(t, nil)
	conn := r.dial()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	go func() { _ = huge(conn) }()
	if code, text := answer(t, hl7.NewFrames(conn)); code != "AR" || !strings.Contains(text, "larger than") {
		t.Errorf("%s %q", code, text)
	}
	r.counted(hl7.TooLarge, 1)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 20*hl7.MaxFrame {
		t.Errorf("%d bytes were allocated for a message that is refused", n)
	}
	r.free()
}

// huge sends a message of 100 MB.
func huge(conn net.Conn) error {
	_, err := conn.Write([]byte("\x0b" + siu("1", "") + "NTE|1||"))
	part := []byte(strings.Repeat("x", 1<<20))
	for i := 0; i < 100 && err == nil; i++ {
		_, err = conn.Write(part)
	}
	return err
}

// flood sends what is refused over one connection after the other, until the test ends; each sender
// in its own way.
func (r *round) flood(ctx context.Context, senders int) *sync.WaitGroup {
	var work sync.WaitGroup
	for i := range senders {
		work.Go(func() {
			for ctx.Err() == nil {
				conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.addr)
				if err != nil {
					return
				}
				stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
				switch i % 3 {
				case 0:
					_ = huge(conn)
				case 1:
					_, _ = io.Copy(conn, strings.NewReader(strings.Repeat("GET / HTTP/1.1\r\n", 10_000)))
				default:
					_, _ = io.Copy(conn, strings.NewReader(strings.Repeat("\x0bMSH|^~\\&|nobody|here\x1c\r", 1000)))
				}
				stop()
				_ = conn.Close()
			}
		})
	}
	return &work
}

// While six senders flood the listener, another clinic's messages are acknowledged, each before its
// sender would give up (5 s).
func TestNeighbourOfAFlood(t *testing.T) {
	r := newRound(t, nil)
	conn := r.dial()
	in := hl7.NewFrames(conn)
	ctx, stop := context.WithCancel(t.Context())
	work := r.flood(ctx, 6)
	defer work.Wait()
	defer stop()
	r.counted(hl7.TooLarge, 1)
	r.counted(hl7.Flood, 5)
	for i := range 200 {
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := conn.Write(hl7.Frame([]byte(siu(strconv.Itoa(i), "")))); err != nil {
			t.Fatal(err)
		}
		if code, text := answer(t, in); code != "AA" {
			t.Fatalf("message %d is answered %s %q", i, code, text)
		}
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	r := newRound(t, func(_ *hl7.Config, l *hl7.ListenerConfig) { l.PerHost = 1 })
	first := r.dial()
	_, _ = first.Write(hl7.Frame([]byte(siu("1", ""))))
	if code, _ := answer(t, hl7.NewFrames(first)); code != "AA" {
		t.Fatal(code)
	}
	second := r.dial()
	if _, err := hl7.NewFrames(second).Next(); err == nil {
		t.Error("a second connection is served")
	}
	r.counted(hl7.TooMany, 1)
}
