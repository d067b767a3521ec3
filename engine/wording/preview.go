package wording

import (
	"cmp"
	"strings"

	"relais/engine"
)

// Preview is one message as a patient gets it.
type Preview struct {
	Topic      Topic          `json:"topic"`
	Lang       engine.Lang    `json:"lang" enum:"fr,en"`
	Channel    engine.Channel `json:"channel" enum:"sms,voice,email"`
	Own        bool           `json:"own" doc:"the clinic says it in its own way"`
	Subject    string         `json:"subject,omitempty" doc:"e-mail"`
	Text       string         `json:"text" doc:"SMS; plain part of an e-mail; what a call says"`
	HTML       string         `json:"html,omitempty" doc:"e-mail"`
	Voicemail  string         `json:"voicemail,omitempty" doc:"what a machine is told"`
	Goodbye    string         `json:"goodbye,omitempty" doc:"end of a call"`
	Segments   int            `json:"segments,omitempty" doc:"of the SMS"`
	Characters int            `json:"characters,omitempty" doc:"of the SMS, of 160 in one segment"`
	Findings   []string       `json:"findings" nullable:"false" doc:"what is wrong with the clinic's own text"`
}

// Previews shows every message of a clinic in both languages, filled in with f. An answer to a
// reply is shown as an SMS; calls say the same.
func Previews(c engine.Clinic, f Facts) []Preview {
	f.Own = c.Wording
	findings := Check(c, f.Link)
	var list []Preview
	for _, t := range Topics() {
		for _, lang := range []engine.Lang{engine.French, engine.English} {
			for _, ch := range []engine.Channel{engine.SMS, engine.EmailMail, engine.Voice} {
				p, ok := preview(t, lang, ch, f)
				if !ok {
					continue
				}
				for _, part := range partsOf(ch) {
					_, own := Text(f.Own, lang, t, part)
					p.Own = p.Own || own
				}
				for _, bad := range findings {
					if bad.Topic == t && cmp.Or(bad.Lang, lang) == lang && channelOf(bad.Part) == ch {
						p.Findings = append(p.Findings, bad.Sentence)
					}
				}
				list = append(list, p)
			}
		}
	}
	return list
}

func preview(t Topic, lang engine.Lang, ch engine.Channel, f Facts) (Preview, bool) {
	p := Preview{Topic: t, Lang: lang, Channel: ch, Findings: []string{}}
	kind := engine.MessageKind(t)
	_, message := french[t][PartTitle]
	switch {
	case message:
		m := Message(kind, ch, lang, f)
		p.Subject, p.Text, p.HTML = m.Subject, m.Text, m.HTML
		if m.Say != nil && m.Say.Prompt == "" { // nobody is called about it
			return p, false
		}
		if m.Say != nil {
			p.Voicemail, p.Goodbye = m.Say.Voicemail, m.Say.Goodbye
			p.Text = strings.TrimSpace(m.Say.Prompt + " " + m.Say.Stop + " " + m.Say.Other)
		}
	case ch != engine.SMS || t == TopicCall: // a call's common parts are shown with each message
		return p, false
	case t == TopicChoose || t == TopicLeave:
		later := f
		later.Start = f.Start.AddDate(0, 0, 1)
		p.Text = Choose(lang, []Facts{f, later}, t == TopicLeave)
	default:
		p.Text = short(variants(f.Own, lang, t, PartSMS), lang, f)
	}
	if ch == engine.SMS {
		p.Segments, _ = Segments(p.Text)
		p.Characters = width(p.Text)
	}
	return p, true
}

func partsOf(ch engine.Channel) []Part {
	switch ch {
	case engine.SMS:
		return []Part{PartSMS}
	case engine.Voice:
		return []Part{PartVoice, PartVoicemail, PartGoodbye}
	case engine.EmailMail:
		return []Part{PartSubject, PartTitle, PartEmail, PartButton}
	case engine.Page, engine.Desk:
	}
	return nil
}

func channelOf(p Part) engine.Channel {
	switch p {
	case PartVoice, PartVoicemail, PartGoodbye:
		return engine.Voice
	case PartSubject, PartTitle, PartEmail, PartButton:
		return engine.EmailMail
	case PartSMS:
	}
	return engine.SMS
}
