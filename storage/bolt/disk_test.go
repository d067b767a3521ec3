package bolt

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"go.etcd.io/bbolt"

	"relais/storage"
	"relais/storage/seal"
)

// disk stands between a store and its file: it writes down every write and every sync, in order, and can
// make one fail. The database has no seam for that, so its field is replaced; where it is gone, this panics.
type disk struct {
	db   *bbolt.DB
	real func([]byte, int64) (int, error)
	ops  []op
	fail func(n int, b []byte, off int64) (written int, err error) // of write n; nil: it goes well
	n    int
}

// op is one step of a disk.
type op struct {
	sync bool
	ack  int // of a batch, from 1
	off  int64
	data []byte
	size int64 // of the file then
}

func watch(s *Store) *disk {
	field := reflect.ValueOf(s.db).Elem().FieldByName("ops").FieldByName("writeAt")
	at := (*func([]byte, int64) (int, error))(unsafe.Pointer(field.UnsafeAddr()))
	d := &disk{db: s.db, real: *at}
	*at = d.writeAt
	return d
}

func (d *disk) writeAt(b []byte, off int64) (int, error) {
	if meta := off < int64(2*d.db.Info().PageSize); meta {
		d.synced() // the database syncs before it writes a root: TestSyncFails shows that it does
	}
	d.n++
	if d.fail != nil {
		if n, err := d.fail(d.n, b, off); err != nil {
			_, _ = d.real(b[:n], off)
			return n, err
		}
	}
	info, err := os.Stat(d.db.Path())
	if err != nil {
		return 0, err
	}
	d.ops = append(d.ops, op{off: off, data: append([]byte(nil), b...), size: info.Size()})
	return d.real(b, off)
}

func (d *disk) synced() {
	if !d.db.NoSync {
		d.ops = append(d.ops, op{sync: true})
	}
}

// acked is called when a batch was acknowledged: the root was synced before.
func (d *disk) acked(n int) {
	d.synced()
	d.ops = append(d.ops, op{ack: n})
}

// crashed is what a disk holds after a power cut at a step: everything before the last sync, and of what was
// written since then whatever random says, in any order, one write of it torn.
func (d *disk) crashed(base []byte, step int, random *rand.Rand) (image []byte, size int64, acked int) {
	last := 0
	for i, o := range d.ops[:step] {
		if o.sync {
			last = i
		}
		acked = max(acked, o.ack)
		size = max(size, o.size)
	}
	image = append([]byte(nil), base...)
	write := func(o op, n int) {
		if need := int(o.off) + n; need > len(image) {
			image = append(image, make([]byte, need-len(image))...)
		}
		copy(image[o.off:], o.data[:n])
	}
	for _, o := range d.ops[:last] {
		write(o, len(o.data))
	}
	since := d.ops[last:step]
	style := random.IntN(4)
	for i, o := range since {
		switch {
		case style == 0: // nothing of it arrived
		case style == 1, random.IntN(2) == 0: // all of it, or this one
			n := len(o.data)
			if i == len(since)-1 || random.IntN(4) == 0 { // torn, mostly between two sectors
				n = random.IntN(n + 1)
				if random.IntN(4) > 0 {
					n -= n % 512
				}
			}
			write(o, n)
		}
	}
	return image, max(size, int64(len(image))), acked
}

// opened opens what a crash left and says what is wrong with it: a batch in part, an acknowledged one gone,
// pages or chains that do not fit.
func opened(ctx context.Context, dir string, sealer *seal.Sealer, acked int) error {
	s, err := Open(dir, Options{Sealer: sealer})
	if err != nil {
		return fmt.Errorf("it does not start: %w", err)
	}
	s.db.NoSync = true // nobody cuts the power here
	records, events := map[int]int{}, map[int]int{}
	recs, err := s.Scan(ctx, "north", storage.KindSlot, "", storage.MaxPage)
	for _, r := range recs {
		n, _ := strconv.Atoi(r.Key.ID[strings.IndexByte(r.Key.ID, '-')+1:])
		records[n]++
	}
	lines, lerr := s.Timeline(ctx, "north", "", 0, storage.MaxPage)
	for _, e := range lines {
		n, _ := strconv.Atoi(e.Subject)
		events[n]++
	}
	if err := errors.Join(err, lerr, s.Commit(ctx, storage.Batch{Events: []storage.Event{{Clinic: "south"}}}), s.Close()); err != nil {
		return fmt.Errorf("it starts and does not work: %w", err)
	}
	for n := 1; n <= max(acked, len(records)); n++ {
		if n <= acked && records[n] != crashParts {
			return fmt.Errorf("batch %d of %d acknowledged has %d records", n, acked, records[n])
		}
		if records[n] != events[n] || records[n]%crashParts != 0 {
			return fmt.Errorf("batch %d is there in part: %d records, %d events", n, records[n], events[n])
		}
	}
	r, err := CheckFile(ctx, filepath.Join(dir, File), CheckOptions{Sealer: sealer})
	return errors.Join(err, r.Err())
}

// taped commits batches one after the other and returns what the disk saw, and what it held before.
func taped(t *testing.T, sealer *seal.Sealer, batches int, noSync bool) (*disk, []byte) {
	t.Helper()
	dir := t.TempDir()
	s, err := Open(dir, Options{Sealer: sealer})
	if err != nil {
		t.Fatal(err)
	}
	s.db.NoSync = noSync
	base := read(t, filepath.Join(dir, File))
	d := watch(s)
	for n := 1; n <= batches; n++ {
		mustCommit(t, s, crashBatch(n))
		d.acked(n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return d, base
}

// image writes a disk's content as a store's file.
func image(t *testing.T, dir string, text []byte, size int64) {
	t.Helper()
	path := filepath.Join(dir, File)
	write(t, path, text)
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

// rounds are few here; make crashtest makes them many.
func rounds(few, many int) int {
	if os.Getenv("CRASH") == "full" {
		return many
	}
	return few
}

// seeded is 1 here, another each time in the long version, and CRASH_SEED where it is set, to see a failure again.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(rounds(1, int(rand.Uint32())))
	if n, err := strconv.ParseUint(os.Getenv("CRASH_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// TestPowerCut cuts the power at every write and every sync of the commits, several times with another
// part of what was not synced on the disk: what was acknowledged is there, and nothing is there in part.
func TestPowerCut(t *testing.T) {
	sealer := newSealer(t)
	random := seeded(t)
	d, base := taped(t, sealer, rounds(8, 150), false)
	dir, cuts := t.TempDir(), 0
	for step := range len(d.ops) + 1 {
		for range rounds(1, 12) {
			text, size, acked := d.crashed(base, step, random)
			image(t, dir, text, size)
			if err := opened(t.Context(), dir, sealer, acked); err != nil {
				t.Fatalf("power cut at step %d of %d: %v", step, len(d.ops), err)
			}
			cuts++
		}
	}
	t.Logf("%d power cuts at %d steps", cuts, len(d.ops)+1)
}

// TestPowerCutWithoutSync shows that the test above finds a store that does not sync.
func TestPowerCutWithoutSync(t *testing.T) {
	sealer := newSealer(t)
	random := seeded(t)
	d, base := taped(t, sealer, 10, true)
	dir, found := t.TempDir(), 0
	const cuts = 60
	for range cuts {
		text, size, acked := d.crashed(base, 1+random.IntN(len(d.ops)), random)
		image(t, dir, text, size)
		if opened(t.Context(), dir, sealer, acked) != nil {
			found++
		}
	}
	if found < cuts/4 {
		t.Errorf("%d of %d power cuts were noticed without any sync", found, cuts)
	}
	t.Logf("%d of %d power cuts without sync left a store that lost or broke something", found, cuts)
}

// TestWriteFails has each write of a commit fail in each way: the batch is refused, those before stay, and
// what a start finds afterwards is whole.
func TestWriteFails(t *testing.T) {
	sealer := newSealer(t)
	for name, fail := range map[string]func(b []byte) (int, error){
		"EIO":                  func([]byte) (int, error) { return 0, syscall.EIO },
		"EIO in the middle":    func(b []byte) (int, error) { return len(b) / 2, syscall.EIO },
		"disk full":            func([]byte) (int, error) { return 0, syscall.ENOSPC },
		"disk full, torn":      func(b []byte) (int, error) { return len(b) / 2, syscall.ENOSPC },
		"read-only":            func([]byte) (int, error) { return 0, syscall.EROFS },
		"over the file's size": func(b []byte) (int, error) { return 512, syscall.EFBIG },
	} {
		t.Run(name, func(t *testing.T) {
			for nth := 1; ; nth++ {
				dir := t.TempDir()
				s, err := Open(dir, Options{Sealer: sealer})
				if err != nil {
					t.Fatal(err)
				}
				const before = 3
				for n := 1; n <= before; n++ {
					mustCommit(t, s, crashBatch(n))
				}
				d := watch(s)
				failed := false
				d.fail = func(n int, b []byte, _ int64) (int, error) {
					if n != nth {
						return 0, nil
					}
					failed = true
					return fail(b)
				}
				err = s.Commit(t.Context(), crashBatch(before+1))
				d.fail = nil
				acked := before
				switch {
				case !failed && err == nil: // it has no more writes than that
					_ = s.Close()
					if nth < 4 {
						t.Errorf("a commit has %d writes", nth-1)
					}
					return
				case err == nil:
					t.Fatalf("write %d failed and the batch was acknowledged", nth)
				case !errors.Is(err, storage.ErrFull) && !errors.Is(err, ErrDisk):
					t.Fatalf("write %d: %v, want ErrFull or ErrDisk", nth, err)
				}
				if errors.Is(err, storage.ErrFull) { // it goes on once there is space
					mustCommit(t, s, crashBatch(before+1))
					acked++
				} else if err := s.Commit(t.Context(), crashBatch(99)); !errors.Is(err, ErrDisk) {
					t.Fatalf("after write %d the store goes on: %v", nth, err)
				}
				_ = s.Close()
				if err := opened(t.Context(), dir, sealer, acked); err != nil {
					t.Fatalf("after write %d: %v", nth, err)
				}
			}
		})
	}
}

// TestFlippedBytes changes bytes everywhere in a file. The store starts and gives what was written, or says
// what cannot be read, or refuses to start with a sentence; it never gives anything else, nor ends the process.
func TestFlippedBytes(t *testing.T) {
	sealer := newSealer(t)
	_, path := closedStore(t, sealer)
	sound := read(t, path)
	used := len(strings.TrimRight(string(sound), "\x00"))
	random := seeded(t)
	dir := t.TempDir()
	refused, unread, whole := 0, 0, 0
	for i := range rounds(300, 20_000) {
		text := append([]byte(nil), sound[:used]...)
		for range 1 + random.IntN(3) {
			text[random.IntN(used)] ^= byte(1 + random.IntN(255))
		}
		if i%3 == 0 { // where pages say what they are and where they point
			page := random.IntN(used/os.Getpagesize()) * os.Getpagesize()
			text[min(page+random.IntN(64), used-1)] ^= byte(1 + random.IntN(255))
		}
		image(t, dir, text, int64(len(sound)))
		_, cerr := CheckFile(t.Context(), filepath.Join(dir, File), CheckOptions{Sealer: sealer})
		s, err := Open(dir, Options{Sealer: sealer})
		if err != nil {
			if cerr == nil && !errors.Is(err, seal.ErrWrongKey) {
				t.Fatalf("flip %d: the check can read what does not start: %v", i, err)
			}
			refused++
			continue
		}
		switch err := unchanged(t.Context(), s); {
		case errors.Is(err, errOther):
			t.Fatalf("flip %d: %v", i, err)
		case err != nil:
			unread++
		default:
			whole++
		}
		if err := s.Commit(t.Context(), storage.Batch{Events: []storage.Event{{Clinic: "north"}}}); err != nil && errors.Is(err, storage.ErrStale) {
			t.Fatalf("flip %d: a batch that expects nothing is stale: %v", i, err)
		}
		_ = s.Close()
	}
	t.Logf("refused to start %d, something unreadable %d, all there %d", refused, unread, whole)
}

var errOther = errors.New("something else than was written")

// unchanged reads what closedStore wrote.
func unchanged(ctx context.Context, s *Store) error {
	var all error
	for i := range 200 {
		rec, err := s.Get(ctx, slotPut(strconv.Itoa(i), 0).Key)
		if err == nil && (rec.Version != 1 || string(rec.Data) != strconv.Itoa(i)) {
			return fmt.Errorf("record %d: %w", i, errOther)
		}
		all = errors.Join(all, err)
	}
	events, err := s.Timeline(ctx, "north", "s", 0, storage.MaxPage)
	for _, e := range events {
		if len(e.Data) != 300 || strings.Trim(string(e.Data), "\x00") != "" {
			return fmt.Errorf("event %d: %w", e.Seq, errOther)
		}
	}
	return errors.Join(all, err)
}
