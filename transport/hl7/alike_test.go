package hl7

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	other "github.com/lenaten/hl7"
)

// samples have what is odd in messages that vendors publish.
func samples() map[string]string {
	head := `MSH|^~\&|SCHED|CLINIC^1.2.3^ISO|RELAIS||20261123140000||`
	return map[string]string{
		"S15 that says Booked":    head + "SIU^S15^SIU_S12|1|P|2.5.1\rSCH|P1^SCHED|F1|||||||30|min|^^30^202612010900^202612010930||||||||||||||Booked\rPID|1||1^^^A~2^^^B||Doe^Jane\rAIP|1|D|D7^Gagnon&van^Sophie",
		"S26 that says Cancelled": head + "SIU^S26|2|P|2.3\rSCH|||||||||||^^^20261201090000-0500||||||||||||||Cancelled\r",
		"no RGS":                  head + "SIU^S12|3|P|2.3.1|||AL|NE\rSCH|P1|F1\rNTE|1||\rAIS|1||CONS|20261201090000|||25|min\rAIL|1||PARC^12\rAIP|1||D7",
		"escapes":                 head + `SIU^S12|4|P|2.5` + "\r" + `SCH|A\S\B|F\T\1|||\F\.|\R\.|\E\.` + "\r" + `NTE|1||a\.br\b`,
		"empty ends":              head + "SIU^S12|5|P|2.5||\rSCH|^^|~~|&&|^&~^\rPV1||",
		"own delimiters":          "MSH#*%!@#SCHED#CLINIC###20261123140000##SIU*S14#6#P#2.4\rSCH#P1*X#F1%F2#A@B*C\rAIP#1##D7*Gagnon!S!y",
	}
}

// generated makes a message that is well formed and says nothing.
func generated(dice *rand.Rand) string {
	var b strings.Builder
	fmt.Fprintf(&b, `MSH|^~\&|A%d|B|C|D|20261123140000||SIU^S12|%d|P|2.5`, dice.IntN(9), dice.IntN(1e6))
	words := []string{"", "", "a", "20261201", "\"\"", "x y", `\F\x`, `\S\z`, `\E\-`, "-1.5"}
	for range dice.IntN(12) {
		b.WriteString("\r" + []string{"SCH", "AIP", "AIL", "PID", "ZZ1", "NTE"}[dice.IntN(6)])
		for range 1 + dice.IntN(14) {
			b.WriteByte('|')
			for i := range 1 + dice.IntN(8) {
				if i > 0 {
					b.WriteByte("^^&~"[dice.IntN(4)])
				}
				b.WriteString(words[dice.IntN(len(words))])
			}
		}
	}
	return b.String()
}

// ours and theirs are all that a message says, by segment, field, repetition, component and
// subcomponent; what is empty is left out.
func ours(m Message) map[string]string {
	out := map[string]string{}
	for n, s := range m.Segments {
		for i := range s {
			if s[0] == "MSH" && (i == 1 || i == 2) {
				continue // names the delimiters, and is not parted by them
			}
			for r, f := range m.Field(s, i).Repetitions() {
				for c := 1; c < 12; c++ {
					for sub := 1; sub < 12; sub++ {
						put(out, f.Sub(c, sub), n, i, r, c, sub)
					}
				}
			}
		}
	}
	return out
}

func theirs(t *testing.T, m Message, text string) map[string]string {
	t.Helper()
	o := other.NewMessage(append(make([]byte, 0, len(text)+2), text...)) // it wants room behind the end
	if err := o.Parse(); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for n, s := range o.Segments {
		repeats := map[int]int{}
		for _, f := range s.Fields {
			r := repeats[f.SeqNum]
			repeats[f.SeqNum]++
			if string(s.Value[:3]) == "MSH" && (f.SeqNum == 1 || f.SeqNum == 2) {
				continue
			}
			for c, component := range f.Components {
				for sub, v := range component.SubComponents {
					// It leaves escapes as they are, and HL7's explicit nothing.
					said := strings.TrimSpace(m.unescape(string(v.Value)))
					if said == `""` {
						said = ""
					}
					put(out, said, n, f.SeqNum, r, c+1, sub+1)
				}
			}
		}
	}
	return out
}

func put(out map[string]string, value string, at ...int) {
	if value != "" {
		out[fmt.Sprint(at)] = value
	}
}

// TestParsedAlike reads messages with our codec and with a library that we did not write. Only plain
// letters, and one after each escape: that library counts characters where it means bytes, and passes
// over what follows the end of an escape.
func TestParsedAlike(t *testing.T) {
	messages := samples()
	dice := rand.New(rand.NewPCG(7, 11))
	for i := range 500 {
		messages[fmt.Sprint("generated ", i)] = generated(dice)
	}
	for name, text := range messages {
		m := parse(t, text)
		a, b := ours(m), theirs(t, m, text)
		if len(a) < 8 || !maps.Equal(a, b) {
			t.Errorf("%s: %q\nours   %v\ntheirs %v", name, text, a, b)
		}
		// However lines end, it is the same message; that library has them end one way.
		if lines := ours(parse(t, strings.ReplaceAll(text, "\r", "\n"))); !maps.Equal(lines, a) {
			t.Errorf("%s with line feeds: %v", name, lines)
		}
	}
}
