package slot

import (
	"strconv"
	"time"

	"relais/engine"
)

// modeChanged lets an opening under way go on by the clinic's new mode. What shadow mode found is let go of:
// whoever fits is looked for again when somebody is to be asked.
func (t *turn) modeChanged(in ModeChanged) {
	if !Behind(t.State, t.mode) {
		return
	}
	t.change()
	t.Mode = t.mode
	if t.Phase == Approval {
		t.Phase = t.begun()
	}
	if t.begun() == Freed {
		t.Wave, t.WaveAt, t.Would = 0, time.Time{}, nil
	}
	t.look()
	t.emit(Note{Event: EvMode, By: in.By, Detail: map[string]string{"mode": string(t.mode)}})
}

// begun is the phase of an opening that nothing holds back.
func (t *turn) begun() Phase {
	if t.asked() {
		return Offering
	}
	return Freed
}

// would keeps whom shadow mode would have asked, and says in the timeline how many on which channel, and why
// not the others.
func (t *turn) would(chosen []engine.Candidate, others map[string]int) {
	t.Wave, t.WaveAt = 1, t.now
	t.Would = make([]Would, 0, len(chosen))
	detail := map[string]string{"shadow": "true", "wave": "1", "asked": strconv.Itoa(len(chosen))}
	channels := map[engine.Channel]int{}
	for _, c := range chosen {
		t.Would = append(t.Would, Would{Entry: c.Entry, Patient: c.Patient, Channel: c.Channel})
		channels[c.Channel]++
		detail[string(c.Channel)] = strconv.Itoa(channels[c.Channel])
	}
	for obstacle, n := range others {
		detail["not_"+obstacle] = strconv.Itoa(n)
	}
	t.arm(t.Deadline)
	t.emit(Note{Event: EvWave, Detail: detail})
}
