package hl7

import (
	"crypto/rand"
	"time"
)

// answers writes what a message is told: in original mode one acknowledgment (AA, AE, AR); in enhanced
// mode, which MSH-15 or MSH-16 ask for, a commit acknowledgment (CA, CE, CR) and then, where it was
// committed, that of the application, each where it is asked for. HL7 2.5.1, 2.9.
func answers(m Message, v verdict, now time.Time) [][]byte {
	head := m.First("MSH")
	if m.Field(head, 9).Text(1) == "ACK" {
		return nil // nobody acknowledges an acknowledgment
	}
	commit, application := m.Field(head, 15).Text(1), m.Field(head, 16).Text(1)
	if commit == "" && application == "" {
		return [][]byte{ack(m, "A", v, now)}
	}
	var out [][]byte
	if wanted(commit, v) {
		out = append(out, ack(m, "C", v, now))
		if v.code != accepted {
			return out // what was not committed is not handed on, so nobody answers for the application
		}
	}
	if wanted(application, v) {
		out = append(out, ack(m, "A", v, now))
	}
	return out
}

// wanted reads MSH-15 or 16 (HL7 table 0155): always, never, on errors, on success.
func wanted(when string, v verdict) bool {
	switch when {
	case "AL":
		return true
	case "ER":
		return v.code != accepted
	case "SU":
		return v.code == accepted
	}
	return false
}

// ack writes one acknowledgment, from whom the message was sent to.
func ack(m Message, mode string, v verdict, now time.Time) []byte {
	head := m.First("MSH")
	raw := func(n int) string {
		if n < len(head) {
			return head[n]
		}
		return ""
	}
	out := Message{Delimiters: m.Delimiters, Charset: m.Charset}
	kind := m.Components("ACK", m.trigger(), "ACK")
	version := raw(12)
	if old(version) {
		kind = m.Components("ACK", m.trigger())
	}
	out.Add("MSH", raw(1), raw(2), raw(5), raw(6), raw(3), raw(4), now.UTC().Format("20060102150405-0700"), "",
		kind, rand.Text()[:20], raw(11), version)
	if set := raw(18); set != "" {
		s := out.Segments[0]
		for len(s) < 18 {
			s = append(s, "")
		}
		out.Segments[0] = append(s, set)
	}
	out.Add("MSA", mode+v.code, raw(10), m.escape(v.text))
	if v.err != "" && !old(version) {
		out.Add("ERR", "", "", v.err, "E", "", "", "", m.escape(v.text))
	}
	return out.Bytes()
}

// old says whether a version has the ERR segment and the message structure of before 2.5.
func old(version string) bool { return version < "2.5" }
