package hl7

import (
	"context"
	"errors"
	"fmt"
	"time"

	"relais/engine"
)

// Modes says how this record system is worked with.
func (c *Connector) Modes() []engine.DMEMode {
	modes := []engine.DMEMode{
		{What: "push", Mode: "SIU", Sentence: "The record system sends every change at once, and sends it again until it is acknowledged."},
		{
			What: "complete look", Mode: "messages only", Weak: true,
			Sentence: "HL7 v2 cannot be asked for the schedule: a slot is known once a message named it, and a message that was never sent is missed.",
		},
		{
			What: "conflict", Mode: "record system decides", Weak: true,
			Sentence: "Whether a slot is still free is known from messages; the record system checks again when it is asked for the booking.",
		},
	}
	booking := engine.DMEMode{What: "booking", Mode: "SRM, answered by SRR or SIU", Sentence: "A booking is final when the record system has answered or shown it."}
	switch {
	case c.cfg.SendTo == "":
		booking.Mode, booking.Weak = "none", true
		booking.Sentence = "No send_to is configured: nothing can be booked."
	case c.cfg.AcceptAck:
		booking.Mode, booking.Weak = "SRM, answered by ACK", true
		booking.Sentence = "The acknowledgment of a request counts as its acceptance; a record system that decides later could still say no."
	}
	quiet := engine.DMEMode{What: "silence", Mode: "suspends", Sentence: fmt.Sprintf("Without a connection and a message for %s of the opening hours the clinic is suspended.", c.cfg.Quiet)}
	if c.cfg.Quiet == 0 {
		quiet = engine.DMEMode{What: "silence", Mode: "tolerated", Weak: true, Sentence: "A record system that stops sending is not noticed; set quiet_after where it keeps its connection open."}
	}
	return append(modes, booking, quiet)
}

// Check tries what can be tried: the connection to where requests go, and what has come. dryRun asks
// to cancel an appointment that nobody has, to see that requests are understood; nothing changes.
func (c *Connector) Check(ctx context.Context, dryRun bool, step func(engine.CheckStep)) {
	broken := false
	run := func(name string, f func() (engine.Verdict, string)) {
		began := time.Now()
		verdict, sentence := f()
		broken = broken || verdict == engine.CheckFailed
		step(engine.CheckStep{Name: name, Verdict: verdict, Sentence: sentence, Took: time.Since(began)})
	}
	run("messages", func() (engine.Verdict, string) {
		if c.cfg.Journal == nil {
			return engine.CheckSkipped, "What came is known to the program that takes the messages; its page shows the clinic's health."
		}
		return c.checkMessages(ctx)
	})
	run("reach", func() (engine.Verdict, string) {
		if c.cfg.SendTo == "" {
			return engine.CheckSkipped, "No send_to is configured: nothing can be booked."
		}
		if err := c.out.reach(ctx); err != nil {
			return sentenceOf(err)
		}
		return engine.CheckOK, "The record system takes our connection."
	})
	run("request", func() (engine.Verdict, string) {
		switch {
		case c.cfg.SendTo == "":
			return engine.CheckSkipped, "No send_to is configured."
		case !dryRun:
			return engine.CheckSkipped, "Asked for a dry run, Relais sends a request that changes nothing."
		case broken:
			return engine.CheckSkipped, "Not tried, because an earlier step failed."
		}
		return c.checkRequest(ctx)
	})
}

func sentenceOf(err error) (engine.Verdict, string) {
	if f, ok := errors.AsType[*engine.DMEFailure](err); ok {
		return engine.CheckFailed, f.Detail
	}
	return engine.CheckFailed, "The record system does not answer as it should."
}

func (c *Connector) checkMessages(ctx context.Context) (engine.Verdict, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usable(ctx); err != nil {
		return sentenceOf(err)
	}
	now, coming := c.cfg.Now(), 0
	for _, s := range c.p.slots {
		if s.Start.After(now) {
			coming++
		}
	}
	if coming == 0 {
		return engine.CheckWeak, "No message has told of a coming appointment yet; slots are known once messages name them."
	}
	return engine.CheckOK, fmt.Sprintf("%d coming slots are known from messages; %d connections bring messages of this clinic now.", coming, c.links)
}

// checkRequest asks to cancel what does not exist. Any answer of the application will do.
func (c *Connector) checkRequest(ctx context.Context) (engine.Verdict, string) {
	nobody := appointment{Source: "check/" + c.cfg.Now().UTC().Format(time.RFC3339Nano), Placer: bookingPrefix + "check"}
	r, err := c.request(ctx, controlOf(engine.BookingID(nobody.Source), "S04"), c.cancellation(nobody), true)
	if f, ok := errors.AsType[*engine.DMEFailure](err); ok && f.Detail == undecided && c.cfg.Journal == nil {
		return engine.CheckWeak, "The record system takes requests. It answers them with messages of their own, which come to relais serve and not here."
	}
	if err != nil {
		return sentenceOf(err)
	}
	if r.code == "AR" || r.code == "CR" || r.code == "CE" {
		return engine.CheckFailed, fmt.Sprintf("The record system refuses our requests (%s %s): check sender, receiver and version.", r.code, r.err)
	}
	return engine.CheckOK, fmt.Sprintf("The record system answers requests (%s).", r.code)
}
