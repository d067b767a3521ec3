package app

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"relais/engine"
)

// What is done to a slot, from outside.
const (
	doClaim    = "claim"    // a patient says yes on the page
	doDecline  = "decline"  // a patient says no
	doRead     = "read"     // a patient opens the page
	doWithdraw = "withdraw" // the front desk takes the slot back
	doGive     = "give"     // the front desk gives it to somebody
	doPhone    = "phone"    // the clinic books it in the record system for somebody who called
	doFinal    = "final"    // who the record system says has it, when all is quiet
)

// winnerInput is one operation on one slot.
type winnerInput struct {
	Slot, Do string
	Who      string // the patient
}

// What an operation can come to besides an engine.AnswerKind.
const (
	outOpen    engine.AnswerKind = "open"    // can still be answered
	outOK      engine.AnswerKind = "ok"      // done, by desk or telephone
	outNo      engine.AnswerKind = "no"      // not done, and said so
	outUnknown engine.AnswerKind = "unknown" // the connection or the process died
	outGone    engine.AnswerKind = "gone"    // there is no such offer: a lie, as its text was sent
)

// A slot as the model sees it.
type winnerState struct {
	Winner string // who claimed it in Relais; "" nobody
	Has    string // who has it in the record system; "" nobody, elsewhere somebody who called
	Over   bool   // withdrawn
	Lost   bool   // the winner was told that the record system refused: it gives the slot to somebody who called
}

const elsewhere = "elsewhere"

// winnerNext returns the states that an operation with this outcome can lead to: none means that the
// outcome is a lie. What Relais writes into the record system by itself shows in later outcomes only.
func winnerNext(s winnerState, in winnerInput, out engine.AnswerKind) []winnerState {
	same, never := []winnerState{s}, []winnerState(nil)
	when := func(ok bool, then ...winnerState) []winnerState {
		if ok {
			return then
		}
		return never
	}
	mine := s.Winner == in.Who && in.Who != ""
	claimable := s.Winner == "" && !s.Over
	claimed, booked := s, s
	claimed.Winner, booked.Winner, booked.Has = in.Who, in.Who, in.Who
	over := s
	over.Over = true
	switch in.Do {
	case doFinal:
		switch in.Who {
		case "":
			return when(s.Has == "" && s.Winner == "", s)
		case elsewhere:
			return when(s.Has == elsewhere, s)
		}
		return when(mine && !s.Lost && s.Has != elsewhere, booked)
	case doPhone:
		switch {
		case out == outOK:
			called := s
			called.Has = elsewhere
			return when(s.Has == "", called)
		case s.Has == "" && s.Winner != "" && !s.Lost: // Relais wrote its booking just before
			written := s
			written.Has = s.Winner
			return []winnerState{written}
		}
		return when(s.Has != "", s)
	case doWithdraw:
		switch {
		case out == outOK:
			return when(s.Winner == "", over)
		case out == outUnknown && s.Winner == "":
			return []winnerState{s, over}
		}
		return same
	case doGive:
		switch {
		case out == outOK:
			return when(claimable, claimed)
		case out == outUnknown && claimable:
			return []winnerState{s, claimed}
		}
		return same
	}
	// A patient's page: a claim may also change something.
	claims := in.Do == doClaim && claimable
	switch string(out) {
	case string(engine.AnsBooked):
		return when((mine || claims) && !s.Lost && (s.Has == "" || s.Has == in.Who), booked)
	case string(engine.AnsFinalising):
		return when(mine || claims, claimed)
	case string(engine.AnsRefused): // also at once, when the record system answers while the page waits
		// The claim is one moment and the refusal a later one, so others may have been told "taken" before the call.
		claimed.Lost = true
		return when(claims || mine && s.Has == elsewhere, claimed)
	case string(engine.AnsTaken):
		return when(!mine && (s.Winner != "" || s.Has == elsewhere), s)
	case string(engine.AnsWithdrawn): // the slot, or this person's offer because they have another slot
		return when(!mine, s)
	case string(engine.AnsDeclined):
		return when(!mine && in.Do != doClaim, s)
	case string(outOpen):
		return when(!mine && in.Do == doRead && s.Winner == "", s)
	case string(engine.AnsPaused), string(outNo): // nothing was recorded
		return same
	case string(outUnknown):
		if !claims {
			return same
		}
		return []winnerState{s, claimed}
	}
	return never
}

// winnerModel takes histories apart by slot.
func winnerModel() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			by := map[string][]porcupine.Operation{}
			for _, o := range history {
				by[o.Input.(winnerInput).Slot] = append(by[o.Input.(winnerInput).Slot], o)
			}
			var parts [][]porcupine.Operation
			for _, p := range by {
				parts = append(parts, p)
			}
			return parts
		},
		Init: func() []any { return []any{winnerState{}} },
		Step: func(state, input, output any) []any {
			var next []any
			for _, s := range winnerNext(state.(winnerState), input.(winnerInput), output.(engine.AnswerKind)) {
				next = append(next, s)
			}
			return next
		},
		DescribeOperation: func(input, output any) string {
			in := input.(winnerInput)
			return in.Do + "(" + in.Who + ") = " + string(output.(engine.AnswerKind))
		},
	}
	return m.ToModel()
}

// TestOneWinnerModel holds the checker against histories made up by hand: true ones pass, lies do not.
func TestOneWinnerModel(t *testing.T) {
	type step struct {
		from, to int64
		do, who  string
		out      engine.AnswerKind
	}
	never := int64(time.Hour)
	for name, c := range map[string]struct {
		honest  bool
		history []step
	}{
		"one wins, one is told": {true, []step{
			{0, 5, doClaim, "a", engine.AnsBooked}, {1, 6, doClaim, "b", engine.AnsTaken}, {9, 9, doFinal, "a", outOK},
		}},
		"two winners": {false, []step{
			{0, 5, doClaim, "a", engine.AnsFinalising}, {1, 6, doClaim, "b", engine.AnsFinalising}, {9, 9, doFinal, "a", outOK},
		}},
		"told booked, and forgotten": {false, []step{{0, 5, doClaim, "a", engine.AnsBooked}, {9, 9, doFinal, "", outOK}}},
		"told booked, and given to another": {false, []step{
			{0, 5, doClaim, "a", engine.AnsBooked}, {6, 7, doPhone, "", outOK}, {9, 9, doFinal, elsewhere, outOK},
		}},
		"a claim without an answer may have won": {true, []step{
			{0, never, doClaim, "a", outUnknown}, {5, 6, doClaim, "b", engine.AnsTaken}, {9, 9, doFinal, "a", outOK},
		}},
		"a claim without an answer may have failed": {true, []step{
			{0, never, doClaim, "a", outUnknown}, {5, 6, doClaim, "b", engine.AnsBooked}, {9, 9, doFinal, "b", outOK},
		}},
		"taken by nobody": {false, []step{{0, 1, doClaim, "a", engine.AnsTaken}, {9, 9, doFinal, "", outOK}}},
		"open after a win": {false, []step{
			{0, 1, doClaim, "a", engine.AnsBooked}, {2, 3, doRead, "b", outOpen}, {9, 9, doFinal, "a", outOK},
		}},
		"a withdrawn slot is won": {false, []step{
			{0, 1, doWithdraw, "", outOK}, {2, 3, doClaim, "a", engine.AnsFinalising}, {9, 9, doFinal, "a", outOK},
		}},
		"booked by telephone, the winner is told": {true, []step{
			{0, 1, doPhone, "", outOK}, {2, 3, doClaim, "a", engine.AnsFinalising}, {4, 5, doRead, "a", engine.AnsRefused}, {9, 9, doFinal, elsewhere, outOK},
		}},
		"claimed, lost to a call, and others were told before": {true, []step{
			{0, 9, doClaim, "a", engine.AnsRefused}, {1, 3, doRead, "b", engine.AnsTaken}, {4, 5, doPhone, "", outOK}, {10, 10, doFinal, elsewhere, outOK},
		}},
		"refused although nobody called": {false, []step{
			{0, 9, doClaim, "a", engine.AnsRefused}, {10, 10, doFinal, "", outOK},
		}},
		"an answer that nothing was recorded, and it was": {false, []step{
			{0, 1, doClaim, "a", outNo}, {9, 9, doFinal, "a", outOK},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var history []porcupine.Operation
			for i, s := range c.history {
				history = append(history, porcupine.Operation{
					ClientId: i, Input: winnerInput{"slot", s.do, s.who}, Output: s.out, Call: s.from, Return: s.to,
				})
			}
			if got := porcupine.CheckOperations(winnerModel(), history); got != c.honest {
				t.Errorf("passes: %v", got)
			}
		})
	}
}
