package fhir

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"relais/engine"
)

// booking tries to write and must not succeed. The slot that is the furthest ahead is written as it
// was just read, on the condition of a version that it does not have: a server that honours If-Match
// refuses (412), and one that ignores it writes what is there already. With transactions, the same
// transaction first makes an appointment that was "entered in error" from the start, with no patient
// and on no slot: it must not be there afterwards, which shows that a failed transaction is undone
// as a whole. If it is there, it is deleted.
func (k *checker) booking(ctx context.Context) (engine.Verdict, string) {
	if k.last == "" {
		return engine.CheckSkipped, "There is no slot to try it on."
	}
	slot, there, err := k.c.read(ctx, k.last)
	if err != nil {
		return wrong(err)
	}
	if !there || slot.Meta.VersionID == "" {
		return engine.CheckWeak, "The record system gives slots no versions, so nothing stops two writers at the same moment; each booking is read again."
	}
	can, err := k.c.can(ctx)
	if err != nil {
		return wrong(err)
	}
	if !can.transactions {
		return k.conditional(ctx, slot)
	}
	return k.atomic(ctx, slot)
}

func otherVersion(v string) string {
	if n, err := strconv.ParseUint(v, 10, 32); err == nil {
		return `W/"` + strconv.FormatUint(n+1_000_000, 10) + `"`
	}
	return `W/"` + rand.Text() + `"`
}

func (k *checker) conditional(ctx context.Context, slot resource) (engine.Verdict, string) {
	r, err := k.c.do(ctx, call{
		method: http.MethodPut, path: slot.source(), body: slot.raw,
		header: http.Header{"If-Match": {otherVersion(slot.Meta.VersionID)}},
	})
	if err == nil && r.status >= 300 {
		return engine.CheckFailed, fmt.Sprintf("Slots cannot be written (%d).", r.status)
	}
	return k.stopped(err, "A write on a stale version is refused (If-Match). Bookings are written step by step.")
}

// stopped judges the answer to a write that should have been refused.
func (k *checker) stopped(err error, good string) (engine.Verdict, string) {
	switch fault(err) {
	case engine.DMEConflict:
		k.c.change(func(a *abilities) { a.conditional = true })
		return engine.CheckOK, good
	case "":
		k.c.change(func(a *abilities) { a.conditional = false })
		return engine.CheckWeak, "The record system ignores If-Match. A slot was written as it was; nothing changed in it. Each booking is read again, and ours taken back when it is not alone."
	case engine.DMERejected:
		return engine.CheckFailed, "The record system refuses the write for another reason than the version: " + detail(err)
	case engine.DMESignIn, engine.DMEUnreachable, engine.DMEBusy, engine.DMEError, engine.DMEMalformed:
	}
	return wrong(err)
}

func detail(err error) string {
	_, sentence := wrong(err)
	return sentence
}

func (k *checker) atomic(ctx context.Context, slot resource) (engine.Verdict, string) {
	v, err := viewSlot(slot)
	if err != nil {
		return wrong(err)
	}
	id := "dry-run-" + rand.Text()
	appointment, err := json.Marshal(map[string]any{
		"resourceType": "Appointment", "status": "entered-in-error",
		"identifier":  []any{map[string]any{"system": BookingSystem, "value": id}},
		"start":       v.Start,
		"end":         v.End,
		"description": "Relais checks that a failed transaction leaves nothing behind",
		"participant": []any{map[string]any{"status": "needs-action", "actor": map[string]any{"display": "Relais"}}},
	})
	if err != nil {
		return wrong(err)
	}
	match := otherVersion(slot.Meta.VersionID)
	_, refused := k.c.transact(ctx, []entry{
		{Resource: appointment, Request: &request{Method: http.MethodPost, URL: "Appointment"}},
		{Resource: slot.raw, Request: &request{Method: http.MethodPut, URL: slot.source(), IfMatch: match}},
	})
	left, err := k.c.search(ctx, "Appointment", url.Values{"identifier": {identifierToken(BookingSystem, id)}})
	if err != nil {
		return wrong(err)
	}
	for _, r := range left.list {
		if _, err := k.c.do(ctx, call{method: http.MethodDelete, path: r.source()}); err != nil {
			return engine.CheckWeak, "An appointment \"entered in error\" without patient or slot was left by the dry run and could not be deleted: " + r.source() + "."
		}
	}
	if len(left.list) > 0 && fault(refused) != "" {
		k.c.change(func(a *abilities) { a.transactions = false })
		return engine.CheckWeak, "A transaction that fails is not undone as a whole. What the dry run wrote was deleted; set dme.fhir.no_transactions, so that bookings are written step by step."
	}
	return k.stopped(refused, "A transaction on a stale version is refused and leaves nothing behind.")
}
