package wording_test

import (
	"strings"
	"testing"

	"relais/engine"
	"relais/engine/wording"
)

const longLink = "https://relais.example/o/Zk3v8nQmT1yWc0aLxR5uGA"

func ownText(topic, lang, part, text string) engine.Clinic {
	return engine.Clinic{
		ID: "rosemont", Name: "Clinique Rosemont", Address: "3095, rue Beaubien Est", Phone: "+15145550142", Zone: "America/Toronto",
		Practitioners: []engine.Practitioner{{ID: "p1", Name: "Dre Anne Lafleur", Specialty: "allergology"}},
		Wording:       engine.Wording{topic: {engine.Lang(lang): {part: text}}},
	}
}

// TestCheck writes one mistake after the other into a text.
func TestCheck(t *testing.T) {
	t.Parallel()
	const good = "{clinic}: une place s'ouvre {when}. Répondez OUI ou NON. [{link} ]ARRET pour cesser."
	for name, c := range map[string]struct{ topic, lang, part, text, says string }{
		"good":              {"offer", "fr", "sms", good, ""},
		"good digits":       {"offer", "fr", "sms", "{clinic}: {when}. 1 ou 2? ARRET", ""},
		"good answer":       {"reply_help", "en", "sms", "{clinic} offers what opens up.[ Call {phone}]", ""},
		"good mail":         {"offer", "fr", "email", "Bonjour,\n{clinic} a une place :\n{when}\nÀ bientôt!", ""},
		"good voice":        {"offer", "en", "voice", "This is {clinic}: {when}. Press 1 to take it, 2 to leave it.", ""},
		"good booked call":  {"booked", "fr", "voice", "C’est confirmé par {clinic} pour {when}.", ""},
		"unknown topic":     {"ofer", "fr", "sms", good, "is not a message"},
		"unknown lang":      {"offer", "de", "sms", good, "is not a language"},
		"unknown part":      {"offer", "fr", "fax", good, "is not a part of this message; it has sms, voice"},
		"empty":             {"offer", "fr", "sms", "  ", "is empty"},
		"unknown name":      {"offer", "fr", "sms", good + " {doctor}", "{doctor}, which is nothing that Relais fills in"},
		"brace alone":       {"offer", "fr", "sms", good + "{", "{ or } alone"},
		"bracket alone":     {"offer", "fr", "sms", good + "]", "[ or ] alone"},
		"bracket nested":    {"offer", "fr", "sms", good + "[a[b]]", "one pair inside another"},
		"no clinic":         {"offer", "fr", "sms", strings.Replace(good, "{clinic}", "Nous", 1), "lacks {clinic}"},
		"clinic in []":      {"offer", "fr", "sms", strings.Replace(good, "{clinic}", "[{clinic}]", 1), "lacks {clinic}"},
		"no date":           {"offer", "fr", "sms", strings.Replace(good, "{when}", "", 1), "lacks {when}"},
		"no answer":         {"offer", "fr", "sms", strings.Replace(good, "NON", "", 1), "how to answer: OUI or NON"},
		"no answer en":      {"offer", "en", "sms", "{clinic}: {when}. OUI or NON? STOP", "how to answer: 1 or 2"},
		"no stop":           {"reminder", "fr", "sms", strings.Replace(good, "ARRET", "", 1), "how to stop: ARRET pour cesser"},
		"no key":            {"offer", "fr", "voice", "Ici {clinic}, {when}. Faites le 1.", "press 1"},
		"date on a machine": {"call", "fr", "voicemail", "{clinic}: {when}, rappelez au {phone}", "names a date"},
		"no number":         {"call", "en", "voicemail", "{clinic}: call us", "lacks {phone}"},
		"two segments":      {"offer", "fr", "sms", good + strings.Repeat(" Merci!", 8), `needs 2 segments with the name "Clinique Rosemont" on mercredi 30 septembre`},
		"not GSM":           {"offer", "fr", "sms", strings.Replace(good, "place", "plâce’", 1), "has â ’, which is not in the alphabet of short texts and would double their price; write a '"},
		"specialty":         {"offer", "fr", "email", "{clinic} {when} en dermatologie", `"dermatologie", which names a specialty`},
		"own specialty":     {"offer", "en", "email", "{clinic} {when} Allergology", "names a specialty"},
		"doctor":            {"booked", "fr", "email", "{clinic} {when} avec la Dre Roy", `"Dre Roy", which names a practitioner`},
		"own doctor":        {"booked", "fr", "email", "{clinic} {when} avec Anne Lafleur", `"Lafleur", which names a practitioner`},
		"reason":            {"booked", "en", "email", "{clinic} {when} for your results", `"results", which hints at why`},
		"type YES":          {"offer", "en", "sms", "{clinic}: {when}. Reply YES or 1 or 2. STOP", `YES", which asks for a word that carriers`},
		"type yes":          {"offer", "en", "sms", "{clinic}: {when}. Reply yes or 1 or 2. STOP", "carriers take as a command"},
		"cancel":            {"booked", "en", "sms", "{clinic}: {when}. Send CANCEL to cancel", "carriers take as a command"},
	} {
		found := wording.Check(ownText(c.topic, c.lang, c.part, c.text), longLink)
		switch {
		case c.says == "" && len(found) > 0:
			t.Errorf("%s: %v", name, found)
		case c.says != "" && (len(found) == 0 || !strings.Contains(found[0].Sentence, c.says) && !strings.Contains(found[len(found)-1].Sentence, c.says)):
			t.Errorf("%s: %v does not say %q", name, found, c.says)
		}
	}
}

// TestCatalogueKeepsItsOwnRules lets the linter read what Relais says by itself, whose shortest
// texts may cut a clinic's name but nothing else.
func TestCatalogueKeepsItsOwnRules(t *testing.T) {
	t.Parallel()
	n := 0
	for _, topic := range wording.Topics() {
		for _, lang := range langs {
			for _, part := range wording.Parts(topic) {
				text, own := wording.Text(nil, lang, topic, part)
				if text == "" && part == wording.PartVoice {
					continue // a call says what a reply is told
				}
				n++
				clinic := ownText("", "", "", "")
				for _, f := range wording.CheckText(clinic, longLink, topic, lang, part, text) {
					t.Errorf("%v", f)
				}
				if own {
					t.Errorf("%s %s %s is not the clinic's own", topic, lang, part)
				}
			}
		}
	}
	if n < 90 {
		t.Errorf("only %d texts", n)
	}
}

func TestOwnWordsAreSaid(t *testing.T) {
	t.Parallel()
	f := facts(t)
	f.Own = engine.Wording{
		"offer":      {"fr": {"sms": "{clinic} vous propose {when}. OUI ou NON?[ Voir {link} .] ARRET pour cesser.", "voice": "Ici {clinic}, {when}. 1 ou 2?", "email": "Chez {clinic}\n{when}\n[{address}]"}},
		"reply_help": {"fr": {"sms": "Aide de {clinic}."}},
		"booked":     {"fr": {"voice": "À bientôt chez {clinic}, {when}."}},
		"call":       {"en": {"voicemail": "{clinic} called. Back at {phone}."}},
	}
	sms := wording.Message(engine.MsgOffer, engine.SMS, engine.French, f).Text
	if !strings.HasPrefix(sms, "Clinique de dermatologie Rosemont vous propose mardi 24") || !strings.Contains(sms, f.Link) {
		t.Errorf("%q", sms)
	}
	f.Link = "https://relais.example/o/" + strings.Repeat("x", 60)
	if sms = wording.Message(engine.MsgOffer, engine.SMS, engine.French, f).Text; strings.Contains(sms, "Voir") || !strings.Contains(sms, "ARRET") {
		t.Errorf("the part in brackets does not give way: %q", sms)
	}
	f.Address = ""
	if m := wording.Message(engine.MsgOffer, engine.EmailMail, engine.French, f); !strings.HasPrefix(m.Text, "Chez Clinique de dermatologie Rosemont\n\nmardi 24 novembre à 9\u00a0h\u00a020\n\nOui, voir la place") {
		t.Errorf("%q", m.Text)
	}
	if s := wording.Message(engine.MsgBooked, engine.Voice, engine.French, f).Say; !strings.HasPrefix(s.Prompt, "À bientôt chez") {
		t.Errorf("%q", s.Prompt)
	}
	if s := wording.Message(engine.MsgTaken, engine.Voice, engine.English, f).Say; s.Voicemail != f.Clinic+" called. Back at "+f.Phone+"." {
		t.Errorf("%q", s.Voicemail)
	}
	if a := wording.Answer(engine.AnsHelp, engine.Voice, engine.French, f); a != "Aide de "+f.Clinic+"." {
		t.Errorf("%q", a)
	}
	if en := wording.Answer(engine.AnsHelp, engine.SMS, engine.English, f); !strings.Contains(en, "Reply 1 to accept") {
		t.Errorf("the other language changed: %q", en)
	}
}

func TestPreviewsShowEveryMessage(t *testing.T) {
	t.Parallel()
	c := ownText("offer", "fr", "sms", "{clinic}: {when}")
	seen := map[string]int{}
	for _, p := range wording.Previews(c, wording.Worst(c, longLink)) {
		seen[string(p.Lang)+string(p.Channel)]++
		own := p.Topic == "offer" && p.Lang == "fr" && p.Channel == engine.SMS
		if p.Text == "" || strings.ContainsAny(p.Text, "{}[]") || p.Own != own || len(p.Findings) > 0 != own {
			t.Errorf("%+v", p)
		}
		if p.Channel == engine.SMS && (p.Segments != 1 || p.Characters == 0) || p.Channel == engine.EmailMail && (p.HTML == "" || p.Subject == "") {
			t.Errorf("%+v", p)
		}
	}
	for _, lang := range []string{"fr", "en"} {
		if seen[lang+"sms"] != 13+19+2 || seen[lang+"email"] != 12 || seen[lang+"voice"] != 8 {
			t.Errorf("%v", seen)
		}
	}
}

func TestNote(t *testing.T) {
	t.Parallel()
	c := ownText("", "", "", "")
	for _, x := range []struct {
		text, want, changed, says string
		segments                  int
	}{
		{"Oui, 15 h est possible.", "Clinique Rosemont: Oui, 15 h est possible.", "", "", 1},
		{"Ça va être «\u00a0bien\u00a0»", `Clinique Rosemont: Ça va etre " bien "`, "ê«»", "", 1},
		{strings.Repeat("Rappelez-nous. ", 11), "", "", "", 2},
		{"Vos résultats sont là", "Clinique Rosemont: Vos résultats sont là", "", "hints at why", 1},
		{"Répondez YES", "Clinique Rosemont: Répondez YES", "", "carriers", 1},
	} {
		n := wording.CheckNote(c, engine.French, x.text)
		if x.want != "" && n.Text != x.want || n.Segments != x.segments || strings.Join(n.Changed, "") != x.changed ||
			!strings.Contains(strings.Join(n.Findings, " "), x.says) || x.says == "" && len(n.Findings) > 0 {
			t.Errorf("%q: %+v", x.text, n)
		}
	}
	m := wording.Note(engine.EmailMail, engine.French, wording.Facts{Clinic: "C"}, "<b>")
	if m.Subject != "C" || m.Text != "C: <b>" || m.HTML != "<p>&lt;b&gt;</p>" {
		t.Errorf("%+v", m)
	}
}
