package fhir

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"relais/engine"
)

// push says how changes would be pushed. A dry run asks for the subscriptions that relais serve asks for, looks
// what becomes of them, and deletes them; those that are there already are only looked at.
func (k *checker) push(ctx context.Context) (engine.Verdict, string) {
	c := k.c
	can, err := c.can(ctx)
	if err != nil {
		return wrong(err)
	}
	switch {
	case c.cfg.Endpoint == "":
		return engine.CheckWeak, "No hook_secret is set, so nothing is pushed; changes are found by polling alone."
	case !can.hooks:
		return engine.CheckWeak, "The record system takes no subscriptions; changes are found by polling alone."
	}
	for _, t := range c.cfg.Topics {
		if !slices.Contains(can.topics, t) {
			return engine.CheckWeak, "A configured topic is not among those that the record system declares; it may refuse the subscription."
		}
	}
	list, err := c.search(ctx, "Subscription", url.Values{"url": {c.cfg.Endpoint}})
	if err != nil {
		return engine.CheckWeak, "Our subscriptions cannot be read, so changes are found by polling alone; the right to read and write Subscription is missing."
	}
	also := ""
	if len(c.cfg.Topics) == 0 && len(can.topics) > 0 {
		also = " The record system declares topics too: " + strings.Join(can.topics, ", ")
	}
	state := ""
	for _, r := range list.list {
		if status := subscriptionStatus(r); status != "active" || state == "" {
			state = status
		}
	}
	switch {
	case state == "active":
		k.pushed()
		return engine.CheckOK, "Our subscription is active." + also
	case state == "requested":
		k.pushed()
		return engine.CheckOK, "Our subscription was asked for and is not active yet." + also
	case state != "":
		return engine.CheckWeak, "The record system has switched our subscription off (" + state + "); it must be able to post to " + c.cfg.Endpoint + "."
	case !k.dryRun:
		k.pushed()
		return engine.CheckOK, "Subscriptions can be read; relais subscribes when it serves. With --dry-run-booking this is tried." + also
	}
	return k.subscribe(ctx, also)
}

// pushed notes how changes will be told once relais serves.
func (k *checker) pushed() {
	k.c.mu.Lock()
	defer k.c.mu.Unlock()
	k.c.push = pushHook
	if len(k.c.cfg.Topics) > 0 {
		k.c.push = pushTopic
	}
}

// subscribe asks for the subscriptions and deletes them.
func (k *checker) subscribe(ctx context.Context, also string) (verdict engine.Verdict, sentence string) {
	c := k.c
	var made []resource
	defer func() {
		for _, r := range made {
			if answer, err := c.do(ctx, call{method: http.MethodDelete, path: r.source()}); err != nil || answer.status >= 400 {
				verdict, sentence = engine.CheckWeak, "A subscription is taken, but the one that was made to try it could not be deleted: "+r.source()+". It does no harm; relais serve takes it over."
			}
		}
	}()
	refused := "The record system takes no subscription from us; changes are found by polling alone. "
	for _, criteria := range c.criteria() {
		wanted := c.subscription(criteria, c.cfg.Endpoint, HookHeader+": "+c.cfg.Secret)
		wanted["resourceType"] = "Subscription"
		body, err := json.Marshal(wanted)
		if err != nil {
			return engine.CheckWeak, refused
		}
		r, err := c.do(ctx, call{method: http.MethodPost, path: "Subscription", body: body})
		if err == nil && r.status >= 300 {
			err = failure(engine.DMERejected, "The record system refuses the request (%d).", r.status)
		}
		if err != nil {
			return engine.CheckWeak, refused + detail(err)
		}
		source := c.madeAt(r, "Subscription")
		if source == "" {
			return engine.CheckWeak, "A subscription is taken, but the record system does not say which; look for one that posts to " + c.cfg.Endpoint + " and delete it."
		}
		sub, there, err := c.read(ctx, source)
		if err != nil || !there {
			return engine.CheckWeak, "A subscription is taken and cannot be read again; changes are found by polling alone."
		}
		made = append(made, sub)
	}
	status := cmp.Or(subscriptionStatus(made[0]), "without a status")
	if status == "error" || status == "off" {
		return engine.CheckWeak, fmt.Sprintf("A subscription is taken and then switched off (%s); the record system must be able to post to %s.", status, c.cfg.Endpoint)
	}
	k.pushed()
	return engine.CheckOK, "Subscriptions are taken (" + status + "); those made to try it were deleted." + also
}

func subscriptionStatus(r resource) string {
	v, err := view[struct {
		Status string `json:"status"`
	}](r)
	if err != nil || !isCode(v.Status) {
		return ""
	}
	return v.Status
}

// madeAt is the source of what a POST made, or "".
func (c *Client) madeAt(r reply, typ string) string {
	if source := c.source(r.header.Get("Location")); strings.HasPrefix(source, typ+"/") && isSource(source) {
		return source
	}
	if made, err := readResource(r.body); err == nil && made.Type == typ && isSource(made.source()) {
		return made.source()
	}
	return ""
}
