package sandbox

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// DMEConfig is what a record system needs.
type DMEConfig struct {
	Log    *slog.Logger     // nil: slog.Default
	Now    func() time.Time // nil: time.Now
	Client *http.Client     // posts the rest-hooks; nil: one with a short timeout
}

// DME is the record systems of several clinics in one FHIR R4 server, each under
// /dme/{clinic}/fhir. It keeps everything in a file of its own, and every write is on disk before
// it is answered: it plays the outside world, which does not forget when Relais is killed.
// All methods are safe for concurrent use.
type DME struct {
	db  *bbolt.DB
	cfg DMEConfig

	mu      sync.RWMutex
	clinics map[string]*clinic
	trickle bool
	watch   []func(Record)

	hooks  *hooks
	dirty  chan struct{} // wakes the goroutine that tells the watchers
	stop   chan struct{}
	done   sync.WaitGroup
	closed sync.Once
}

// clinic is one record system. Documents are never changed once they are in docs.
type clinic struct {
	mu      sync.RWMutex
	id      string
	name    string
	token   string
	fault   string
	changed time.Time // of the newest write; never goes back
	docs    map[string]map[string]*doc
	seed    Seed
	dirty   bool
	manner  Manner
	before  map[string]*doc // what the last writes replaced, for reads from a copy
	stale   int             // so many reads come from it yet
	tokens  tokens
}

// settings is what is kept of a clinic beside its documents.
type settings struct {
	Name  string `json:"name"`
	Fault string `json:"fault,omitempty"`
}

var settingsKey = []byte("settings")

// OpenDME opens the file at path, or makes it, and reads everything that it holds.
func OpenDME(path string, cfg DMEConfig) (*DME, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{Timeout: 5 * time.Second}
	}
	d := &DME{cfg: cfg, clinics: map[string]*clinic{}, dirty: make(chan struct{}, 1), stop: make(chan struct{})}
	db, err := openFile(path, d.load)
	if err != nil {
		return nil, err
	}
	d.db = db
	d.hooks = newHooks(d)
	d.done.Go(d.tellWatchers)
	return d, nil
}

// Close stops the deliveries and closes the file.
func (d *DME) Close() error {
	var err error
	d.closed.Do(func() {
		close(d.stop)
		d.hooks.close()
		d.done.Wait()
		err = d.db.Close()
	})
	return err
}

func (d *DME) load(tx *bbolt.Tx) error {
	return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
		c := newClinic(string(name))
		err := b.ForEach(func(k, v []byte) error {
			if string(k) == string(settingsKey) {
				var s settings
				if err := json.Unmarshal(v, &s); err != nil {
					return fmt.Errorf("settings of clinic %s: %w", name, err)
				}
				c.name, c.fault = s.Name, s.Fault
				return nil
			}
			doc, err := unpack(v)
			if err != nil {
				return fmt.Errorf("a document of clinic %s: %w", name, err)
			}
			c.install(doc)
			return nil
		})
		d.clinics[c.id] = c
		return err
	})
}

func newClinic(id string) *clinic {
	return &clinic{
		id: id, docs: map[string]map[string]*doc{},
		tokens: tokens{live: map[string]time.Time{}, used: map[string]time.Time{}},
	}
}

func (c *clinic) install(x *doc) {
	if c.docs[x.Type] == nil {
		c.docs[x.Type] = map[string]*doc{}
	}
	c.docs[x.Type][x.ID] = x
	if x.Updated.After(c.changed) {
		c.changed = x.Updated
	}
}

func (d *DME) clinic(id string) (*clinic, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	c, ok := d.clinics[id]
	return c, ok
}

func (d *DME) all() []*clinic {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.SortedFunc(maps.Values(d.clinics), func(a, b *clinic) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
}

// write runs f on a clinic and makes its changes durable, all or none of them.
func (d *DME) write(c *clinic, f func(*change) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := d.cfg.Now().UTC().Truncate(time.Millisecond)
	if now.Before(c.changed) {
		now = c.changed
	}
	ch := &change{c: c, now: now, docs: map[string]*doc{}}
	if err := f(ch); err != nil {
		return err
	}
	if err := ch.check(); err != nil {
		return err
	}
	if len(ch.order) == 0 {
		return nil
	}
	err := d.db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte(c.id))
		if err != nil {
			return err
		}
		for _, key := range ch.order {
			packed, err := ch.docs[key].pack()
			if err != nil {
				return err
			}
			if err := b.Put([]byte(key), packed); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sandbox: write the record system: %w", err)
	}
	c.outdate(ch.order, ch.docs)
	written := make([]*doc, 0, len(ch.order))
	for _, key := range ch.order {
		c.install(ch.docs[key])
		written = append(written, ch.docs[key])
	}
	d.announce(c)
	d.hooks.changed(c, written)
	return nil
}

// keepSettings writes a clinic's name and fault. The caller holds c.mu.
func (d *DME) keepSettings(c *clinic) error {
	data, err := json.Marshal(settings{Name: c.name, Fault: c.fault})
	if err != nil {
		return err
	}
	err = d.db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte(c.id))
		if err != nil {
			return err
		}
		return b.Put(settingsKey, data)
	})
	if err != nil {
		return fmt.Errorf("sandbox: write the record system: %w", err)
	}
	d.announce(c)
	return nil
}

// OnChange has f called with a clinic's whole record after it changed. Changes that come close
// together are told once. Calls come one at a time from one goroutine; f must not block for long.
func (d *DME) OnChange(f func(Record)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watch = append(d.watch, f)
}

// announce marks a clinic as changed. The caller holds c.mu.
func (d *DME) announce(c *clinic) {
	c.dirty = true
	select {
	case d.dirty <- struct{}{}:
	default:
	}
}

// tellPause joins a burst of writes into one telling.
const tellPause = 50 * time.Millisecond

func (d *DME) tellWatchers() {
	for {
		select {
		case <-d.stop:
			return
		case <-d.dirty:
		}
		for _, c := range d.all() {
			c.mu.Lock()
			was := c.dirty
			c.dirty = false
			c.mu.Unlock()
			if !was {
				continue
			}
			d.mu.RLock()
			watch := slices.Clone(d.watch)
			d.mu.RUnlock()
			if len(watch) == 0 {
				continue
			}
			r := d.record(c)
			for _, f := range watch {
				f(r)
			}
		}
		select {
		case <-d.stop:
			return
		case <-time.After(tellPause):
		}
	}
}
