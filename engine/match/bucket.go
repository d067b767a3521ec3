package match

import (
	"math"
	"slices"
	"sort"

	"relais/engine"
)

// groupKey: only entries of the slot's clinic and specialty can fit.
type groupKey struct {
	clinic    engine.ClinicID
	specialty engine.Specialty
}

// radii are the upper bounds, in km, of the classes of distance. A map cell of a class is about
// as large as its bound, so a slot has a handful of cells to look at in each.
var radii = [...]float64{5, 10, 20, 40, 80, 160}

// cell is a square of a class's map.
type cell struct{ y, x int32 }

// group holds the buckets of one clinic and specialty.
type group struct {
	key      groupKey
	size     int
	anywhere bucket                     // distance does not count, or is beyond the last class
	places   map[engine.PlaceID]*bucket // entries that name places, once for each
	near     [len(radii)]map[cell]*bucket
}

// class returns the distance class of a radius, or -1 when it is beyond the last.
func class(radius float64) int {
	for i, r := range radii {
		if radius <= r {
			return i
		}
	}
	return -1
}

// side returns a class's cell size in degrees. Longitudes are twice as wide since at Quebec's
// latitudes a degree of longitude is about half to two thirds of one of latitude.
func side(class int) (lat, lon float64) {
	d := radii[class] / degreeKm
	return d, 2 * d
}

func cellOf(class int, p engine.Point) cell {
	lat, lon := side(class)
	return cell{int32(math.Floor(p.Lat / lat)), int32(math.Floor(p.Lon / lon))}
}

// homes returns the buckets that an entry belongs into, made when they are missing and create
// says so.
func (g *group) homes(r *record, create bool) []*bucket {
	if places := r.places(); len(places) > 0 {
		all := make([]*bucket, 0, len(places))
		for i, p := range places {
			if slices.Contains(places[:i], p) {
				continue
			}
			b := g.places[p]
			if b == nil && create {
				if g.places == nil {
					g.places = map[engine.PlaceID]*bucket{}
				}
				b = &bucket{}
				g.places[p] = b
			}
			all = append(all, b)
		}
		return all
	}
	i, at := r.cell()
	if i < 0 {
		return []*bucket{&g.anywhere}
	}
	b := g.near[i][at]
	if b == nil && create {
		if g.near[i] == nil {
			g.near[i] = map[cell]*bucket{}
		}
		b = &bucket{}
		g.near[i][at] = b
	}
	return []*bucket{b}
}

// cell returns the class and the cell of a home; the class is -1 where distance does not count or
// is beyond the last.
func (r *record) cell() (int, cell) {
	if !r.local() {
		return -1, cell{}
	}
	i := class(float64(r.radius))
	if i < 0 || r.lat == nowhere {
		return -1, cell{}
	}
	return i, cellOf(i, r.home())
}

// prune forgets the buckets of an entry that have become empty.
func (g *group) prune(r *record) {
	for _, p := range r.places() {
		if b := g.places[p]; b != nil && len(b.blocks) == 0 {
			delete(g.places, p)
		}
	}
	if i, at := r.cell(); i >= 0 {
		if b := g.near[i][at]; b != nil && len(b.blocks) == 0 {
			delete(g.near[i], at)
		}
	}
}

// open starts a merge over every bucket that can hold an entry for the slot.
func (g *group) open(a *ask) merge {
	m := make(merge, 0, 64)
	m.add(&g.anywhere, a)
	if b := g.places[a.q.Slot.Place]; b != nil {
		m.add(b, a)
	}
	for i, cells := range g.near {
		if len(cells) == 0 {
			continue
		}
		low, high, ok := a.box(i)
		if n := (int64(high.y) - int64(low.y) + 1) * (int64(high.x) - int64(low.x) + 1); !ok || n > int64(len(cells)) {
			for at, b := range cells {
				if !ok || (at.y >= low.y && at.y <= high.y && at.x >= low.x && at.x <= high.x) {
					m.add(b, a)
				}
			}
			continue
		}
		for y := low.y; y <= high.y; y++ {
			for x := low.x; x <= high.x; x++ {
				if b := cells[cell{y, x}]; b != nil {
					m.add(b, a)
				}
			}
		}
	}
	m.sort()
	return m
}

// box returns the corners of the cells of a class within its radius of the slot. ok is false where
// a box on the map says nothing: at the poles, across the date line, for an unknown position.
func (a *ask) box(class int) (low, high cell, ok bool) {
	p := a.q.Place
	r := radii[class] * 1.001 / degreeKm
	top := math.Abs(p.Lat) + r
	if !a.placed || math.IsNaN(top) || top >= 85 {
		return cell{}, cell{}, false
	}
	wide := r / math.Cos(top*math.Pi/180)
	if math.IsNaN(p.Lon) || math.Abs(p.Lon)+wide >= 180 {
		return cell{}, cell{}, false
	}
	return cellOf(class, engine.Point{Lat: p.Lat - r, Lon: p.Lon - wide}),
		cellOf(class, engine.Point{Lat: p.Lat + r, Lon: p.Lon + wide}), true
}

// blockSize is the most rows in a block: inserting moves at most this many, and the list of
// blocks stays short.
const blockSize = 128

// bucket is a sorted list of rows, in blocks that are never empty.
type bucket struct{ blocks [][]row }

// find returns where w is or belongs.
func (b *bucket) find(w *row) (block, at int) {
	block = sort.Search(len(b.blocks), func(i int) bool {
		rows := b.blocks[i]
		return rows[len(rows)-1].compare(w) >= 0
	})
	if block == len(b.blocks) {
		return block, 0
	}
	rows := b.blocks[block]
	return block, sort.Search(len(rows), func(i int) bool { return rows[i].compare(w) >= 0 })
}

func (b *bucket) insert(w row) {
	i, at := b.find(&w)
	if i == len(b.blocks) {
		if i == 0 {
			b.blocks = [][]row{{w}}
			return
		}
		i--
		at = len(b.blocks[i])
	}
	rows := b.blocks[i]
	if len(rows) < blockSize {
		b.blocks[i] = slices.Insert(grow(rows), at, w)
		return
	}
	// A list that grows at its end is left full behind it.
	cut := blockSize / 2
	if i == len(b.blocks)-1 && at == blockSize {
		b.blocks = append(b.blocks, []row{w})
		return
	}
	right := rows[cut:]
	b.blocks[i] = slices.Clone(rows[:cut])
	b.blocks = slices.Insert(b.blocks, i+1, slices.Clone(right))
	if at > cut {
		i, at = i+1, at-cut
	}
	b.blocks[i] = slices.Insert(grow(b.blocks[i]), at, w)
}

// grow makes room for one more row and few besides: half of a million lists would be empty if they
// doubled.
func grow(rows []row) []row {
	if len(rows) < cap(rows) {
		return rows
	}
	return append(make([]row, 0, min(blockSize, len(rows)+len(rows)/8+1)), rows...)
}

func (b *bucket) remove(w row) {
	i, at := b.find(&w)
	rows := slices.Delete(b.blocks[i], at, at+1)
	b.blocks[i] = rows
	switch {
	case len(rows) == 0:
		b.blocks = slices.Delete(b.blocks, i, i+1)
	case i+1 < len(b.blocks) && len(rows)+len(b.blocks[i+1]) <= blockSize/2:
		// Joining thin neighbours keeps a list that shrank from being slow for ever.
		b.blocks[i] = append(rows, b.blocks[i+1]...)
		b.blocks = slices.Delete(b.blocks, i+1, i+2)
	case cap(rows) >= 2*len(rows)+8:
		b.blocks[i] = slices.Clone(rows)
	}
}
