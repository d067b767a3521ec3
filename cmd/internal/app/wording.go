package app

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"relais/engine"
	"relais/engine/wording"
)

// sampleToken is as long as the tokens of real links.
const sampleToken = "AAAAAAAAAAAAAAAAAAAAAA"

// sampleLink is a patient's page as long as real ones.
func sampleLink(publicURL string) string { return publicURL + "/o/" + sampleToken }

// wording checks a clinic's own texts with its real names.
func (c *checker) wording(at string, cl *ClinicConfig, publicURL string) {
	clinic := cl.Clinic()
	for _, f := range wording.Check(clinic, sampleLink(publicURL)) {
		setting := at + "." + string(f.Topic)
		if f.Lang != "" {
			setting += "." + string(f.Lang)
		}
		if f.Part != "" {
			setting += "." + string(f.Part)
		}
		c.say(setting, "%s", f.Sentence)
	}
}

type wordingCommand struct {
	List    wordingList    `cmd:"" help:"Every text as its template; * marks a clinic's own."`
	Check   wordingCheck   `cmd:"" help:"Say what is wrong with the clinics' own texts."`
	Preview wordingPreview `cmd:"" help:"Every message as a patient gets it."`
}

type wordingFile struct {
	File   string `arg:"" optional:"" help:"Configuration file; without one: what Relais says by itself."`
	Clinic string `help:"Only this clinic." placeholder:"ID"`
	Lang   string `help:"Only this language." enum:"fr,en," default:""`
}

// plainClinic stands for a clinic when there is no configuration.
func plainClinic() engine.Clinic {
	return engine.Clinic{
		ID: "clinic", Name: "Clinique Rosemont", Address: "3095, rue Beaubien Est, Montréal", Phone: "+15145550142", Zone: "America/Toronto",
	}
}

// clinics returns the clinics to show and the address of links. Mistakes in their texts are for the
// caller to say; all others are errors.
func (w *wordingFile) clinics(io *streams) ([]engine.Clinic, string, error) {
	base, list := "https://relais.example.org", []engine.Clinic{plainClinic()}
	if w.File != "" {
		cfg, err := LoadConfig(w.File, io.env, nil)
		if err != nil {
			return nil, "", err
		}
		base, list = cfg.PublicURL, nil
		for i := range cfg.Clinics {
			list = append(list, cfg.Clinics[i].Clinic())
		}
	}
	if w.Clinic != "" {
		list = slices.DeleteFunc(list, func(c engine.Clinic) bool { return string(c.ID) != w.Clinic })
		if len(list) == 0 {
			return nil, "", &usageError{fmt.Errorf("there is no clinic %q", w.Clinic)}
		}
	}
	return list, base, nil
}

func (w *wordingFile) langs() []engine.Lang {
	if w.Lang != "" {
		return []engine.Lang{engine.Lang(w.Lang)}
	}
	return []engine.Lang{engine.French, engine.English}
}

type wordingList struct{ wordingFile }

// Run prints the templates.
func (w *wordingList) Run(io *streams) error {
	clinics, _, err := w.clinics(io)
	if err != nil {
		return err
	}
	for _, c := range clinics {
		heading(io.out, c, len(clinics))
		for _, t := range wording.Topics() {
			for _, lang := range w.langs() {
				for _, p := range wording.Parts(t) {
					text, own := wording.Text(c.Wording, lang, t, p)
					if text == "" {
						continue // a call says what a reply is told
					}
					fmt.Fprintf(io.out, "%s %s.%s.%s: %s\n", map[bool]string{true: "*", false: " "}[own], t, lang, p, strings.ReplaceAll(text, "\n", " / "))
				}
			}
		}
	}
	return nil
}

func heading(out io.Writer, c engine.Clinic, of int) {
	if of > 1 {
		fmt.Fprintf(out, "== %s (%s)\n", c.Name, c.ID)
	}
}

type wordingCheck struct {
	File string `arg:"" help:"Configuration file."`
}

// Run says what is wrong, as config check does, or how many own texts are fine.
func (w *wordingCheck) Run(io *streams) error {
	file := wordingFile{File: w.File}
	clinics, _, err := file.clinics(io)
	if err != nil {
		return err
	}
	n := 0
	for _, c := range clinics {
		for _, langs := range c.Wording {
			for _, parts := range langs {
				n += len(parts)
			}
		}
	}
	fmt.Fprintf(io.out, "The texts are fine: %s in the clinics' own words, all others as Relais says them.\n", count(n, "text"))
	return nil
}

type wordingPreview struct {
	wordingFile
	Channel string `help:"Only this channel." enum:"sms,voice,email," default:""`
}

// Run prints the messages.
func (w *wordingPreview) Run(io *streams) error {
	clinics, base, err := w.clinics(io)
	if err != nil {
		return err
	}
	for _, c := range clinics {
		heading(io.out, c, len(clinics))
		for _, p := range wording.Previews(c, wording.Worst(c, sampleLink(base))) {
			if cmp.Or(w.Lang, string(p.Lang)) != string(p.Lang) || cmp.Or(w.Channel, string(p.Channel)) != string(p.Channel) {
				continue
			}
			fmt.Fprintln(io.out, preview(p))
		}
	}
	return nil
}

func preview(p wording.Preview) string {
	var b strings.Builder
	fmt.Fprintf(&b, "-- %s, %s, %s", p.Topic, p.Lang, p.Channel)
	if p.Own {
		b.WriteString(", the clinic's own")
	}
	if p.Channel == engine.SMS {
		fmt.Fprintf(&b, " (%s, %d characters)", count(p.Segments, "segment"), p.Characters)
	}
	b.WriteString("\n")
	if p.Subject != "" {
		b.WriteString("Subject: " + p.Subject + "\n\n")
	}
	b.WriteString(p.Text + "\n")
	if p.Voicemail != "" {
		fmt.Fprintf(&b, "(to a machine) %s\n(at the end) %s\n", p.Voicemail, p.Goodbye)
	}
	return b.String()
}
