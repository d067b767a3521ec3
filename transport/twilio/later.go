package twilio

import (
	"context"
	"time"

	"relais/engine"
)

// reply hands a reply to the backend. ok is false when the answer was not there in time for the webhook:
// then the reply goes on without it, and late gets what comes of it.
func (h *hooks) reply(ctx context.Context, in engine.Reply, late func(context.Context, engine.Answer, error)) (a engine.Answer, err error, ok bool) {
	type answered struct {
		a   engine.Answer
		err error
	}
	got := make(chan answered)
	started := h.later(ctx, "reply", func(work context.Context) {
		a, err := h.backend.Reply(work, in)
		select {
		case got <- answered{a, err}: // only while the webhook waits for it
		case <-ctx.Done():
			late(work, a, err)
		}
	})
	if !started {
		return a, engine.Errorf(engine.Unavailable, "too many replies are under way"), true
	}
	select {
	case x := <-got:
		return x.a, x.err, true
	case <-ctx.Done():
		return a, nil, false
	}
}

// later does work that may outlast its webhook, for workTime at most. It is false when too much is
// under way already. A panic ends the work alone.
func (h *hooks) later(ctx context.Context, what string, work func(context.Context)) bool {
	select {
	case h.work <- struct{}{}:
	default:
		return false
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), workTime)
		defer func() {
			if p := recover(); p != nil {
				h.failed(ctx, what, engine.Errorf(engine.Internal, "a webhook's work panicked"))
			}
			cancel()
			<-h.work
		}()
		work(ctx)
	}()
	return true
}

// write sends the answer to a text as a message of its own, once: nobody asks later what became of it,
// and a person who heard nothing writes again.
func (h *hooks) write(ctx context.Context, k hook, to engine.Phone, text string) {
	if text == "" || k.account.Client == nil {
		return
	}
	out := k.account.Client.Send(ctx, engine.Message{Channel: engine.SMS, Phone: to, Text: text, Valid: time.Hour})
	if out.Status != engine.Accepted {
		h.cfg.Log.WarnContext(ctx, "a late answer may not have left", "status", string(out.Status), "reason", string(out.Reason))
	}
}
