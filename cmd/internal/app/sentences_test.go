package app

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFaultsAreSaidInFrench finds every sentence about a record system in the sources that write them, and wants
// it in the page's list of French ones.
func TestFaultsAreSaidInFrench(t *testing.T) {
	t.Parallel()
	const root = "../../.."
	read := func(pattern string) (text string) {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %d files", pattern, err, len(files))
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			text += string(data)
		}
		return text
	}
	var known []*regexp.Regexp
	for _, m := range regexp.MustCompile(`(?m)^ +(?:\[)?'((?:[^'\\]|\\.)+)',`).FindAllStringSubmatch(read("transport/web/ui/src/desk/dmesentences.ts"), -1) {
		english := strings.ReplaceAll(m[1], `\'`, `'`)
		known = append(known, regexp.MustCompile("^"+strings.ReplaceAll(regexp.QuoteMeta(english), "…", ".+")+"$"))
	}
	clients := read("transport/fhir/*.go") + read("transport/hl7/*.go")
	found := 0
	for text, pattern := range map[string]string{
		clients:                         `failure\(engine\.\w+, "((?:[^"\\]|\\.)+)"`,
		read("actors/*.go"):             `health\.Bad\{.*?Detail: "([^"]+)"`,
		read("engine/health/health.go"): `"((?:The|No|Suspended)[^"]*\.)"`,
		read("engine/schedule/*.go"):    `"([^"]* not believed\.)"`,
	} {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			sentence := regexp.MustCompile(`%[sdw]`).ReplaceAllString(m[1], "7")
			if sentence == "The record system's clock is 7 7 ours." {
				sentence = "The record system's clock is 7 ahead of ours."
			}
			sentence = strings.Replace(sentence, "coming 7 vanished", "coming slots vanished", 1)
			found++
			if !matchesAny(known, sentence) {
				t.Errorf("no French for %q", sentence)
			}
		}
	}
	if found < 90 || len(known) < 80 {
		t.Errorf("%d sentences and %d French ones found; the patterns of this test are out of date", found, len(known))
	}
}

func matchesAny(list []*regexp.Regexp, s string) bool {
	for _, r := range list {
		if r.MatchString(s) {
			return true
		}
	}
	return false
}
