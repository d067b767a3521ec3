package sandbox

import (
	"context"
	"maps"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// player plays one TwiML document on one call.
type player struct {
	c     *CarrierServer
	k     *call
	ctx   context.Context //nolint:containedctx // lives as long as the document
	steps *int            // verbs left for the whole call
	base  *url.URL
}

// document plays d and returns what follows, or nil when the call ends.
func (p *player) document(d document) *document {
	p.base = d.base
	if d.fetch != "" {
		f := p.c.callForm(p.k, "in-progress")
		maps.Copy(f, d.extra)
		body, u, err := p.c.post(p.ctx, d.fetch, f)
		if err == nil {
			d.verbs, err = parseTwiML(body)
		}
		if err != nil {
			if p.ctx.Err() == nil {
				p.c.wall.say(p.k.sid, "relais", "An application error has occurred. Goodbye.")
				p.c.log.Warn("sandbox carrier: call script not usable")
			}
			return nil
		}
		p.base = u
	}
	for _, v := range d.verbs {
		if *p.steps--; *p.steps < 0 || p.ctx.Err() != nil {
			return nil
		}
		switch v.name {
		case "Say":
			p.say(v, nil)
		case "Pause":
			p.wait(v.number("length", 1, maxSeconds))
		case "Gather":
			if next := p.gather(v); next != nil {
				return next
			}
		case "Dial":
			return p.dial(v)
		case "Redirect":
			return p.follow(v.words(), nil)
		case "Hangup", "Reject":
			return nil
		}
	}
	return nil
}

// dial rings at another number, where nobody picks up: the sandbox has no third parties.
func (p *player) dial(v verb) *document {
	number := v.words()
	for _, in := range v.in {
		if in.name == "Number" {
			number = in.words()
		}
	}
	p.c.wall.say(p.k.sid, "relais", "("+number+")")
	p.wait(v.number("timeout", defaultRing, maxSeconds))
	if p.ctx.Err() != nil || v.attrs["action"] == "" {
		return nil
	}
	return p.follow(v.attrs["action"], url.Values{"DialCallStatus": {"no-answer"}})
}

// follow makes the document at an address, which may be relative; "" is this one again.
func (p *player) follow(address string, extra url.Values) *document {
	u, err := url.Parse(address)
	if err != nil {
		return nil
	}
	if p.base != nil {
		u = p.base.ResolveReference(u)
	}
	if u.Host == "" {
		return nil
	}
	return &document{fetch: u.String(), extra: extra}
}

func (p *player) wait(seconds int) { pause(p.ctx, time.Duration(seconds)*p.c.cfg.Second) }

// say speaks for as long as a voice would. A key cuts it short and is returned when keys listens.
func (p *player) say(v verb, keys <-chan string) string {
	text := v.words()
	if text == "" {
		return ""
	}
	p.c.wall.say(p.k.sid, "relais", text)
	seconds := float64(utf8.RuneCountInString(text)) / speechRate
	t := time.NewTimer(time.Duration(seconds * float64(p.c.cfg.Second)))
	defer t.Stop()
	select {
	case key := <-keys:
		return key
	case <-t.C:
	case <-p.ctx.Done():
	}
	return ""
}

// gather plays what is inside, collects keys or a word, and returns the document that its action
// leads to, or nil to go on after the gather.
func (p *player) gather(v verb) *document {
	input := v.attrs["input"]
	if input == "" {
		input = "dtmf"
	}
	most := v.number("numDigits", 32, 32)
	finish, ok := v.attrs["finishOnKey"]
	if !ok {
		finish = "#"
	}
	var digits strings.Builder
	// take reads one key or word and says whether the gather is complete.
	take := func(key string) *document {
		switch {
		case len(key) > 1:
			if strings.Contains(input, "speech") {
				return p.follow(v.attrs["action"], url.Values{"SpeechResult": {key}, "Confidence": {"0.9"}})
			}
			return nil
		case !strings.Contains(input, "dtmf"):
			return nil
		case key == finish && finish != "":
		default:
			digits.WriteString(key)
			if digits.Len() < most {
				return nil
			}
		}
		return p.follow(v.attrs["action"], url.Values{"Digits": {digits.String()}})
	}
	for _, in := range v.in {
		if *p.steps--; *p.steps < 0 || p.ctx.Err() != nil {
			return nil
		}
		switch in.name {
		case "Say":
			if key := p.say(in, p.k.keys); key != "" {
				if next := take(key); next != nil {
					return next
				}
			}
		case "Pause":
			p.wait(in.number("length", 1, maxSeconds))
		}
		if digits.Len() > 0 {
			break // somebody types: the rest of the prompt is not played
		}
	}
	quiet := time.Duration(v.number("timeout", gatherWait, maxSeconds)) * p.c.cfg.Second
	t := time.NewTimer(quiet)
	defer t.Stop()
	for {
		select {
		case key := <-p.k.keys:
			if next := take(key); next != nil {
				return next
			}
			t.Reset(quiet)
		case <-t.C:
			if digits.Len() > 0 {
				return p.follow(v.attrs["action"], url.Values{"Digits": {digits.String()}})
			}
			if v.attrs["actionOnEmptyResult"] == "true" {
				return p.follow(v.attrs["action"], url.Values{"Digits": {""}})
			}
			return nil
		case <-p.ctx.Done():
			return nil
		}
	}
}
