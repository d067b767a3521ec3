package app

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"relais-chaos": func() {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
			defer stop()
			if err := chaosChild(ctx, os.Args[1]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1) //nolint:gocritic // the process ends here
			}
			os.Exit(0)
		},
		"dmefarm": func() { // the record systems of the benchmarks
			if err := farm(os.Args[1:]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		},
		"relais": func() {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
			defer stop()
			os.Exit(Main(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)) //nolint:gocritic // the process ends here
		},
	})
}

func TestCommandLine(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("UPDATE") != "",
	})
}

// TestAPIDescriptionIsCurrent compares docs/openapi.json, from which the page's types are made, with
// what the program prints.
func TestAPIDescriptionIsCurrent(t *testing.T) {
	var out, errOut strings.Builder
	if code := Main(t.Context(), []string{"openapi"}, nil, &out, &errOut); code != ExitOK {
		t.Fatalf("exit code %d: %s", code, errOut.String())
	}
	have, err := os.ReadFile(filepath.Join(top, "docs", "openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != out.String() {
		t.Error("docs/openapi.json is not what the program prints; run: make api")
	}
}
