package bolt

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"testing"
)

// children are what this test binary does when a test starts it again as another process.
var children = map[string]func(dir string) error{}

const (
	childEnv = "RELAIS_BOLT_TEST_CHILD"
	dirEnv   = "RELAIS_BOLT_TEST_DIR"
)

func TestMain(m *testing.M) {
	children["crash"] = crashChild
	maps.Copy(children, systemChildren)
	children["hold"] = holdChild
	run, ok := children[os.Getenv(childEnv)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := run(os.Getenv(dirEnv)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child prepares the test binary to run one of the children on dir.
func child(t *testing.T, name, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // this binary again
	cmd.Env = append(os.Environ(), childEnv+"="+name, dirEnv+"="+dir)
	return cmd
}
