package sandbox

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// Person is somebody whose thread carries a name. Phone is in E.164.
type Person struct {
	Name  string
	Phone string
	Email string
	Lang  string
}

const (
	maxItems   = 50   // of a thread
	maxLines   = 100  // of a call
	maxThreads = 2000 // known; the longest silent one goes first
	maxShown   = 300  // threads of a State
	maxLinks   = 10
)

// Wall is everybody's phone and mailbox. It is safe for concurrent use. What it shows is written
// to its file right after each change, so it survives a kill; the carrier's calls do not, and are
// shown as ended when it opens again.
type Wall struct {
	now func() time.Time
	log *slog.Logger
	db  *bbolt.DB // nil: in memory only

	mu      sync.Mutex
	threads map[string]*Thread // by ID
	owner   map[string]string  // phone or e-mail address to thread ID
	where   map[string]string  // item ID to thread ID
	named   map[string]bool    // threads of known people, never evicted
	dirty   map[string]bool    // threads to write
	subs    map[*subscriber]struct{}

	wake   chan struct{} // capacity 1
	quit   chan struct{}
	writer sync.WaitGroup
}

var threadsBucket = []byte("threads")

// OpenWall opens or creates the wall kept in the file path; "" keeps it in memory.
func OpenWall(path string, people []Person, log *slog.Logger) (*Wall, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	w := &Wall{
		now: func() time.Time { return time.Now().UTC() }, log: log,
		threads: map[string]*Thread{}, owner: map[string]string{}, where: map[string]string{},
		named: map[string]bool{}, dirty: map[string]bool{}, subs: map[*subscriber]struct{}{},
		wake: make(chan struct{}, 1), quit: make(chan struct{}),
	}
	if path != "" {
		db, err := openFile(path, w.load)
		if err != nil {
			return nil, err
		}
		w.db = db
	}
	for _, p := range people {
		w.enter(p)
	}
	w.writer.Go(w.write)
	return w, nil
}

// Close writes what is left and closes the file.
func (w *Wall) Close() error {
	close(w.quit)
	w.writer.Wait()
	w.DropWatchers()
	if w.db == nil {
		return nil
	}
	return w.db.Close()
}

func (w *Wall) load(tx *bbolt.Tx) error {
	b, err := tx.CreateBucketIfNotExists(threadsBucket)
	if err != nil {
		return err
	}
	return b.ForEach(func(_, v []byte) error {
		t := &Thread{}
		if err := json.Unmarshal(v, t); err != nil {
			return err
		}
		for i := range t.Items {
			it := &t.Items[i]
			w.where[it.ID] = t.ID
			switch it.Status {
			case "ringing", "live":
				it.Status = "ended" // the carrier that held the line is gone
			case "queued", "sent":
				if !it.Mine {
					it.Status = "failed" // it was in the carrier's queue
				}
			default:
				continue
			}
			w.dirty[t.ID] = true
		}
		w.index(t)
		return nil
	})
}

func (w *Wall) index(t *Thread) {
	w.threads[t.ID] = t
	for _, a := range []string{t.Phone, t.Email} {
		if a != "" {
			w.owner[a] = t.ID
		}
	}
}

// threadID names a thread without showing whose it is, the same after each start.
func threadID(address string) string {
	sum := sha256.Sum256([]byte("thread\x00" + address))
	return hex.EncodeToString(sum[:8])
}

// Know gives a person's thread their name from now on; it makes the thread when there is none.
func (w *Wall) Know(p Person) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changed(w.enter(p))
}

// enter makes or renames the thread of a known person.
func (w *Wall) enter(p Person) *Thread {
	p.Email = strings.ToLower(p.Email)
	id := threadID(cmp.Or(p.Phone, p.Email))
	t := w.threads[id]
	if t == nil {
		t = &Thread{ID: id, Items: []Item{}}
	}
	t.Name, t.Phone, t.Email, t.Lang = p.Name, p.Phone, p.Email, p.Lang
	w.index(t)
	w.named[id] = true
	w.dirty[id] = true
	return t
}

// thread finds the thread of an address, or makes one named after it.
func (w *Wall) thread(address string) *Thread {
	if t := w.threads[w.owner[address]]; t != nil {
		return t
	}
	if len(w.threads) >= maxThreads {
		w.evict()
	}
	t := &Thread{ID: threadID(address), Name: address, Lang: "fr", Items: []Item{}}
	if strings.Contains(address, "@") {
		t.Email = address
	} else {
		t.Phone = address
	}
	w.index(t)
	return t
}

func (w *Wall) evict() {
	var oldest *Thread
	for id, t := range w.threads {
		if !w.named[id] && (oldest == nil || t.Last.Before(oldest.Last)) {
			oldest = t
		}
	}
	if oldest == nil {
		return
	}
	for _, it := range oldest.Items {
		delete(w.where, it.ID)
	}
	delete(w.threads, oldest.ID)
	delete(w.owner, oldest.Phone)
	delete(w.owner, oldest.Email)
	w.dirty[oldest.ID] = true // its absence is written
}

var linkPattern = regexp.MustCompile(`https?://[^\s<>"]+`)

// add shows a new item in the thread of an address.
func (w *Wall) add(address string, it Item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.insert(w.thread(address), it)
}

func (w *Wall) insert(t *Thread, it Item) {
	it.At = w.now()
	for _, l := range linkPattern.FindAllString(it.Text, maxLinks) {
		if l = strings.TrimRight(l, ".,;:!?)"); !slices.Contains(it.Links, l) {
			it.Links = append(it.Links, l)
		}
	}
	if len(t.Items) >= maxItems {
		n := len(t.Items) - maxItems + 1
		for _, old := range t.Items[:n] {
			delete(w.where, old.ID)
		}
		t.Items = slices.Delete(t.Items, 0, n)
	}
	t.Items = append(t.Items, it)
	t.Last = it.At
	w.where[it.ID] = t.ID
	w.changed(t)
}

// change edits an item; one that has scrolled away is left alone.
func (w *Wall) change(id string, edit func(*Item)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.threads[w.where[id]]
	if t == nil {
		return
	}
	i := slices.IndexFunc(t.Items, func(it Item) bool { return it.ID == id })
	if i < 0 {
		return
	}
	edit(&t.Items[i])
	w.changed(t)
}

func (w *Wall) status(id, s string) { w.change(id, func(it *Item) { it.Status = s }) }

// say adds a line to a call.
func (w *Wall) say(id, who, text string) {
	at := w.now()
	w.change(id, func(it *Item) {
		if len(it.Said) < maxLines {
			it.Said = append(it.Said, Line{At: at, Who: who, Say: text})
		}
	})
}

// changed marks a thread for writing and shows it to everybody who watches.
func (w *Wall) changed(t *Thread) {
	w.dirty[t.ID] = true
	select {
	case w.wake <- struct{}{}:
	default:
	}
	if len(w.subs) > 0 {
		w.publish("thread", t)
	}
}

// person returns the phone number of a thread.
func (w *Wall) person(id string) (phone string, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.threads[id]
	if t == nil {
		return "", false
	}
	return t.Phone, true
}

// Items returns a copy of what one phone or mailbox has, oldest first, however many there are.
func (w *Wall) Items(address string) []Item {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.threads[w.owner[address]]
	if t == nil {
		return nil
	}
	items := slices.Clone(t.Items)
	for i := range items {
		items[i].Said = slices.Clone(items[i].Said)
	}
	return items
}

// Threads returns a copy of the threads, the newest word first.
func (w *Wall) Threads() []Thread {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]Thread, 0, len(w.threads))
	for _, t := range w.threads {
		c := *t
		c.Items = slices.Clone(t.Items)
		for i := range c.Items {
			c.Items[i].Said = slices.Clone(c.Items[i].Said)
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Thread) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return out[:min(len(out), maxShown)]
}

// write saves changed threads until Close: whatever changed during one commit goes into the next.
func (w *Wall) write() {
	for {
		var last bool
		select {
		case <-w.quit:
			last = true
		case <-w.wake:
		}
		if err := w.flush(); err != nil {
			w.log.Error("sandbox wall not saved", "error", err)
		}
		if last {
			return
		}
	}
}

func (w *Wall) flush() error {
	w.mu.Lock()
	batch := make(map[string][]byte, len(w.dirty))
	var errs []error
	for id := range w.dirty {
		t := w.threads[id]
		if t == nil {
			batch[id] = nil
			continue
		}
		v, err := json.Marshal(t)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		batch[id] = v
	}
	clear(w.dirty)
	w.mu.Unlock()
	if w.db == nil || len(batch) == 0 {
		return errors.Join(errs...)
	}
	err := w.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(threadsBucket)
		for id, v := range batch {
			if v == nil {
				if err := b.Delete([]byte(id)); err != nil {
					return err
				}
				continue
			}
			if err := b.Put([]byte(id), v); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}
