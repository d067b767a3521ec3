package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/transport/sandbox"
)

const (
	farmToken  = "farm-token"
	farmPeople = 4 // on each clinic's list
)

func farmID(n int) engine.ClinicID { return engine.ClinicID(fmt.Sprintf("c%04d", n)) }

func farmPatient(clinic, n int) engine.Patient {
	return engine.Patient{
		ID: engine.PatientID(fmt.Sprintf("p-%04d-%d", clinic, n)), Clinic: farmID(clinic), Given: "Ève", Family: "Roy",
		Lang: engine.French, Source: fmt.Sprintf("Patient/w%d", n),
	}
}

func farmClinic(n, practitioners int) engine.Clinic {
	c := engine.Clinic{
		ID: farmID(n), Name: "Clinique " + strconv.Itoa(n), Zone: "America/Toronto", Lang: engine.French, Mode: engine.Approval,
		Places: []engine.Place{{ID: "place", Name: "Ici"}}, Policy: engine.DefaultPolicy(),
	}
	c.Policy.Grace = 0
	for i := range practitioners {
		c.Practitioners = append(c.Practitioners, engine.Practitioner{ID: engine.PractitionerID("dr" + strconv.Itoa(i)), Name: "Dre Roy", Specialty: "dermatology"})
	}
	return c
}

// farm serves the record systems of many clinics, in a process of its own: dmefarm DIR CLINICS PRACTITIONERS.
// It prints its address when they are seeded, and ends with its standard input.
func farm(args []string) error {
	clinics, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	practitioners, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	dme, err := sandbox.OpenDME(filepath.Join(args[0], "farm.db"), sandbox.DMEConfig{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	for n := range clinics {
		seed := sandbox.Seed{Clinic: farmClinic(n, practitioners), Token: farmToken, Number: uint64(n)}
		for i := range farmPeople {
			seed.Patients = append(seed.Patients, farmPatient(n, i))
		}
		if _, err := dme.SeedClinic(seed); err != nil {
			return err
		}
	}
	mux := http.NewServeMux()
	dme.RegisterDME(mux)
	mux.Handle("/dme/", dme.Handler())
	listen, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listen) }()
	fmt.Println("http://" + listen.Addr().String())
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, server.Close(), dme.Close())
}

// startFarm runs a farm and returns its address and its process.
func startFarm(b *testing.B, clinics, practitioners int) (string, *os.Process) {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), self)
	cmd.Args = []string{"dmefarm", b.TempDir(), strconv.Itoa(clinics), strconv.Itoa(practitioners)}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatalf("the record systems did not start: %v", err)
	}
	return strings.TrimSpace(address), cmd.Process
}

// footprint reads how much memory this process holds after a collection, and how many goroutines it has.
func footprint(b *testing.B) (heapMiB, residentMiB float64, goroutines int) {
	b.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(status))[1])
	if err != nil {
		b.Fatal(err)
	}
	return float64(m.HeapAlloc) / (1 << 20), float64(pages*os.Getpagesize()) / (1 << 20), runtime.NumGoroutine()
}
