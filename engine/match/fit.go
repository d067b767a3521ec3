package match

import (
	"math"
	"slices"
	"time"

	"relais/engine"
)

// ask is a query with what every row is compared with worked out once.
type ask struct {
	q           *Query
	day         uint8 // the slot's weekday as a bit
	from, until int   // the slot in minutes from the midnight before its start, on the clinic's wall
	lead        int64 // seconds from now to the start
	start       int64 // Unix seconds
	placed      bool  // it is known where the slot is
	lat, lon    float64
	cos         float64
}

func newAsk(q *Query) ask {
	zone := q.Zone
	if zone == nil {
		zone = time.UTC
	}
	start, end := q.Slot.Start.In(zone), q.Slot.End.In(zone)
	a := ask{
		q: q, day: 1 << start.Weekday(), from: start.Hour()*60 + start.Minute(),
		lead: int64(q.Slot.Start.Sub(q.Now) / time.Second), start: q.Slot.Start.Unix(),
		placed: q.Place != engine.Point{}, lat: q.Place.Lat, lon: q.Place.Lon, cos: math.Cos(q.Place.Lat * math.Pi / 180),
	}
	a.until = end.Hour()*60 + end.Minute()
	if end.Second() > 0 || end.Nanosecond() > 0 {
		a.until++
	}
	if y, d := start.Year(), start.YearDay(); y != end.Year() || d != end.YearDay() {
		a.until += 24 * 60 // no window reaches further than midnight, so one day more says enough
	}
	return a
}

// obstacle applies every rule to an entry. It is the only place where they are written down; the
// buckets and the rows only save looking.
func (a *ask) obstacle(e *engine.Entry) Obstacle {
	s := &a.q.Slot
	switch {
	case e.Status != engine.Waiting || e.Clinic != s.Clinic:
		return NotWaiting
	case e.Specialty != s.Specialty:
		return Specialty
	case len(e.Practitioners) > 0 && !slices.Contains(e.Practitioners, s.Practitioner):
		return Practitioner
	case len(e.Places) > 0 && !slices.Contains(e.Places, s.Place):
		return Place
	case a.placed && local(e) && !(Kilometres(*e.Home, a.q.Place) <= e.RadiusKm): // not a number is far
		return Distance
	case !a.available(e.Windows):
		return Availability
	case !e.NotBefore.IsZero() && s.Start.Before(e.NotBefore), !e.NotAfter.IsZero() && s.End.After(e.NotAfter):
		return Dates
	case s.Start.Sub(a.q.Now) < max(0, e.Notice):
		return Notice
	case e.Current != nil && !e.Current.Start.After(s.Start):
		return Current
	}
	return ""
}

// local reports whether distance counts for the entry: it names no places, and says from where
// and how far. A home without a radius is anywhere.
func local(e *engine.Entry) bool {
	return len(e.Places) == 0 && e.Home != nil && e.RadiusKm > 0
}

// available reports whether the whole slot lies inside one of the windows.
func (a *ask) available(windows []engine.Window) bool {
	for _, w := range windows {
		if w.Days&a.day != 0 && w.From <= a.from && a.until <= w.Until {
			return true
		}
	}
	return len(windows) == 0
}

const (
	earthKm  = 6371.0088 // mean radius
	degreeKm = earthKm * math.Pi / 180
)

// Kilometres is the distance between two points along the ground, on a sphere of the earth's
// mean radius; the error against the ellipsoid is below 0.6 %.
func Kilometres(a, b engine.Point) float64 {
	const rad = math.Pi / 180
	sinLat := math.Sin((a.Lat - b.Lat) / 2 * rad)
	sinLon := math.Sin((a.Lon - b.Lon) / 2 * rad)
	h := sinLat*sinLat + math.Cos(a.Lat*rad)*math.Cos(b.Lat*rad)*sinLon*sinLon
	return 2 * earthKm * math.Asin(math.Min(1, math.Sqrt(h)))
}

// row is an entry in a bucket: its rank, and enough of its rules, rounded in favour of fitting,
// to pass over most entries that do not fit without touching them.
type row struct {
	rec         *record
	since       int64 // microseconds: when it joined, later for every offer; see OfferCost
	current     int64 // Unix seconds of the present appointment; the far future without one
	class, lost int32
	lat, lon    float32
	reach       float32 // km; infinite when distance does not count
	notice      uint32  // seconds
	from, until uint16  // the earliest and the latest minute of any window
	days        uint8   // every day of any window
}

func since(e *engine.Entry, offered int) int64 {
	return e.Joined.UnixMicro() + int64(offered)*OfferCost.Microseconds()
}

func newRow(r *record) row {
	e := &r.entry
	w := row{
		rec: r, since: since(e, r.offered), class: clamp32(e.Class), lost: clamp32(e.Lost),
		current: math.MaxInt64, reach: float32(math.Inf(1)), days: 0x7f, until: math.MaxUint16,
		notice: uint32(min(math.MaxUint32, max(0, e.Notice/time.Second))),
	}
	if e.Current != nil {
		w.current = e.Current.Start.Unix()
	}
	if local(e) {
		w.lat, w.lon, w.reach = float32(e.Home.Lat), float32(e.Home.Lon), float32(e.RadiusKm)
	}
	if len(e.Windows) > 0 {
		w.days, w.from, w.until = 0, math.MaxUint16, 0
		for _, v := range e.Windows {
			w.days |= v.Days
			w.from = min(w.from, minute(v.From))
			w.until = max(w.until, minute(v.Until))
		}
	}
	return w
}

func clamp32(n int) int32 { return int32(min(math.MaxInt32, max(math.MinInt32, n))) }

func minute(n int) uint16 { return uint16(min(math.MaxUint16, max(0, n))) }

// misses reports that the row certainly does not fit.
func (w *row) misses(a *ask) bool {
	if w.days&a.day == 0 || int(w.from) > a.from || a.until > int(w.until) ||
		int64(w.notice) > a.lead || w.current < a.start {
		return true
	}
	if !a.placed || math.IsInf(float64(w.reach), 1) {
		return false
	}
	// On the flat map of the slot's latitude a near distance errs by far less than the margin;
	// wide ones are left to the exact rule.
	dy := (float64(w.lat) - a.lat) * degreeKm
	if math.Abs(dy) > float64(w.reach)*1.01+.1 {
		return true
	}
	if w.reach > flatKm || math.Abs(a.lat) > flatLat {
		return false
	}
	dx := (float64(w.lon) - a.lon) * degreeKm * a.cos
	if math.Abs(dx) > 180*degreeKm*a.cos {
		return false // across the date line
	}
	far := float64(w.reach)*1.03 + .1
	return dx*dx+dy*dy > far*far
}

const (
	flatKm  = 50 // up to this radius and latitude a flat map is within 3 %
	flatLat = 66
)

// compare orders rows by rank.
func (w *row) compare(v *row) int {
	return order(w.class, v.class, w.lost, v.lost, w.since, v.since, w.rec.entry.ID, v.rec.entry.ID)
}

func order(class, class2, lost, lost2 int32, since, since2 int64, id, id2 engine.EntryID) int {
	switch {
	case class != class2:
		return sign(class < class2)
	case lost != lost2:
		return sign(lost > lost2)
	case since != since2:
		return sign(since < since2)
	case id != id2:
		return sign(id < id2)
	}
	return 0
}

func sign(first bool) int {
	if first {
		return -1
	}
	return 1
}
