package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/desk"
)

// status is how a running program is doing. Nothing in it is about a person.
type status struct {
	Version    string             `json:"version"`
	Started    time.Time          `json:"started"`
	Goroutines int                `json:"goroutines"`
	HeapBytes  uint64             `json:"heap_bytes"` // in use
	Feeds      int                `json:"feeds"`      // browsers on the live calendar
	Clinics    []clinicStatus     `json:"clinics"`
	Actors     []system.KindStats `json:"actors"`
}

// clinicStatus is one clinic of a status.
type clinicStatus struct {
	ID     engine.ClinicID `json:"id"`
	Mode   engine.Mode     `json:"mode"`
	Health desk.Health     `json:"health"`
	Open   int             `json:"open"`   // slots that look for somebody
	Outbox int             `json:"outbox"` // promised and not done; at most mostOutbox are counted
	More   bool            `json:"more,omitempty"`
}

const mostOutbox = 10_000

// status is a deed of control.
func (c *control) status(ctx context.Context, _ struct{}, _ func(string)) (status, error) {
	if c.relais == nil {
		return status{}, errors.New("relais is not running on this store")
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := status{
		Version: Version(), Started: started, Goroutines: runtime.NumGoroutine(), HeapBytes: m.HeapAlloc, Actors: c.relais.Stats(),
	}
	if c.feeds != nil {
		s.Feeds = c.feeds()
	}
	for _, info := range c.relais.Clinics(ctx) {
		snap, err := c.relais.Snapshot(ctx, info.ID)
		if err != nil {
			return s, err
		}
		effects, err := c.store.Outbox(ctx, info.ID, "", mostOutbox)
		if err != nil {
			return s, err
		}
		one := clinicStatus{ID: info.ID, Mode: snap.Clinic.Mode, Health: snap.Health, Outbox: len(effects), More: len(effects) == mostOutbox}
		for _, card := range snap.Cards {
			switch card.State {
			case desk.Freed, desk.Approval, desk.Offered, desk.Suspended:
				one.Open++
			case desk.Free, desk.Reserved, desk.Claimed, desk.Confirmed, desk.Expired:
			}
		}
		s.Clinics = append(s.Clinics, one)
	}
	return s, nil
}

// started is when the process began, near enough.
var started = time.Now()

type statusCommand struct {
	storeFlags

	JSON bool `name:"json" help:"For machines."`
}

// Help is printed below the flags.
func (statusCommand) Help() string {
	return `Asks the running relais serve or relais demo through the socket beside its store: clinics and the trust in their record systems,
open slots, what is promised and not done yet, actors and their mailboxes. Exit code 1: it does not run, or a clinic is
suspended.

The same socket serves /debug/, with profiles:
  curl --unix-socket DATA/control.sock http://relais/debug/
  curl --unix-socket DATA/control.sock http://relais/debug/pprof/heap > heap && go tool pprof heap`
}

// Run asks and prints.
func (s *statusCommand) Run(ctx context.Context, streams *streams) error {
	var st status
	if err := s.ask(ctx, streams, "status", struct{}{}, &st); err != nil {
		return err
	}
	if s.JSON {
		out := json.NewEncoder(streams.out)
		out.SetIndent("", "  ")
		if err := out.Encode(st); err != nil {
			return err
		}
	} else if err := st.print(streams.out, time.Now()); err != nil {
		return err
	}
	var bad []string
	for _, c := range st.Clinics {
		if c.Health.Status == "suspended" {
			bad = append(bad, string(c.ID))
		}
	}
	if len(bad) > 0 {
		return fmt.Errorf("suspended: %s; relais dme check says why", strings.Join(bad, ", "))
	}
	return nil
}

func (st status) print(to io.Writer, now time.Time) error {
	w := tabwriter.NewWriter(to, 2, 0, 3, ' ', 0)
	fmt.Fprintf(w, "Relais %s, up %s, %d goroutines, heap %s, %s on the live calendar\n\n", st.Version,
		now.Sub(st.Started).Round(time.Second), st.Goroutines, megabytes(int64(st.HeapBytes)), count(st.Feeds, "browser")) //nolint:gosec // a heap fits
	fmt.Fprintln(w, "CLINIC\tMODE\tRECORD SYSTEM\tSINCE\tOPEN\tWRITING\tOUTBOX\tWHY")
	for _, c := range st.Clinics {
		state := string(c.Health.Status)
		if c.Health.Held {
			state += " (held by hand)"
		}
		outbox := fmt.Sprint(c.Outbox)
		if c.More {
			outbox += " or more"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", c.ID, c.Mode, state, now.Sub(c.Health.Since).Round(time.Second), c.Open, c.Health.Writing, outbox, c.Health.Fault)
	}
	fmt.Fprintln(w, "\nACTORS\tALIVE\tWAITING\tPARKED\tPANICS\tDROPPED")
	for _, a := range st.Actors {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\n", a.Kind, a.Actors, a.Queued, a.Parked, a.Panics, a.Dropped)
	}
	return w.Flush()
}

// debugPages are served on the socket beside the store only, which nobody but the user that runs Relais can
// open: a profile shows how the program works, and taking one costs.
func (c *control) debugPages(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/{$}", func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		st, err := c.status(req.Context(), struct{}{}, nil)
		if err == nil {
			err = st.print(w, time.Now())
		}
		if err != nil {
			fmt.Fprintln(w, err)
		}
		fmt.Fprint(w, "\n/debug/status\n/debug/pprof/            what profiles there are\n/debug/pprof/heap\n/debug/pprof/profile?seconds=10\n/debug/pprof/goroutine?debug=1\n")
	})
	mux.HandleFunc("GET /debug/status", func(w http.ResponseWriter, req *http.Request) {
		st, err := c.status(req.Context(), struct{}{}, nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(st)
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
}
