package match

import "relais/engine"

// cursor walks a bucket.
type cursor struct {
	at     *row // where it stands
	rows   []row
	blocks [][]row
}

// step moves to the next row that may fit, and reports false at the end.
func (c *cursor) step(a *ask) bool {
	for {
		for i := range c.rows {
			if w := &c.rows[i]; !w.misses(a) {
				c.at, c.rows = w, c.rows[i+1:]
				return true
			}
		}
		if len(c.blocks) == 0 {
			return false
		}
		c.rows, c.blocks = c.blocks[0], c.blocks[1:]
	}
}

// merge is a heap of cursors: the first stands on the row that ranks first.
type merge []cursor

func (m *merge) add(b *bucket, a *ask) {
	c := cursor{blocks: b.blocks}
	if c.step(a) {
		*m = append(*m, c)
	}
}

func (m merge) sort() {
	for i := len(m)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
}

// next moves the first cursor on.
func (m *merge) next(a *ask) {
	h := *m
	if !h[0].step(a) {
		last := len(h) - 1
		h[0] = h[last]
		h[last] = cursor{}
		*m = h[:last]
	}
	m.down(0)
}

func (m merge) down(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(m); c++ {
			if m[c].at.compare(m[least].at) < 0 {
				least = c
			}
		}
		if least == i {
			return
		}
		m[i], m[least] = m[least], m[i]
		i = least
	}
}

// waiting is an accepted candidate. It is held until nothing can rank before it any more, since
// Accept may have said that its patient had more offers than the index knew.
type waiting struct {
	engine.Candidate
	since int64
}

func (w *waiting) compare(v *waiting) int {
	return order(clamp16(w.Class), clamp16(v.Class), clamp16(w.Lost), clamp16(v.Lost), w.since, v.since, w.Entry, v.Entry)
}

func (w *waiting) before(r *record) bool {
	return order(clamp16(w.Class), r.class, clamp16(w.Lost), r.lost, w.since, r.since(int(r.offered)), w.Entry, r.id()) < 0
}

// held is a heap of waiting candidates.
type held []waiting

func (h *held) push(w waiting) {
	*h = append(*h, w)
	s := *h
	for i := len(s) - 1; i > 0; {
		up := (i - 1) / 2
		if s[i].compare(&s[up]) >= 0 {
			return
		}
		s[i], s[up] = s[up], s[i]
		i = up
	}
}

func (h *held) pop() waiting {
	s := *h
	first := s[0]
	last := len(s) - 1
	s[0] = s[last]
	s = s[:last]
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(s); c++ {
			if s[c].compare(&s[least]) < 0 {
				least = c
			}
		}
		if least == i {
			break
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
	*h = s
	return first
}
