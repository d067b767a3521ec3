package match

import (
	"hash/maphash"
	"math"
	"time"

	"relais/engine"
)

// record is a waiting entry with what the rules need, and no more: a million of them are kept. It
// holds positions to 1 cm, notice to the second, and classes and claims lost within 16 bits.
type record struct {
	ids     string              // the entry's, then the patient's
	group   *group              // clinic and specialty
	more    *more               // nil for most
	current *engine.Appointment // as it was put
	joined  int64               // Unix microseconds
	lat     int32               // of the home, in 1e-7 degrees; nowhere when it is not on earth
	lon     int32
	radius  float32 // km; 0 when distance does not count
	notice  uint32  // seconds, rounded up
	hours   hours   // the only window, when there is one
	offered uint16
	class   int16
	lost    int16
	split   uint16 // where ids are
}

// more is what few entries say.
type more struct {
	practitioners       []engine.PractitionerID
	places              []engine.PlaceID
	windows             []engine.Window // when they do not fit into hours
	notBefore, notAfter time.Time
}

// Scale of positions, and a latitude that is far from everywhere.
const (
	perDegree = 1e7
	nowhere   = math.MinInt32
)

func newRecord(e *engine.Entry, offered int, g *group) record {
	r := record{
		ids: string(e.ID) + string(e.Patient), split: uint16(len(e.ID) & math.MaxUint16), group: g, current: e.Current,
		joined: e.Joined.UnixMicro(), class: clamp16(e.Class), lost: clamp16(e.Lost),
		offered: uint16(min(math.MaxUint16, max(0, offered))),
		notice:  uint32(min(math.MaxUint32, (max(0, e.Notice)+time.Second-1)/time.Second)),
	}
	if len(e.Places) == 0 && e.Home != nil && e.RadiusKm > 0 {
		r.radius = float32(e.RadiusKm)
		r.lat, r.lon = nowhere, nowhere
		if math.Abs(e.Home.Lat) <= 90 && math.Abs(e.Home.Lon) <= 180 {
			r.lat, r.lon = int32(math.Round(e.Home.Lat*perDegree)), int32(math.Round(e.Home.Lon*perDegree))
		}
	}
	m := more{practitioners: e.Practitioners, places: e.Places, notBefore: e.NotBefore, notAfter: e.NotAfter}
	if len(e.Windows) == 1 {
		r.hours = packHours(e.Windows[0])
	}
	if len(e.Windows) > 0 && r.hours == anyHours {
		m.windows = e.Windows
	}
	if len(m.practitioners)+len(m.places)+len(m.windows) > 0 || !m.notBefore.IsZero() || !m.notAfter.IsZero() {
		r.more = &m
	}
	return r
}

func (r *record) id() engine.EntryID { return engine.EntryID(r.ids[:r.split]) }

func (r *record) patient() engine.PatientID { return engine.PatientID(r.ids[r.split:]) }

// local reports whether distance counts: the entry names no places, and says from where and how
// far. A home without a radius is anywhere.
func (r *record) local() bool { return r.radius > 0 }

// home is the position of a local entry.
func (r *record) home() engine.Point {
	if r.lat == nowhere {
		return engine.Point{Lat: math.NaN(), Lon: math.NaN()}
	}
	return engine.Point{Lat: float64(r.lat) / perDegree, Lon: float64(r.lon) / perDegree}
}

// since is when it joined, later for every offer; see OfferCost.
func (r *record) since(offered int) int64 {
	return r.joined + int64(offered)*OfferCost.Microseconds()
}

func (r *record) places() []engine.PlaceID {
	if r.more == nil {
		return nil
	}
	return r.more.places
}

// hours is a window in 32 bits: 7 of days, 11 and 11 of minutes. anyHours is any time.
type hours uint32

const (
	anyHours   hours = 0
	lastMinute       = 1<<11 - 1
)

// packHours returns a window, or anyHours when it cannot be told from that or does not fit.
func packHours(w engine.Window) hours {
	if w.From < 0 || w.From > lastMinute || w.Until < 0 || w.Until >= lastMinute {
		return anyHours
	}
	return hours(w.Days&0x7f)<<22 | hours(w.From)<<11 | hours(w.Until)
}

// bounds returns hours that hold all windows, rounded in favour of fitting.
func bounds(windows []engine.Window) hours {
	var days uint8
	from, until := lastMinute, 0
	for _, w := range windows {
		days |= w.Days & 0x7f
		from, until = min(from, w.From), max(until, w.Until)
	}
	if until >= lastMinute {
		return anyHours
	}
	return hours(days)<<22 | hours(max(0, from))<<11 | hours(max(0, until))
}

// holds reports whether the slot lies inside.
func (h hours) holds(a *ask) bool {
	return h == anyHours || hours(a.day)<<22&h != 0 && int(h>>11&lastMinute) <= a.from && a.until <= int(h&lastMinute)
}

func clamp16(n int) int16 { return int16(min(math.MaxInt16, max(math.MinInt16, n))) }

// table finds records by the entry's ID: linear probing over their numbers, at most three quarters
// full. Records lie in large blocks; those that were taken out are used again.
type table struct {
	seed   maphash.Seed
	cells  []uint32 // number of a record, and 0 where there is none
	used   int
	blocks [][]record
	next   uint32   // number of the first record never used
	free   []uint32 // numbers to use again
}

const perBlock = 1024

func newTable() table {
	return table{seed: maphash.MakeSeed(), cells: make([]uint32, 16), next: 1}
}

func (t *table) at(n uint32) *record { return &t.blocks[n/perBlock][n%perBlock] }

func (t *table) start(id engine.EntryID) int {
	return int(maphash.String(t.seed, string(id)) & uint64(len(t.cells)-1)) //nolint:gosec // below the length
}

// find returns the cell of id, or the one where it belongs.
func (t *table) find(id engine.EntryID) int {
	i := t.start(id)
	for t.cells[i] != 0 && t.at(t.cells[i]).id() != id {
		i = (i + 1) & (len(t.cells) - 1)
	}
	return i
}

// get returns the record of an entry, or nil.
func (t *table) get(id engine.EntryID) *record {
	if n := t.cells[t.find(id)]; n != 0 {
		return t.at(n)
	}
	return nil
}

// add keeps a record whose ID is not there, and returns where.
func (t *table) add(r record) *record {
	n := t.next
	if last := len(t.free) - 1; last >= 0 {
		n, t.free = t.free[last], t.free[:last]
	} else {
		t.next++
		if int(n/perBlock) == len(t.blocks) {
			t.blocks = append(t.blocks, make([]record, perBlock))
		}
	}
	*t.at(n) = r
	if t.used++; t.used*4 > len(t.cells)*3 {
		old := t.cells
		t.cells = make([]uint32, 2*len(old))
		for _, n := range old {
			if n != 0 {
				t.cells[t.find(t.at(n).id())] = n
			}
		}
	}
	t.cells[t.find(r.id())] = n
	return t.at(n)
}

// drop forgets a record that is there, and moves those back that had to go past it.
func (t *table) drop(id engine.EntryID) {
	gap := t.find(id)
	n := t.cells[gap]
	t.cells[gap] = 0
	t.used--
	mask := len(t.cells) - 1
	for i := (gap + 1) & mask; t.cells[i] != 0; i = (i + 1) & mask {
		if home := t.start(t.at(t.cells[i]).id()); (i-home)&mask >= (i-gap)&mask {
			t.cells[gap], t.cells[i] = t.cells[i], 0
			gap = i
		}
	}
	*t.at(n) = record{}
	t.free = append(t.free, n)
}
