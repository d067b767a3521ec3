package wording

import (
	"html"
	"slices"
	"strings"

	"relais/engine"
)

// Note writes what a person at the front desk wrote to one patient, with the clinic's name before
// it. As an SMS it is in the GSM alphabet.
func Note(ch engine.Channel, lang engine.Lang, f Facts, text string) engine.Message {
	m := engine.Message{Kind: engine.MsgNote, Channel: ch, Lang: lang}
	whole := f.Clinic + ": " + text
	if ch == engine.SMS {
		m.Text = plainGSM(whole)
		return m
	}
	m.Subject, m.Text, m.HTML, m.Leave = f.Clinic, whole, "<p>"+html.EscapeString(text)+"</p>", f.Leave
	return m
}

// NoteCheck is what a note would be as an SMS, before it leaves.
type NoteCheck struct {
	Text       string   `json:"text" doc:"as the patient would read it"`
	Segments   int      `json:"segments"`
	Characters int      `json:"characters"`
	Changed    []string `json:"changed" nullable:"false" doc:"characters that the short alphabet lacks and that leave as others"`
	Findings   []string `json:"findings" nullable:"false" doc:"what should not be in a text to a patient"`
}

// CheckNote reads a note as Check reads a clinic's own texts. Findings warn: a person decides.
func CheckNote(c engine.Clinic, lang engine.Lang, text string) NoteCheck {
	m := Note(engine.SMS, lang, Facts{Clinic: c.Name}, text)
	n := NoteCheck{Text: m.Text, Characters: width(m.Text), Changed: []string{}, Findings: []string{}}
	n.Segments, _ = Segments(m.Text)
	for _, r := range strings.Join(strings.Fields(text), " ") {
		if s := string(r); gsmWidth(r) == 0 && !slices.Contains(n.Changed, s) {
			n.Changed = append(n.Changed, s)
		}
	}
	k := check{clinic: c, lang: lang, part: PartSMS, text: text}
	k.forbidden()
	for _, f := range k.found {
		n.Findings = append(n.Findings, f.Sentence)
	}
	return n
}
