package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"relais/engine"
	"relais/storage"
)

// The register of confidentiality incidents that Law 25 asks for (Act respecting the protection of personal
// information in the private sector, section 3.8, and its Regulation): kept for five years.
type incidentCommand struct {
	Add    incidentAdd  `cmd:"" help:"Write an incident down, or what became of one."`
	List   incidentList `cmd:"" help:"List the incidents, the newest first."`
	Export incidentJSON `cmd:"" help:"Print the register as JSON lines."`
}

// incident is one entry of the register.
type incident struct {
	ID       string    `json:"id"`
	Written  time.Time `json:"written"`  // when it was first written down
	Changed  time.Time `json:"changed"`  // the last time
	Happened string    `json:"happened"` // day or period, as it is known
	Noticed  string    `json:"noticed"`
	What     string    `json:"what"`     // which information, and what happened to it
	People   string    `json:"people"`   // who is concerned, and how many; in Quebec
	Risk     string    `json:"risk"`     // why there is a risk of serious injury, or why not
	Measures string    `json:"measures"` // taken so that it does no harm and does not happen again
	Notified string    `json:"notified"` // the Commission and the people: when, or why not
	Who      string    `json:"who"`      // wrote it down
}

// keepIncidents is what section 3.8 asks for: five years after the organisation became aware of it.
const keepIncidents = 5 * 366 * 24 * time.Hour

type incidentAdd struct {
	storeFlags

	ID       string `help:"Change this incident; what is not given stays." placeholder:"ID"`
	Happened string `help:"Day or period, for example 2026-03-02." placeholder:"TEXT"`
	Noticed  string `help:"When it was noticed." placeholder:"TEXT"`
	What     string `help:"Which information, and what happened to it." placeholder:"TEXT"`
	People   string `help:"Who is concerned, and how many." placeholder:"TEXT"`
	Risk     string `help:"Why there is a risk of serious injury, or why not." placeholder:"TEXT"`
	Measures string `help:"What was done about it." placeholder:"TEXT"`
	Notified string `help:"When the Commission d'accès à l'information and the people were told, or why not." placeholder:"TEXT"`
}

// Help is printed below the flags.
func (incidentAdd) Help() string {
	return `Example:
  relais incident add --config relais.yaml --happened 2026-03-02 --noticed 2026-03-03 --what "Names and numbers on a lost laptop, encrypted disk" \
    --people "about 40 patients of derma" --risk "low: the disk is encrypted" --measures "laptop wiped remotely" --notified "nobody: no serious risk"

Name no patient in it: the register outlives them. It is sealed in the store and kept for five years.`
}

// Run writes it down.
func (a *incidentAdd) Run(ctx context.Context, io *streams) error {
	in := incident{
		ID: a.ID, Happened: a.Happened, Noticed: a.Noticed, What: a.What, People: a.People, Risk: a.Risk,
		Measures: a.Measures, Notified: a.Notified, Who: operator(),
	}
	if in.ID == "" && (in.What == "" || in.People == "" || in.Risk == "") {
		return &usageError{errors.New("say at least --what happened, --people concerned and the --risk")}
	}
	var done incident
	if err := a.ask(ctx, io, "incident_add", in, &done); err != nil {
		return err
	}
	fmt.Fprintf(io.out, "Incident %s is in the register.\n", done.ID)
	return nil
}

func (c *control) addIncident(ctx context.Context, in incident, _ func(string)) (done incident, err error) {
	now := time.Now().UTC()
	key := storage.Key{Clinic: storage.Shared, Kind: storage.KindIncident, ID: in.ID}
	expect, what := uint64(0), "incident_changed"
	if in.ID == "" {
		done, what = incident{ID: now.Format("20060102T150405.000"), Written: now}, "incident_added"
		key.ID = done.ID
	} else {
		rec, err := c.store.Get(ctx, key)
		if errors.Is(err, storage.ErrNotFound) {
			return done, engine.Errorf(engine.NotFound, "there is no incident %s in the register", in.ID)
		}
		if err != nil {
			return done, err
		}
		if err := json.Unmarshal(rec.Data, &done); err != nil {
			return done, err
		}
		expect = rec.Version
	}
	done.Changed, done.Who = now, in.Who
	for _, f := range []struct {
		to   *string
		from string
	}{
		{&done.Happened, in.Happened},
		{&done.Noticed, in.Noticed},
		{&done.What, in.What},
		{&done.People, in.People},
		{&done.Risk, in.Risk},
		{&done.Measures, in.Measures},
		{&done.Notified, in.Notified},
	} {
		if f.from != "" {
			*f.to = f.from
		}
	}
	data, err := json.Marshal(done)
	if err != nil {
		return done, err
	}
	b := storage.Batch{Puts: []storage.Put{{Key: key, Expect: expect, Data: data}}, Events: []storage.Event{record(storage.Shared, in.Who, what, done.ID, "")}}
	list, err := c.incidents(ctx)
	if err != nil {
		return done, err
	}
	for _, old := range list { // those that need not be kept any more
		if old.value.ID != done.ID && now.Sub(old.value.Written) > keepIncidents {
			b.Puts = append(b.Puts, storage.Put{Key: old.key, Expect: old.version, Delete: true})
		}
	}
	return done, c.store.Commit(ctx, b)
}

type keptIncident struct {
	value   incident
	key     storage.Key
	version uint64
}

func (c *control) incidents(ctx context.Context) (list []keptIncident, err error) {
	recs, err := c.store.Scan(ctx, storage.Shared, storage.KindIncident, "", storage.MaxPage)
	for _, rec := range recs {
		k := keptIncident{key: rec.Key, version: rec.Version}
		if err := json.Unmarshal(rec.Data, &k.value); err != nil {
			return nil, err
		}
		list = append(list, k)
	}
	return list, err
}

func (c *control) listIncidents(ctx context.Context, _ struct{}, _ func(string)) ([]incident, error) {
	list, err := c.incidents(ctx)
	out := make([]incident, 0, len(list))
	for i := range list {
		out = append(out, list[len(list)-1-i].value)
	}
	return out, err
}

type incidentList struct{ storeFlags }

// Run prints them for people.
func (l *incidentList) Run(ctx context.Context, io *streams) error {
	var list []incident
	if err := l.ask(ctx, io, "incidents", struct{}{}, &list); err != nil {
		return err
	}
	if len(list) == 0 {
		fmt.Fprintln(io.out, "The register is empty.")
	}
	for _, i := range list {
		fmt.Fprintf(io.out, "%s  happened %s, noticed %s\n", i.ID, i.Happened, i.Noticed)
		for _, part := range [][2]string{{"what", i.What}, {"people", i.People}, {"risk", i.Risk}, {"measures", i.Measures}, {"notified", i.Notified}} {
			if part[1] != "" {
				fmt.Fprintf(io.out, "  %s: %s\n", part[0], strings.ReplaceAll(part[1], "\n", "\n    "))
			}
		}
	}
	return nil
}

type incidentJSON struct{ storeFlags }

// Run prints them for programs.
func (l *incidentJSON) Run(ctx context.Context, io *streams) error {
	var list []incident
	if err := l.ask(ctx, io, "incidents", struct{}{}, &list); err != nil {
		return err
	}
	enc := json.NewEncoder(io.out)
	for _, i := range list {
		if err := enc.Encode(i); err != nil {
			return err
		}
	}
	return nil
}
