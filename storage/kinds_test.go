package storage_test

import (
	"os"
	"regexp"
	"testing"

	"relais/storage"
)

// Every kind that is declared is listed, has a number of its own, and is found by it.
func TestKinds(t *testing.T) {
	text, err := os.ReadFile("storage.go")
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(?m)^\tKind[A-Za-z0-9]+ +Kind = "([a-z0-9_]+)"`).FindAllStringSubmatch(string(text), -1)
	listed := map[storage.Kind]bool{}
	for _, k := range storage.Kinds() {
		n, ok := k.Number()
		if back, found := storage.KindOf(n); !ok || !found || back != k {
			t.Errorf("kind %s has number %d, which leads to %q", k, n, back)
		}
		listed[k] = true
	}
	if len(declared) != len(listed) || len(declared) == 0 {
		t.Errorf("%d kinds are declared, %d listed", len(declared), len(listed))
	}
	for _, d := range declared {
		if !listed[storage.Kind(d[1])] {
			t.Errorf("kind %s is not in Kinds", d[1])
		}
	}
	if _, ok := storage.KindOf(0); ok {
		t.Error("there is a kind with number 0")
	}
}
