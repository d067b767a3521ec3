package app

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"relais/transport/sandbox"
)

// chaosRun is one run of Relais between carriers that fail.
type chaosRun struct {
	seed        uint64
	slots, size int           // slots freed; people asked for each
	rounds      int           // how often each person is asked, one slot after another
	over        time.Duration // over which the slots are freed
	within      time.Duration // a proof later than this is too late
	rest        time.Duration // after the last slot
	voiceAfter  time.Duration
	second      time.Duration // of a call
	kills       int
	outage      time.Duration // of the main account, in the middle
	chaos       sandbox.Chaos
	least       float64 // percent of reach; 0 where a busy machine would decide it
	noFailover  bool    // broken on purpose: there is no second account
	liar        bool    // broken on purpose: what is unknown passes for failed
}

// carriersFail is how carriers fail in every run.
func carriersFail() sandbox.Chaos {
	return sandbox.Chaos{
		Refused: .03, Undelivered: .02, // 5 % temporary failures
		Timeout: .02, Lost: .01, Doubled: .05, Reordered: .05,
		Lines: map[sandbox.LineKind]float64{
			sandbox.LineGone: .03, sandbox.LineLandline: .02, sandbox.LineFiltered: .01,
		},
	}
}

func smallChaos() chaosRun {
	return chaosRun{
		seed: 11, slots: 24, size: 25, rounds: 1, over: 8 * time.Second, within: 12 * time.Second, rest: 16 * time.Second,
		voiceAfter: 4 * time.Second, second: 20 * time.Millisecond, kills: 3, outage: 3 * time.Second, chaos: carriersFail(),
	}
}

// TestChaos frees slots while carriers fail and the process is killed: 600 offers in half a minute, or
// 20,000 in a quarter of an hour with CHAOS=full (make chaos), which also breaks Relais on purpose.
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("the chaos run takes half a minute")
	}
	run := smallChaos()
	full := os.Getenv("CHAOS") == "full"
	if full {
		run.slots, run.size, run.rounds, run.over, run.within = 408, 50, 3, 13*time.Minute, 2*time.Minute
		run.rest, run.voiceAfter, run.second = 3*time.Minute, 90*time.Second, 50*time.Millisecond
		run.kills, run.outage, run.least = 20, 10*time.Minute, 99
	}
	n := run.play(t)
	t.Logf("what came of it:\n%s", n)
	if full {
		writeChaos(t, n)
	}
	for _, f := range n.faults(run.least) {
		t.Error(f)
	}
	if want := run.slots * run.size * 9 / 10; n.offers < want || n.claims == 0 || n.valid < n.offers/3 {
		t.Errorf("%d offers, %d claims, %d valid: too little happened", n.offers, n.claims, n.valid)
	}
}

// TestChaosCatches breaks what the chaos run holds: it must notice.
func TestChaosCatches(t *testing.T) {
	if os.Getenv("CHAOS") == "" {
		t.Skip("needs CHAOS=full: make chaos")
	}
	t.Run("no second account", func(t *testing.T) {
		run := smallChaos()
		run.kills, run.outage = 0, time.Hour // whatever the machine does meanwhile
		with := run.play(t).reach()
		run.noFailover = true
		if without := run.play(t).reach(); without > with-10 {
			t.Errorf("reach is %.2f %% with fail-over and %.2f %% without", with, without)
		} else {
			t.Logf("reach falls from %.2f to %.2f %%", with, without)
		}
	})
	t.Run("unknown taken for failed", func(t *testing.T) {
		run := smallChaos()
		run.liar = true
		if n := run.play(t); n.duplicates == 0 {
			t.Error("no duplicates although what is unknown is sent again")
		} else {
			t.Logf("%d messages come twice", n.duplicates)
		}
	})
}

// play runs it and counts.
func (run chaosRun) play(t *testing.T) chaosTally {
	t.Helper()
	w := newChaosWorld(t, run)
	w.begin()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.freeSlots()
	}()
	dice := rand.New(rand.NewPCG(run.seed, 2))
	start := time.Now()
	down := time.AfterFunc(run.over/8, func() { w.outage(sandbox.OutRefused) })
	up := time.AfterFunc(run.over/8+run.outage, func() { w.outage(sandbox.NoOutage) })
	for k := range run.kills {
		at := start.Add(run.over * time.Duration(k+1) / time.Duration(run.kills+1)).Add(time.Duration(dice.IntN(500)) * time.Millisecond)
		w.pause(time.Until(at))
		w.end(syscall.SIGKILL)
		w.kills++
		w.begin()
	}
	<-done
	w.pause(run.rest)
	down.Stop()
	up.Stop()
	w.closing.Store(true)
	w.end(syscall.SIGTERM)
	return w.tally()
}

// pause waits for what happens in other processes.
func (w *chaosWorld) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-w.t.Context().Done():
		w.t.FailNow()
	}
}

// outage takes the main account down, or brings it back.
func (w *chaosWorld) outage(how sandbox.Outage) {
	c := w.run.chaos
	c.Outage = how
	if err := w.carriers[0].SetChaos(c); err != nil {
		w.t.Error(err)
	}
}

// freeSlots cancels appointments, one after another.
func (w *chaosWorld) freeSlots() {
	var ids [][2]string
	for _, r := range w.dme.Records() {
		left := w.run.slots / chaosClinics
		for _, a := range r.Appointments {
			if left > 0 && a.Status == "booked" && time.Until(a.Start) > 26*time.Hour {
				left--
				ids = append(ids, [2]string{r.Clinic, a.ID})
			}
		}
	}
	dice := rand.New(rand.NewPCG(w.run.seed, 3))
	dice.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	for _, id := range ids {
		if err := w.dme.Cancel(id[0], id[1]); err != nil {
			w.t.Error(err)
		}
		w.pause(w.run.over / time.Duration(len(ids)))
	}
}

// writeChaos leaves the table where make chaos shows it.
func writeChaos(t *testing.T, n chaosTally) {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "build")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "chaos.md"), []byte(n.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}
