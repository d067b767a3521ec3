package reach

import (
	"strings"
	"testing"

	"relais/engine"
)

func TestRead(t *testing.T) {
	t.Parallel()
	const fr, en = engine.French, engine.English
	tests := []struct {
		text   string
		intent engine.Intent
		number int
		lang   engine.Lang
	}{
		{"OUI", engine.Yes, 0, fr},
		{"oui", engine.Yes, 0, fr},
		{"  Oui. ", engine.Yes, 0, fr},
		{"oui!!! 👍🏽", engine.Yes, 0, fr},
		{"Oui, merci beaucoup", engine.Yes, 0, fr},
		{"oui s'il vous plaît", engine.Yes, 0, fr},
		{"Oui s’il te plait", engine.Yes, 0, fr},
		{"oui svp", engine.Yes, 0, fr},
		{"Bonjour, oui", engine.Yes, 0, fr},
		{"oui oui", engine.Yes, 0, fr},
		{"ok oui", engine.Yes, 0, fr},
		{"«oui»", engine.Yes, 0, fr},
		{"O", engine.Yes, 0, ""},
		{"ok", engine.Unclear, 0, ""},
		{"OK merci", engine.Unclear, 0, ""},
		{"ok thanks", engine.Unclear, 0, ""},
		{"yes", engine.Yes, 0, en},
		{"Yes please!", engine.Yes, 0, en},
		{"Y", engine.Yes, 0, en},
		{"1", engine.Yes, 1, ""},
		{"1.", engine.Yes, 1, ""},
		{"(1)", engine.Yes, 1, ""},
		{"1️⃣", engine.Yes, 1, ""},
		{"１", engine.Yes, 1, ""},
		{"1 svp", engine.Yes, 1, fr},
		{"oui 1", engine.Yes, 1, fr},
		{"\u200e1\u00a0", engine.Yes, 1, ""},

		{"NON", engine.No, 0, fr},
		{"non merci", engine.No, 0, fr},
		{"No, thank you", engine.No, 0, en},
		{"n", engine.No, 0, ""},
		{"2", engine.No, 2, ""},

		{"3", engine.Choice, 3, ""},
		{"9 please", engine.Choice, 9, en},

		{"ARRET", engine.Stop, 0, fr},
		{"Arrêt", engine.Stop, 0, fr},
		{"Arre\u0302te\u0301", engine.Stop, 0, fr},
		{"arrêter svp", engine.Stop, 0, fr},
		{"désabonner", engine.Stop, 0, fr},
		{"Stop.", engine.Stop, 0, ""},
		{"STOP?", engine.Stop, 0, ""},
		{"stop please", engine.Stop, 0, en},
		{"STOPALL", engine.Stop, 0, en},
		{"stop all", engine.Stop, 0, ""},
		{"non stop", engine.Stop, 0, fr},
		{"stop, no", engine.Stop, 0, en},
		{"unsubscribe", engine.Stop, 0, en},
		{"Cancel", engine.Stop, 0, en},
		{"END", engine.Stop, 0, en},
		{"quit", engine.Stop, 0, en},
		{"REVOKE", engine.Stop, 0, en},
		{"START", engine.Start, 0, ""},
		{"unstop", engine.Start, 0, ""},
		{"AIDE", engine.Help, 0, fr},
		{"aide ?", engine.Help, 0, fr},
		{"help", engine.Help, 0, en},
		{"info", engine.Help, 0, ""},

		{"", engine.Unclear, 0, ""},
		{" \n", engine.Unclear, 0, ""},
		{"👍", engine.Unclear, 0, ""},
		{"merci", engine.Unclear, 0, ""},
		{"bonjour", engine.Unclear, 0, ""},
		{"oui?", engine.Unclear, 0, ""},
		{"oui mais pas mardi", engine.Unclear, 0, ""},
		{"oui non", engine.Unclear, 0, ""},
		{"yes no", engine.Unclear, 0, ""},
		{"oui 2", engine.Unclear, 0, ""},
		{"oui 3", engine.Unclear, 0, ""},
		{"3 4", engine.Unclear, 0, ""},
		{"oui stop", engine.Unclear, 0, ""},
		{"non non oui", engine.Unclear, 0, ""},
		{"0", engine.Unclear, 0, ""},
		{"10", engine.Unclear, 0, ""},
		{"11", engine.Unclear, 0, ""},
		{"1 2", engine.Unclear, 0, ""},
		{"1.5", engine.Unclear, 0, ""},
		{"14h", engine.Unclear, 0, ""},
		{"ouin", engine.Unclear, 0, ""},
		{"bus stop", engine.Unclear, 0, ""},
		{"please stop calling me", engine.Unclear, 0, ""},
		{"s il", engine.Unclear, 0, ""},
		{"да", engine.Unclear, 0, ""},
		{"\xff\xfe", engine.Unclear, 0, ""},
		{"oui" + strings.Repeat(" ", maxText-3), engine.Yes, 0, fr},
		{"oui" + strings.Repeat(" ", maxText-2), engine.Unclear, 0, ""},
	}
	for _, tt := range tests {
		intent, number, lang := Read(tt.text)
		if intent != tt.intent || number != tt.number || lang != tt.lang {
			t.Errorf("%.40q is %s %d %q, want %s %d %q", tt.text, intent, number, lang, tt.intent, tt.number, tt.lang)
		}
	}
}
