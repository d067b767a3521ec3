package app

import (
	"bytes"
	"strings"
	"testing"
)

func relaisCommand(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	var b bytes.Buffer
	code = Main(t.Context(), args, nil, &b, &b)
	return code, b.String()
}

func withWords(t *testing.T, sms string) string {
	t.Helper()
	text := strings.Replace(minimal, "%s/relais.key", t.TempDir()+"/relais.key", 1)
	text = strings.Replace(text, `- {id: a, name: A, address: Here, phone: +15145550110, dme: {fhir: {base_url: "http://localhost:9/fhir"}}}`,
		`- id: a
    name: Clinique médicale Côte-des-Neiges
    address: Here
    phone: "+15145550110"
    dme: {fhir: {base_url: "http://localhost:9/fhir"}}
    wording:
      offer:
        fr:
          sms: "`+sms+`"`, 1)
	return write(t, text)
}

// TestOwnWordsAreChecked: the configuration's check reads the clinics' texts and says line and reason.
func TestOwnWordsAreChecked(t *testing.T) {
	t.Parallel()
	for _, command := range [][]string{{"config", "check"}, {"wording", "check"}} {
		path := withWords(t, "{clinic}: une place s'ouvre {when}. OUI ou NON? ARRET pour cesser."+strings.Repeat(" Merci beaucoup!", 4))
		code, out := relaisCommand(t, append(command, path)...)
		if code != ExitUsage || !strings.Contains(out, "relais.yaml:14: ") ||
			!strings.Contains(out, `clinics[0].wording.offer.fr.sms needs 2 segments with the name "Clinique médicale Côte-des-Neiges" on mercredi 30 septembre`) {
			t.Errorf("%v: %d %s", command, code, out)
		}
		path = withWords(t, "{clinic}: une place s'ouvre {when}. OUI ou NON? ARRET pour cesser.")
		if code, out = relaisCommand(t, append(command, path)...); code != ExitOK {
			t.Errorf("%v: %d %s", command, code, out)
		}
	}
}

func TestWordingCommands(t *testing.T) {
	t.Parallel()
	path := withWords(t, "{clinic}: bonne nouvelle, {when}! OUI ou NON? ARRET pour cesser.")
	for _, c := range []struct {
		args []string
		want string
		not  string
	}{
		{[]string{"list", path}, "* offer.fr.sms: {clinic}: bonne nouvelle, {when}!", "*  offer"},
		{[]string{"list"}, "  offer.en.sms: {clinic}: an appointment opened up", "* "},
		{[]string{"preview", path, "--lang", "fr", "--channel", "sms"}, "-- offer, fr, sms, the clinic's own (1 segment, ", "-- offer, en"},
		{[]string{"preview", path, "--channel", "voice"}, "press 1", "Subject"},
		{[]string{"preview"}, "Subject: Une place se libère mercredi 30 septembre", "own"},
		{[]string{"check", path}, "1 text in the clinics' own words", ""},
	} {
		code, out := relaisCommand(t, append([]string{"wording"}, c.args...)...)
		if code != ExitOK || !strings.Contains(out, c.want) || c.not != "" && strings.Contains(out, c.not) {
			t.Errorf("%v: %d\n%s", c.args, code, out)
		}
	}
	if code, out := relaisCommand(t, "wording", "list", path, "--clinic", "b"); code != ExitUsage || !strings.Contains(out, "no clinic") {
		t.Errorf("%d %s", code, out)
	}
}
