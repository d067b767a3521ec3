package bolt

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"go.etcd.io/bbolt"

	"relais/engine"
	"relais/storage"
	"relais/storage/seal"
)

// A crash batch has parts in every bucket, all named by its number.
const crashParts = 3

func crashBatch(n int) storage.Batch {
	var b storage.Batch
	data := []byte(strings.Repeat(strconv.Itoa(n), 50))
	for i := range crashParts {
		// The parts lie far apart, so that a torn write would show.
		id := fmt.Sprintf("%d-%d", i, n)
		b.Puts = append(b.Puts, storage.Put{Key: storage.Key{Clinic: "north", Kind: storage.KindSlot, ID: id}, Data: data})
		b.Events = append(b.Events, storage.Event{Clinic: "north", Subject: strconv.Itoa(n), Data: data})
		b.Effects = append(b.Effects, storage.Effect{Clinic: "north", ID: id, Data: data})
	}
	if n >= 8 {
		for i := range crashParts {
			b.Done = append(b.Done, storage.EffectKey{Clinic: "north", ID: fmt.Sprintf("%d-%d", i, n-8)})
		}
	}
	return b
}

// crashChild commits numbered batches from several goroutines until it is killed, and prints
// the number of each that was acknowledged.
func crashChild(dir string) error {
	sealer, err := seal.OpenOrCreate(filepath.Join(dir, "key"))
	if err != nil {
		return err
	}
	s, err := Open(dir, Options{Sealer: sealer})
	if err != nil {
		return err
	}
	first, err := strconv.Atoi(os.Getenv("RELAIS_BOLT_TEST_FIRST"))
	if err != nil {
		return err
	}
	const callers = 8
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for n := first + c; ; n += callers {
				if err := s.Commit(context.Background(), crashBatch(n)); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				fmt.Printf("%d\n", n) // one write a line: never half a number before the kill
			}
		})
	}
	wg.Wait()
	return nil
}

// TestCrash kills a process that commits, at a random moment: what it was told is written is
// there, and no batch is there in part.
func TestCrash(t *testing.T) {
	dir := t.TempDir()
	const rounds, span = 6, 1_000_000
	acked := map[int]bool{}
	for round := range rounds {
		cmd := child(t, "crash", dir)
		cmd.Env = append(cmd.Env, fmt.Sprintf("RELAIS_BOLT_TEST_FIRST=%d", round*span))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		last := rand.IntN(400)
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			number, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatal(err)
			}
			acked[number] = true
			if n == last {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // killed: its state is no news
		checkCrashed(t, dir, acked)
	}
	if len(acked) < rounds {
		t.Fatalf("only %d batches were acknowledged", len(acked))
	}
	t.Logf("%d batches acknowledged over %d kills", len(acked), rounds)
}

func checkCrashed(t *testing.T, dir string, acked map[int]bool) {
	t.Helper()
	sealer, err := seal.Open(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, Options{Sealer: sealer})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	ctx := t.Context()

	records := map[int]int{} // batch -> how many of its parts are there
	for after := ""; ; {
		page, err := s.Scan(ctx, "north", storage.KindSlot, after, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, r := range page {
			_, number, _ := strings.Cut(r.Key.ID, "-")
			n, err := strconv.Atoi(number)
			if err != nil {
				t.Fatal(err)
			}
			records[n]++
		}
		after = page[len(page)-1].Key.ID
	}
	events := map[int]int{}
	seq := uint64(0)
	for {
		page, err := s.Timeline(ctx, "north", "", seq, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			if seq++; e.Seq != seq {
				t.Fatalf("event %d where %d should be", e.Seq, seq)
			}
			n, err := strconv.Atoi(e.Subject)
			if err != nil {
				t.Fatal(err)
			}
			events[n]++
		}
	}
	for n := range acked {
		if records[n] != crashParts || events[n] != crashParts {
			t.Errorf("batch %d was acknowledged and has %d records and %d events", n, records[n], events[n])
		}
	}
	for n, parts := range records {
		if parts != crashParts || events[n] != crashParts {
			t.Errorf("batch %d is there in part: %d records, %d events", n, parts, events[n])
		}
	}
	wantSound(t, s)
}

// sound runs the database's own check of all pages.
func sound(s *Store) error {
	return s.db.View(func(tx *bbolt.Tx) error {
		var all []error
		for err := range tx.Check() {
			all = append(all, err)
		}
		return errors.Join(all...)
	})
}

func wantSound(tb testing.TB, s *Store) {
	tb.Helper()
	if err := sound(s); err != nil {
		tb.Errorf("the file is unsound: %v", err)
	}
}

// personal is data that must not be found in the file.
var personal = []string{"Geneviève Tremblay", "+15145550123", "genevieve@example.org", "RAMQ TREG 5512 0412", "tok_4f9c2a"}

// written is a word in the forms in which somebody could find it in a copied file.
func written(word string) map[string][]byte {
	var little, big []byte
	for _, u := range utf16.Encode([]rune(word)) {
		little, big = binary.LittleEndian.AppendUint16(little, u), binary.BigEndian.AppendUint16(big, u)
	}
	forms := map[string][]byte{
		"as it is": []byte(word), "in UTF-16": little, "in UTF-16, big end first": big,
		"in hexadecimal": []byte(hex.EncodeToString([]byte(word))), "in capital hexadecimal": []byte(strings.ToUpper(hex.EncodeToString([]byte(word)))),
	}
	// Where a word stands in a longer text its base64 begins at one of three places; the ends depend on the neighbours.
	for skip := range 3 {
		for name, enc := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64 for URLs": base64.RawURLEncoding} {
			text := enc.EncodeToString(append(make([]byte, skip), word...))
			forms[fmt.Sprintf("in %s after %d", name, skip)] = []byte(text[(skip*8+5)/6 : len(text)-2])
		}
	}
	return forms
}

// TestSealed looks for personal data in every byte of the directory, written in any way.
func TestSealed(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{Sealer: newSealer(t)})
	if err != nil {
		t.Fatal(err)
	}
	const subject = "findable-subject"
	for i, secret := range personal {
		for n := range 40 {
			id := fmt.Sprintf("%d-%d", i, n)
			data := fmt.Appendf(nil, `{"value":%q}`, secret)
			if err := s.Commit(t.Context(), storage.Batch{
				Puts: []storage.Put{
					{Key: storage.Key{Clinic: "north", Kind: storage.KindPatient, ID: id}, Data: data},
					{Key: storage.Key{Clinic: storage.Shared, Kind: storage.KindAccount, ID: id}, Data: data},
				},
				Events:  []storage.Event{{Clinic: "north", Subject: subject, Data: data}},
				Effects: []storage.Effect{{Clinic: "north", ID: id, Data: data}},
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// Beside the file there is a backup of it, and a store that was restored from that one.
	backup := filepath.Join(dir, "backup")
	if s, err = Open(dir, Options{Sealer: s.sealer}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Backup(t.Context(), backup, CheckOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), backup, filepath.Join(dir, "restored"), CheckOptions{Sealer: s.sealer}); err != nil {
		t.Fatal(err)
	}
	found := false
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path) //nolint:gosec // the test's own directory
		if err != nil {
			return err
		}
		found = found || strings.Contains(string(text), subject)
		for _, secret := range personal {
			for how, form := range written(secret) {
				if bytes.Contains(text, form) {
					t.Errorf("%s shows %q %s", d.Name(), secret, how)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !found {
		t.Error("what is in clear was not found either: the search is broken")
	}
}

// TestMovedValue swaps two sealed values in the file: neither opens any more.
func TestMovedValue(t *testing.T) {
	s := openTemp(t, Options{})
	a := storage.Key{Clinic: "north", Kind: storage.KindEntry, ID: "a"}
	b := storage.Key{Clinic: "north", Kind: storage.KindEntry, ID: "b"}
	mustCommit(t, s, storage.Batch{Puts: []storage.Put{{Key: a, Data: []byte("A")}, {Key: b, Data: []byte("B")}}})
	err := s.db.Update(func(tx *bbolt.Tx) error {
		records := tx.Bucket(bucketNames[inRecords])
		ka, kb := diskKey(a), diskKey(b)
		va, vb := string(records.Get(ka)), string(records.Get(kb))
		return errors.Join(records.Put(ka, []byte(vb)), records.Put(kb, []byte(va)))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []storage.Key{a, b} {
		if _, err := s.Get(t.Context(), k); !errors.Is(err, seal.ErrWrongKey) || engine.CodeOf(err) != engine.Internal {
			t.Errorf("moved value: %v, want seal.ErrWrongKey", err)
		}
	}

	// Nor does one whose version or time was changed.
	c := storage.Key{Clinic: "north", Kind: storage.KindEntry, ID: "c"}
	mustCommit(t, s, storage.Batch{
		Puts:   []storage.Put{{Key: c, Data: []byte("C")}},
		Events: []storage.Event{{Clinic: "north", Subject: "c", At: time.Unix(1, 0), Data: []byte("C")}},
	})
	err = s.db.Update(func(tx *bbolt.Tx) error {
		records, events := tx.Bucket(bucketNames[inRecords]), tx.Bucket(bucketNames[inEvents])
		rec := bytes.Clone(records.Get(diskKey(c)))
		rec[0]++
		event := bytes.Clone(events.Get(appendEventKey(nil, "north", 1)))
		event[1+len("c")+numberLen-1]++
		return errors.Join(records.Put(diskKey(c), rec), events.Put(appendEventKey(nil, "north", 1), event))
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), c); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("changed version: %v, want seal.ErrWrongKey", err)
	}
	if _, err := s.Timeline(t.Context(), "north", "c", 0, 1); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("changed time: %v, want seal.ErrWrongKey", err)
	}
}
