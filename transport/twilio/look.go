package twilio

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"relais/engine"
)

// How a message without an identifier is looked for. A text is known by its words where Twilio still has
// them (we ask it to delete them), and by when it was made: after it was given to us, a wait for its turn
// and a slow request later at most. A call has no words, and only one that was made since any earlier call
// of the same offer can be meant; those are at least five minutes apart.
const (
	textsSince = 6 * time.Hour
	callsSince = 4 * time.Minute
	clocksPart = 2 * time.Second // Twilio tells whole seconds, by its own clock
	longestWay = 40 * time.Second
	mostListed = 50
)

// Look asks what became of a message that was handed over: by its identifier, or else by number, time and,
// for a text, words. ok is false when Twilio has nothing final to say, and when more than one message may
// be meant. engine.ReceiptAbsent says that none may be, engine.NotFound that the account has no message of
// that identifier.
func (c *Client) Look(ctx context.Context, m engine.Message, ref string) (engine.Receipt, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	var r engine.Receipt
	var err error
	switch {
	case m.Channel == engine.SMS && ref != "":
		r, err = c.lookText(ctx, ref)
	case m.Channel == engine.SMS:
		r, err = c.findText(ctx, m)
	case m.Channel == engine.Voice && ref != "":
		r, err = c.lookCall(ctx, ref)
	case m.Channel == engine.Voice:
		r, err = c.findCall(ctx, m)
	default:
		return engine.Receipt{}, false, engine.Errorf(engine.Invalid, "twilio: not a channel of phones")
	}
	if err != nil {
		return engine.Receipt{}, false, err
	}
	r.Attempt, r.At = m.Attempt, time.Now().UTC()
	return r, r.Status != "", nil
}

func (c *Client) lookText(ctx context.Context, ref string) (engine.Receipt, error) {
	x, service := c.begin(ctx)
	t, err := service.FetchMessage(ref, &api.FetchMessageParams{})
	if err != nil {
		return engine.Receipt{}, lookFailed(x, err)
	}
	return textReceipt(t), nil
}

func textReceipt(t *api.ApiV2010Message) engine.Receipt {
	r := engine.Receipt{Ref: value(t.Sid)}
	r.Status, r.Reason = textStatus(value(t.Status), value(t.ErrorCode))
	return r
}

func (c *Client) findText(ctx context.Context, m engine.Message) (engine.Receipt, error) {
	x, service := c.begin(ctx)
	page, err := service.PageMessage((&api.ListMessageParams{}).SetTo(string(m.Phone)).SetPageSize(mostListed), "", "")
	if err != nil {
		return engine.Receipt{}, lookFailed(x, err)
	}
	var found []engine.Receipt
	for _, t := range page.Messages {
		if !since(value(t.DateCreated), textsSince) || !strings.HasPrefix(value(t.Direction), "outbound") {
			continue
		}
		switch strings.TrimSpace(value(t.Body)) {
		case "": // the words were deleted: it may be this one
			switch made, ok := madeAt(value(t.DateCreated)); {
			case m.Handed.IsZero():
				return engine.Receipt{}, nil
			case ok && !made.Before(m.Handed.Add(-clocksPart)) && !made.After(m.Handed.Add(longestWay)):
				found = append(found, textReceipt(&t))
			}
		case strings.TrimSpace(m.Text):
			found = append(found, textReceipt(&t))
		}
	}
	return only(found), nil
}

func (c *Client) lookCall(ctx context.Context, ref string) (engine.Receipt, error) {
	x, service := c.begin(ctx)
	k, err := service.FetchCall(ref, &api.FetchCallParams{})
	if err != nil {
		return engine.Receipt{}, lookFailed(x, err)
	}
	return callReceipt(k), nil
}

// callReceipt reads a call. One that is over was answered by whom the verdict says, if there is one.
func callReceipt(k *api.ApiV2010Call) engine.Receipt {
	r := engine.Receipt{Ref: value(k.Sid)}
	r.Status, r.Reason = callStatus(value(k.Status), "", 0)
	if value(k.Status) != "completed" {
		return r
	}
	switch by := value(k.AnsweredBy); {
	case by == "human":
		r.Status = engine.ReceiptAnswered
	case strings.HasPrefix(by, "machine_"):
		r.Status = engine.ReceiptMachine
	default:
		r.Status = engine.ReceiptSent
	}
	return r
}

func (c *Client) findCall(ctx context.Context, m engine.Message) (engine.Receipt, error) {
	x, service := c.begin(ctx)
	page, err := service.PageCall((&api.ListCallParams{}).SetTo(string(m.Phone)).SetFrom(c.cfg.From).SetPageSize(mostListed), "", "")
	if err != nil {
		return engine.Receipt{}, lookFailed(x, err)
	}
	var found []engine.Receipt
	for _, k := range page.Calls {
		if since(value(k.DateCreated), callsSince) && strings.HasPrefix(value(k.Direction), "outbound-api") {
			found = append(found, callReceipt(&k))
		}
	}
	return only(found), nil
}

// only is the one receipt there is; none, when several may be meant.
func only(found []engine.Receipt) engine.Receipt {
	switch len(found) {
	case 0:
		return engine.Receipt{Status: engine.ReceiptAbsent}
	case 1:
		return found[0]
	}
	return engine.Receipt{}
}

func since(made string, within time.Duration) bool {
	t, ok := madeAt(made)
	return ok && time.Since(t) < within
}

func madeAt(made string) (time.Time, bool) {
	t, err := time.Parse(time.RFC1123Z, made)
	return t, err == nil
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// lookFailed leaves the cause out: its text holds the URL, which holds the number.
func lookFailed(x *exchange, err error) error {
	code := engine.Unavailable
	if rest, ok := errors.AsType[*client.TwilioRestError](err); ok && rest.Code == notFoundCode {
		code = engine.NotFound
	}
	return engine.Errorf(code, "twilio: look up: status %d", x.status)
}
