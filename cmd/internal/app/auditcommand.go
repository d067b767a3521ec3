package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/user"
	"slices"
	"time"

	"relais/engine"
	"relais/storage"
)

type auditCommand struct {
	Verify auditVerify `cmd:"" help:"Verify the chain of every clinic's timeline, and name the first link that does not hold."`
	Export auditExport `cmd:"" help:"Print a clinic's timeline, with what chains it, as JSON lines."`
}

// auditVerify names what to verify.
type auditVerify struct {
	storeFlags

	Clinic string `arg:"" optional:"" help:"Only this clinic; \"-\" is what belongs to no clinic: accounts and opt-outs."`
}

// Help is printed below the flags.
func (auditVerify) Help() string {
	return `Each event's hash covers the one before. What was erased on request keeps its place in the chain, and the erasure is an event
of its own. Exit code 1: a chain is broken. Note the printed hash of the newest event elsewhere now and then: it proves
later that the whole file was not put back from an older copy.`
}

const sharedName = "-"

func clinicArg(name string) engine.ClinicID {
	if name == sharedName {
		return storage.Shared
	}
	return engine.ClinicID(name)
}

func clinicName(c engine.ClinicID) string {
	if c == storage.Shared {
		return sharedName
	}
	return string(c)
}

type verifyRequest struct {
	All    bool            `json:"all"`
	Clinic engine.ClinicID `json:"clinic"`
}

// Run verifies and prints a line for each clinic.
func (a *auditVerify) Run(ctx context.Context, io *streams) error {
	var verdicts []storage.Verdict
	in := verifyRequest{All: a.Clinic == "", Clinic: clinicArg(a.Clinic)}
	if err := a.ask(ctx, io, "audit_verify", in, &verdicts); err != nil {
		return err
	}
	broken := 0
	for _, v := range verdicts {
		name := clinicName(v.Clinic)
		if b := v.Broken; b != nil {
			broken++
			at := ""
			if !b.At.IsZero() {
				at = ", of " + b.At.Format(time.RFC3339)
			}
			fmt.Fprintf(io.out, "%s: BROKEN at event %d%s: %s\n", name, b.Seq, at, b.Why)
			continue
		}
		fmt.Fprintf(io.out, "%s: %s, %d redacted, the chain holds up to %s\n", name, count(int(v.Events), "event"), v.Redacted, v.Head) //nolint:gosec // a count
	}
	if broken > 0 {
		return fmt.Errorf("%s broken: keep a copy of the store as evidence, find out who could write its file, and compare with the backups", count(broken, "chain"))
	}
	return nil
}

func (c *control) verifyChains(ctx context.Context, in verifyRequest, _ func(string)) ([]storage.Verdict, error) {
	heads, err := c.store.Heads(ctx)
	if err != nil {
		return nil, err
	}
	if !in.All {
		heads = slices.DeleteFunc(heads, func(h storage.Head) bool { return h.Clinic != in.Clinic })
		if len(heads) == 0 {
			heads = []storage.Head{{Clinic: in.Clinic}} // its head is gone, or it never had events
		}
	}
	verdicts := make([]storage.Verdict, 0, len(heads))
	for _, h := range heads {
		v, err := storage.Verify(ctx, c.store, h)
		if err != nil {
			return nil, err
		}
		if !in.All && !h.Opens && v.Events == 0 {
			return nil, engine.Errorf(engine.NotFound, "clinic %q has no timeline", clinicName(in.Clinic))
		}
		verdicts = append(verdicts, v)
	}
	return verdicts, nil
}

type auditExport struct {
	storeFlags

	Clinic  string `arg:"" help:"Identifier of the clinic; \"-\" is what belongs to no clinic."`
	Subject string `help:"Only events about this, for example audit, a slot or patient/ID." placeholder:"SUBJECT"`
}

// Help is printed below the flags.
func (auditExport) Help() string {
	return `One event a line, the oldest first: number, subject, time, data, hash, and whether its data was redacted. The data of
timelines names patients by identifier and may hold what they wrote: keep the output as you keep the store.`
}

type exportRequest struct {
	Clinic  engine.ClinicID `json:"clinic"`
	Subject string          `json:"subject"`
	Who     string          `json:"who"`
}

// exported is one line of an export.
type exported struct {
	Seq      uint64          `json:"seq"`
	Subject  string          `json:"subject"`
	At       time.Time       `json:"at"`
	Data     json.RawMessage `json:"data,omitempty"`
	Digest   storage.Hash    `json:"digest"`
	Hash     storage.Hash    `json:"hash"`
	Redacted bool            `json:"redacted,omitempty"`
}

// Run prints the lines.
func (a *auditExport) Run(ctx context.Context, io *streams) error {
	in := exportRequest{Clinic: clinicArg(a.Clinic), Subject: a.Subject, Who: operator()}
	var lines int
	if err := a.asking(ctx, io, io.out, "audit_export", in, &lines); err != nil {
		return err
	}
	if lines == 0 {
		return fmt.Errorf("clinic %s has no such events", clinicName(in.Clinic))
	}
	return nil
}

func (c *control) exportChain(ctx context.Context, in exportRequest, say func(string)) (lines int, err error) {
	for after := uint64(0); ; {
		links, err := c.store.Links(ctx, in.Clinic, after, 1000)
		if err != nil {
			return lines, err
		}
		for i := range links {
			l := &links[i]
			after = l.Seq
			if in.Subject != "" && l.Subject != in.Subject {
				continue
			}
			e := exported{Seq: l.Seq, Subject: l.Subject, At: l.At, Digest: l.Digest, Hash: l.Hash, Redacted: l.Redacted}
			switch {
			case json.Valid(l.Data):
				e.Data = l.Data
			case len(l.Data) > 0:
				e.Data, _ = json.Marshal(string(l.Data)) // a string always can
			}
			text, err := json.Marshal(e)
			if err != nil {
				return lines, err
			}
			say(string(text))
			lines++
		}
		if len(links) == 0 {
			if lines > 0 {
				c.noteDown(ctx, record(in.Clinic, in.Who, "timeline exported", in.Subject, ""))
			}
			return lines, nil
		}
	}
}

// auditSubject is the subject of the events that say who did or saw what.
const auditSubject = "audit"

// audited is the data of such an event.
type audited struct {
	At    time.Time `json:"at"`
	Who   string    `json:"who"`
	From  string    `json:"from"`
	What  string    `json:"what"`
	About string    `json:"about,omitempty"`
	Why   string    `json:"why,omitempty"`
}

// operator says who runs this command.
func operator() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return "operator " + u.Username
	}
	return "operator"
}

// record makes the audit event of what a command does.
func record(c engine.ClinicID, who, what, about, why string) storage.Event {
	now := time.Now().UTC()
	data, _ := json.Marshal(audited{At: now, Who: who, From: "command line", What: what, About: about, Why: why}) // strings always can
	return storage.Event{Clinic: c, Subject: auditSubject, At: now, Data: data}
}

// noteDown keeps an audit event of what was done already.
func (c *control) noteDown(ctx context.Context, e storage.Event) {
	if err := c.store.Commit(context.WithoutCancel(ctx), storage.Batch{Events: []storage.Event{e}}); err != nil {
		c.log.Error("what a command did is not in the audit log", "error", err)
	}
}

// lineWriter prints lines, and remembers that it could not.
type lineWriter struct {
	w   io.Writer
	err error
}

func (l *lineWriter) say(line string) {
	if l.err == nil {
		_, l.err = fmt.Fprintln(l.w, line)
	}
}
