package match_test

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"relais/engine"
	"relais/engine/match"
	"relais/storage/pgtest"
)

// entriesTable is the waitlist as one would keep it in PostgreSQL, with an index that holds the order and
// all that is asked, so that the table need not be looked at, and one that holds the distance, both within a
// specialty.
const entriesTable = `
CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE TABLE entry (
	id text NOT NULL, specialty text NOT NULL, class int NOT NULL, lost int NOT NULL, since bigint NOT NULL,
	home point, radius float8, reach box, days int NOT NULL, from_minute int NOT NULL, until_minute int NOT NULL,
	notice_s bigint NOT NULL, current_s bigint);`

const entriesIndexes = `
CREATE INDEX entry_rank ON entry (specialty, class, lost DESC, since, id)
	INCLUDE (days, from_minute, until_minute, notice_s, current_s, home, radius);
CREATE INDEX entry_reach ON entry USING gist (specialty, reach) WHERE home IS NOT NULL;
CREATE INDEX entry_anywhere ON entry (specialty, class, lost DESC, since, id) WHERE home IS NULL;
VACUUM ANALYZE entry;`

// The conditions of match, for one window an entry; the distance by the haversine formula.
const fitsSQL = ` AND days & $2 <> 0 AND from_minute <= $3 AND $4 <= until_minute AND notice_s <= $5
	AND (current_s IS NULL OR current_s > $6)`

const kmSQL = `2 * 6371.0088 * asin(least(1, sqrt(pow(sind((home[0] - $7) / 2), 2) +
	cosd(home[0]) * cosd($7) * pow(sind((home[1] - $8) / 2), 2))))`

// Near enough, and time to get there: 93.6 s a km.
const distanceSQL = kmSQL + ` <= radius AND notice_s + floor(93.6 * ` + kmSQL + `) <= $5`

// plans are ways to ask PostgreSQL; each is the best for some slots, so each is measured.
var plans = map[string]string{
	"ordered": `SELECT id FROM entry WHERE specialty = $1` + fitsSQL + ` AND (home IS NULL OR (` + distanceSQL + `))
		ORDER BY class, lost DESC, since, id LIMIT 50`,
	"boxes": `SELECT id FROM (
		(SELECT id, class, lost, since FROM entry WHERE specialty = $1 AND home IS NULL` + fitsSQL + `
			ORDER BY class, lost DESC, since, id LIMIT 50)
		UNION ALL
		(SELECT id, class, lost, since FROM entry WHERE specialty = $1 AND home IS NOT NULL
			AND reach && box(point($7, $8), point($7, $8))` + fitsSQL + ` AND ` + distanceSQL + `)
		) fits ORDER BY class, lost DESC, since, id LIMIT 50`,
}

// loadEntries copies entries into PostgreSQL.
func loadEntries(b *testing.B, conn *pgx.Conn, list []engine.Entry) {
	b.Helper()
	exec := func(sql string) {
		b.Helper()
		if _, err := conn.Exec(b.Context(), sql); err != nil {
			b.Fatal(err)
		}
	}
	exec(entriesTable)
	columns := []string{
		"id", "specialty", "class", "lost", "since", "home", "radius", "reach", "days", "from_minute", "until_minute", "notice_s", "current_s",
	}
	_, err := conn.CopyFrom(b.Context(), pgx.Identifier{"entry"}, columns, pgx.CopyFromSlice(len(list), func(i int) ([]any, error) {
		e := &list[i]
		row := []any{
			string(e.ID), string(e.Specialty), e.Class, e.Lost, e.Joined.UnixMicro(), nil, nil, nil, 0x7f, 0, 24 * 60,
			int64(e.Notice / time.Second), nil,
		}
		if e.Home != nil {
			row[5], row[6], row[7] = pgPoint(*e.Home), e.RadiusKm, pgBox(*e.Home, e.RadiusKm)
		}
		if len(e.Windows) > 0 {
			row[8], row[9], row[10] = int(e.Windows[0].Days), e.Windows[0].From, e.Windows[0].Until
		}
		if e.Current != nil {
			row[12] = e.Current.Start.Unix()
		}
		return row, nil
	}))
	if err != nil {
		b.Fatal(err)
	}
	for sql := range strings.SplitSeq(entriesIndexes, ";") { // VACUUM stands alone
		exec(sql)
	}
}

// BenchmarkPostgres asks PostgreSQL and the index the same questions about the same million entries,
// by turns, and fails when the answers differ.
func BenchmarkPostgres(b *testing.B) {
	if testing.Short() {
		b.Skip("a million entries take a while to load")
	}
	conn, err := pgx.Connect(b.Context(), pgtest.Start(b, "shared_buffers = '2GB'", "work_mem = '64MB'", "jit = off"))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.Background())
	list := region(1_000_000)
	loadEntries(b, conn, list)
	x := match.New()
	for _, e := range list {
		x.Put(e, 0)
	}
	for name, sql := range plans {
		b.Run(name, func(b *testing.B) { comparePlan(b, conn, x, sql, somewhere) })
		b.Run(name+"/freed", func(b *testing.B) { comparePlan(b, conn, x, sql, freed) })
	}
}

// repeats is how often each question is asked; the quickest answer of each side counts, so that what is
// compared is the two and not the neighbours of the machine. Both then have the question's data at hand.
const repeats = 5

// comparePlan asks both the same questions by turns; the answers must be the same.
func comparePlan(b *testing.B, conn *pgx.Conn, x *match.Index, sql string, draw func(*rand.Rand) (engine.Slot, engine.Point)) {
	b.Helper()
	rnd := rand.New(rand.NewPCG(3, 4))
	var ours, theirs []time.Duration
	var dst []engine.Candidate
	for b.Loop() {
		q := query
		q.Limit = 50
		q.Slot, q.Place = draw(rnd)
		lead, day := q.Slot.Start.Sub(q.Now), q.Slot.Start.In(q.Zone)
		minutes := day.Hour()*60 + day.Minute()
		least, leastTheirs := time.Hour, time.Hour
		for range repeats {
			at := time.Now() //nolint:forbidigo // a benchmark measures real time
			dst = x.Rank(dst[:0], q)
			least = min(least, time.Since(at)) //nolint:forbidigo // as above
			at = time.Now()                    //nolint:forbidigo // as above
			rows, err := conn.Query(b.Context(), sql, string(q.Slot.Specialty), 1<<day.Weekday(), minutes,
				minutes+int(q.Slot.End.Sub(q.Slot.Start)/time.Minute), int64(lead/time.Second), q.Slot.Start.Unix(), q.Place.Lat, q.Place.Lon)
			if err != nil {
				b.Fatal(err)
			}
			ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
			leastTheirs = min(leastTheirs, time.Since(at)) //nolint:forbidigo // as above
			if err != nil {
				b.Fatal(err)
			}
			if !slices.EqualFunc(dst, ids, func(c engine.Candidate, id string) bool { return string(c.Entry) == id }) {
				b.Fatalf("PostgreSQL gives other people: %d and %d", len(ids), len(dst))
			}
		}
		ours, theirs = append(ours, least), append(theirs, leastTheirs)
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	at := func(all []time.Duration, per int) float64 { return float64(all[len(all)*per/100].Nanoseconds()) / 1000 }
	b.ReportMetric(at(ours, 50), "p50-us")
	b.ReportMetric(at(ours, 99), "p99-us")
	b.ReportMetric(at(theirs, 50), "postgres-p50-us")
	b.ReportMetric(at(theirs, 99), "postgres-p99-us")
	b.ReportMetric(at(theirs, 99)/at(ours, 99), "times-p99")
}

func pgPoint(p engine.Point) pgtype.Point {
	return pgtype.Point{P: pgtype.Vec2{X: p.Lat, Y: p.Lon}, Valid: true}
}

// pgBox is a box on the map that holds the circle round p.
func pgBox(p engine.Point, km float64) pgtype.Box {
	high := km * 1.001 / (6371.0088 * math.Pi / 180)
	wide := high / math.Cos((math.Abs(p.Lat)+high)*math.Pi/180)
	return pgtype.Box{P: [2]pgtype.Vec2{{X: p.Lat + high, Y: p.Lon + wide}, {X: p.Lat - high, Y: p.Lon - wide}}, Valid: true}
}
