package app

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// TestStatus asks a running process how it is, by command and through the socket beside its store.
func TestStatus(t *testing.T) {
	t.Parallel()
	const clinic = "dermatologie"
	dir := dataDir(t)
	p := demo(t, dir, nil)
	p.healthy(clinic)
	store := filepath.Join(dir, "store")
	args := []string{"status", "--data", store, "--key-file", filepath.Join(dir, "relais.key")}
	out, err := relais(t, args...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), clinic) || !strings.Contains(string(out), "healthy") || !strings.Contains(string(out), "calendar") {
		t.Errorf("%v: %s", err, out)
	}
	p.fault(clinic, "down")
	p.status(clinic, "suspended")
	out, err = relais(t, append(args, "--json")...).Output()
	if err == nil {
		t.Error("a suspended clinic ends the command well")
	}
	var st status
	if err := json.Unmarshal(out, &st); err != nil || len(st.Clinics) != 2 || st.Goroutines == 0 || len(st.Actors) == 0 {
		t.Errorf("%v: %s", err, out)
	}

	path, release, err := socketPath(store)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	inside := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	defer inside.CloseIdleConnections()
	for path, want := range map[string]string{"/debug/": "PARKED", "/debug/status": `"outbox"`, "/debug/pprof/goroutine?debug=1": "goroutine profile"} {
		resp, err := inside.Get("http://relais" + path) //nolint:noctx // as above
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: status %d, %v: %.200s", path, resp.StatusCode, err, body)
		}
		// From outside there is no such page.
		if status, _, _ := p.do(http.MethodGet, path, nil); status != http.StatusNotFound {
			t.Errorf("%s from outside: status %d", path, status)
		}
	}
	p.stop()
	if out, err := relais(t, args...).CombinedOutput(); err == nil || !strings.Contains(string(out), "not running") {
		t.Errorf("a stopped program: %v: %s", err, out)
	}
}
