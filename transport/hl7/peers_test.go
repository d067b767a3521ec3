package hl7_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/transport/hl7"
)

// need skips a test whose peer is not on this machine; on a machine that checks everything it fails.
func need(t *testing.T, what string, there bool) {
	t.Helper()
	switch {
	case there:
	case os.Getenv("CI") != "":
		t.Fatalf("%s is not installed", what)
	default:
		t.Skipf("%s is not installed", what)
	}
}

func installed(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// TestMLLPSend lets Debian's mllp_send deliver a booking and its cancellation in one file.
func TestMLLPSend(t *testing.T) {
	need(t, "mllp_send (Debian: python3-hl7)", installed("mllp_send"))
	r := newRound(t, nil)
	r.free() // the port is known to work
	file := filepath.Join(t.TempDir(), "messages.hl7")
	text := siu("P1", "") + strings.Replace(siu("P2", ""), "S12", "S15", 1)
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "\r", "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	host, port, _ := strings.Cut(r.addr, ":")
	out, err := exec.CommandContext(t.Context(), "mllp_send", "--loose", "--port", port, "--file", file, host).CombinedOutput()
	if err != nil || strings.Count(string(out), "MSA|AA|P") != 2 {
		t.Fatalf("%q %v", out, err)
	}
	freed(t, r, time.Date(2030, 12, 1, 14, 0, 0, 0, time.UTC))
}

// TestNodeClient lets node-hl7-client build, send and read the answers.
func TestNodeClient(t *testing.T) {
	_, err := os.Stat(filepath.Join("peers", "node_modules", "node-hl7-client"))
	need(t, "node-hl7-client (npm ci in transport/hl7/peers)", installed("node") && err == nil)
	r := newRound(t, nil)
	_, port, _ := strings.Cut(r.addr, ":")
	out, err := exec.CommandContext(t.Context(), "node", "peers/send.mjs", port).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "AA N1\nAA N2" {
		t.Fatalf("%q %v", out, err)
	}
	freed(t, r, time.Date(2030, 12, 1, 14, 0, 0, 0, time.UTC))
}

func freed(t *testing.T, r *round, start time.Time) {
	t.Helper()
	obs, err := r.c.Changes(t.Context(), "0~999999")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range obs.Slots {
		if s.Start.Equal(start) && s.Status == engine.SlotFree && s.Practitioner == "gagnon" {
			return
		}
	}
	t.Errorf("no slot was freed: %+v", obs.Slots)
}

// TestPythonTakesRequests books at a server made with python3-hl7.
func TestPythonTakesRequests(t *testing.T) {
	need(t, "python3-hl7", exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", "import hl7.mllp").Run() == nil)
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "peers/receive.py")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() {
		t.Fatal("the server did not start")
	}
	r := newRound(t, func(c *hl7.Config, _ *hl7.ListenerConfig) { c.SendTo = "127.0.0.1:" + lines.Text() })
	r.free()
	booked, err := r.book("relais-1")
	if err != nil || booked.Appointment != "filler/py-1" {
		t.Fatalf("%+v %v", booked, err)
	}
	if !lines.Scan() {
		t.Fatal("the request was not read")
	}
	want := "SRM S01 relais-1 TREM1 D7 " + r.slot.Start.In(montreal(t)).Format("20060102150405-0700")
	if got := lines.Text(); got != want {
		t.Errorf("it read %q, want %q", got, want)
	}
}
