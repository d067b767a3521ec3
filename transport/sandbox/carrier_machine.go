package sandbox

import "strings"

// Seconds that a machine takes to pick up, and to get to the end of its greeting; and what it says.
const (
	machineRings = 4
	greeting     = 3
	greets       = "Laissez un message après le timbre. Leave a message after the tone."
)

// Voicemail lets an answering machine pick up a ringing phone.
func (c *CarrierServer) Voicemail(sid string) error {
	return c.onCall(sid, (*call).record, "The phone is not ringing.")
}

// record has an answering machine answer the phone.
func (k *call) record() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.pickLocked() {
		return false
	}
	k.machine = true
	return true
}

// verdict says who picked up, once that is clear.
func (c *CarrierServer) verdict(k *call, line LineKind) {
	by := "human"
	switch line {
	case LineMachine:
		by = "machine_end_beep"
	case LineSilent:
		by = "machine_end_silence"
	case LineFax:
		by = "fax"
	case LineUnsure:
		by = "unknown"
	case LinePerson, LineGone, LineLandline, LineFiltered, LineOff:
	}
	if strings.HasPrefix(by, "machine_") && !pause(c.ctx, greeting*c.cfg.Second) {
		return
	}
	f := c.callForm(k, "in-progress")
	f.Set("AnsweredBy", by)
	f.Set("MachineDetectionDuration", "1200")
	c.report(k.amdCallback, k.fate, f)
}
