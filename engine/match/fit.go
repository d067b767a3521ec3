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
	startDay    int64 // Unix days
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
		lead: int64(q.Slot.Start.Sub(q.Now) / time.Second), startDay: q.Slot.Start.Unix() / 86400,
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
func (a *ask) obstacle(r *record) Obstacle {
	s := &a.q.Slot
	m := r.more
	if m == nil {
		m = &nothingMore
	}
	km := 0.0
	if a.placed && r.local() {
		km = Kilometres(r.home(), a.q.Place)
	}
	switch {
	case r.group.key.clinic != s.Clinic:
		return NotWaiting
	case r.group.key.specialty != s.Specialty:
		return Specialty
	case len(m.practitioners) > 0 && !slices.Contains(m.practitioners, s.Practitioner):
		return Practitioner
	case len(m.places) > 0 && !slices.Contains(m.places, s.Place):
		return Place
	case a.placed && r.local() && !(km <= float64(r.radius)): // not a number is far
		return Distance
	case !r.hours.holds(a), !a.available(m.windows):
		return Availability
	case !m.notBefore.IsZero() && s.Start.Before(m.notBefore), !m.notAfter.IsZero() && s.End.After(m.notAfter):
		return Dates
	case a.lead < 0, a.lead < int64(r.notice)+int64(Travel(km)/time.Second):
		return Notice
	case r.current != nil && !r.current.Start.After(s.Start):
		return Current
	}
	return ""
}

var nothingMore more

// Serves says why a practitioner does not see a patient; "" means that they do. Where ages are
// limited, somebody whose date of birth is not known is not asked.
func Serves(by *engine.Practitioner, p *engine.Patient, at time.Time) Obstacle {
	if len(by.Langs) > 0 && !slices.Contains(by.Langs, p.Lang) {
		return Language
	}
	if by.Ages == nil {
		return ""
	}
	years := Years(p.Born, at)
	if p.Born.IsZero() || years < by.Ages.From || years > by.Ages.Until {
		return Age
	}
	return ""
}

// Years is the age in whole years of somebody who was born on a day, on the day of at.
func Years(born, at time.Time) int {
	years := at.Year() - born.Year()
	if at.Month() < born.Month() || (at.Month() == born.Month() && at.Day() < born.Day()) {
		years--
	}
	return years
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

// Travel is how long somebody needs for a distance as the crow flies: roads are 1.3 times as long
// (Ballou et al., Transportation Research A 36, 2002, give 1.2 to 1.4), at 50 km/h door to door.
func Travel(km float64) time.Duration {
	return time.Duration(km * 1.3 / 50 * float64(time.Hour))
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
// to pass over most entries that do not fit without touching them. It is half a cache line.
type row struct {
	rec         *record
	since       uint32 // minutes of Unix time, rounded down: the rank, but for ties
	lat, lon    float32
	hours       hours  // all windows lie inside
	reach       uint16 // hectometres, rounded up; farAway when distance does not count or is longer
	current     uint16 // day of the present appointment, rounded up; noDay without one
	class, lost int8   // clamped
	notice      uint8  // hours, rounded down
}

const (
	farAway = math.MaxUint16
	noDay   = math.MaxUint16
)

func newRow(r *record) row {
	w := row{
		rec: r, since: uint32(min(math.MaxUint32, max(0, r.since(int(r.offered))/60e6))), hours: r.hours,
		class: clamp8(r.class), lost: clamp8(r.lost), reach: farAway, current: noDay,
		notice: uint8(min(math.MaxUint8, r.notice/3600)),
	}
	if r.current != nil {
		w.current = uint16(min(noDay, max(0, r.current.Start.Unix()/86400+1)))
	}
	if r.local() && r.lat != nowhere {
		p := r.home()
		w.lat, w.lon = float32(p.Lat), float32(p.Lon)
		w.reach = uint16(min(farAway, math.Ceil(float64(r.radius)*10)))
	}
	if r.more != nil && len(r.more.windows) > 0 {
		w.hours = bounds(r.more.windows)
	}
	return w
}

func clamp8(n int16) int8 { return int8(min(math.MaxInt8, max(math.MinInt8, n))) }

// misses reports that the row certainly does not fit.
func (w *row) misses(a *ask) bool {
	if !w.hours.holds(a) || int64(w.notice)*3600 > a.lead || int64(w.current) < a.startDay {
		return true
	}
	if !a.placed || w.reach == farAway {
		return false
	}
	reach := float64(w.reach) / 10
	// On the flat map of the slot's latitude a near distance errs by far less than the margin;
	// wide ones are left to the exact rule.
	dy := (float64(w.lat) - a.lat) * degreeKm
	if math.Abs(dy) > reach*1.01+.1 {
		return true
	}
	if reach > flatKm || math.Abs(a.lat) > flatLat {
		return false
	}
	dx := (float64(w.lon) - a.lon) * degreeKm * a.cos
	if math.Abs(dx) > 180*degreeKm*a.cos {
		return false // across the date line
	}
	far := reach*1.03 + .1
	return dx*dx+dy*dy > far*far
}

const (
	flatKm  = 50 // up to this radius and latitude a flat map is within 3 %
	flatLat = 66
)

// compare orders rows by rank. What the rows leave open, the records decide.
func (w *row) compare(v *row) int {
	switch {
	case w.class != v.class:
		return sign(w.class < v.class)
	case w.lost != v.lost && plain(w.class):
		return sign(w.lost > v.lost)
	case w.since != v.since && plain(w.class) && plain(w.lost):
		return sign(w.since < v.since)
	}
	r, o := w.rec, v.rec
	return order(r.class, o.class, r.lost, o.lost, r.since(int(r.offered)), o.since(int(o.offered)), r.id(), o.id())
}

// plain is false for numbers that were clamped, perhaps.
func plain(n int8) bool { return n > math.MinInt8 && n < math.MaxInt8 }

func order(class, class2, lost, lost2 int16, since, since2 int64, id, id2 engine.EntryID) int {
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
