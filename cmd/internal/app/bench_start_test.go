package app

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkStart builds the program as `make build` does and starts the demo: the first time, when it
// makes its clinics, people and store, and again on what is there.
func BenchmarkStart(b *testing.B) {
	const starts = 5
	for b.Loop() {
		bin := filepath.Join(b.TempDir(), "relais")
		build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-o", bin, "./cmd/relais")
		build.Dir, build.Env = top, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		info, err := os.Stat(bin)
		if err != nil {
			b.Fatal(err)
		}
		var first, again []time.Duration
		var resident []float64
		for range starts {
			dir := filepath.Join(b.TempDir(), "data")
			took, kib := startDemo(b, bin, dir)
			first, resident = append(first, took), append(resident, kib)
			took, _ = startDemo(b, bin, dir)
			again = append(again, took)
		}
		slices.Sort(resident)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(quantile(first, .5), "first-start-ms")
		b.ReportMetric(quantile(again, .5), "next-start-ms")
		b.ReportMetric(resident[len(resident)/2]/1024, "resident-MiB")
		b.ReportMetric(float64(info.Size())/(1<<20), "binary-MiB")
	}
}

// startDemo returns how long it took from the start of the process until its page answered, and how
// much memory it held then, in KiB.
func startDemo(b *testing.B, bin, dir string) (time.Duration, float64) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, "demo", "--quiet", "--json", "--addr", "127.0.0.1:0", "--data", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			b.Errorf("the demo ended with %v", err)
		}
	}()
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		b.Fatal(err)
	}
	var ready struct {
		DemoURL string `json:"demo_url"`
	}
	if err := json.Unmarshal(line, &ready); err != nil {
		b.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, ready.DemoURL, http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	_ = res.Body.Close()
	took := time.Since(start)
	if res.StatusCode != http.StatusOK {
		b.Fatalf("the page answers %d", res.StatusCode)
	}
	return took, residentKiB(b, cmd.Process.Pid)
}

// residentKiB reads Linux's word on a process; 0 elsewhere.
func residentKiB(b *testing.B, pid int) float64 {
	b.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			kib, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib
		}
	}
	return 0
}
