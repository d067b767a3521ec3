package fhir

import (
	"context"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"relais/engine"
)

// schedule is whose time a slot is, where, and for what.
type schedule struct {
	practitioner engine.PractitionerID
	place        engine.PlaceID
	specialty    engine.Specialty
	actors       []ref
}

// Directory is who works where, as the record system says.
type Directory struct {
	Practitioners []engine.Practitioner
	Places        []engine.Place
}

// loadSchedules reads the clinic's schedules anew.
func (c *Client) loadSchedules(ctx context.Context) error {
	q := url.Values{}
	if c.cfg.Location != "" {
		q.Set("actor", c.cfg.Location)
	}
	list, err := c.search(ctx, "Schedule", q)
	if err != nil {
		return looked(err)
	}
	schedules := make(map[string]schedule, len(list.list))
	for _, r := range list.list {
		v, err := view[scheduleView](r)
		if err != nil {
			return err
		}
		s := schedule{specialty: c.specialty(firstCode(v.Specialty)), actors: v.Actor}
		for _, a := range v.Actor {
			typ, id, _ := strings.Cut(c.source(a.Reference), "/")
			switch {
			case typ == "Practitioner", typ == "PractitionerRole" && s.practitioner == "":
				s.practitioner = engine.PractitionerID(id)
			case typ == "Location":
				s.place = engine.PlaceID(id)
			}
		}
		schedules[r.source()] = s
	}
	c.mu.Lock()
	c.schedules = schedules
	c.mu.Unlock()
	return nil
}

// schedulesOf returns the schedules known, after reading them again when a slot names one that is
// not known. The map is not to be written to.
func (c *Client) schedulesOf(ctx context.Context, slots []resource) (map[string]schedule, error) {
	c.mu.Lock()
	known := c.schedules
	c.mu.Unlock()
	missing := func(r resource) bool {
		_, ok := known[c.scheduleOf(r)]
		return !ok
	}
	if !slices.ContainsFunc(slots, missing) {
		return known, nil
	}
	if err := c.loadSchedules(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.schedules, nil
}

func (c *Client) scheduleOf(slot resource) string {
	v, err := viewSlot(slot)
	if err != nil {
		return ""
	}
	return c.source(v.Schedule.Reference)
}

// Discover returns the practitioners and places that the clinic's schedules name.
func (c *Client) Discover(ctx context.Context) (Directory, error) {
	if err := c.loadSchedules(ctx); err != nil {
		return Directory{}, err
	}
	c.mu.Lock()
	schedules := c.schedules
	c.mu.Unlock()
	people, places := map[engine.PractitionerID]engine.Practitioner{}, map[engine.PlaceID]engine.Place{}
	for _, s := range schedules {
		for _, a := range s.actors {
			typ, id, _ := strings.Cut(c.source(a.Reference), "/")
			switch typ {
			case "Practitioner", "PractitionerRole":
				if engine.PractitionerID(id) == s.practitioner {
					people[s.practitioner] = engine.Practitioner{ID: s.practitioner, Name: a.Display, Specialty: s.specialty}
				}
			case "Location":
				places[engine.PlaceID(id)] = engine.Place{ID: engine.PlaceID(id), Name: a.Display}
			}
		}
	}
	var out Directory
	for id, p := range people {
		name, err := c.practitionerName(ctx, "Practitioner/"+string(id))
		if err != nil {
			return Directory{}, err
		}
		if name != "" {
			p.Name = name
		}
		out.Practitioners = append(out.Practitioners, p)
	}
	for id, p := range places {
		if err := c.describePlace(ctx, "Location/"+string(id), &p); err != nil {
			return Directory{}, err
		}
		out.Places = append(out.Places, p)
	}
	slices.SortFunc(out.Practitioners, func(a, b engine.Practitioner) int { return strings.Compare(string(a.ID), string(b.ID)) })
	slices.SortFunc(out.Places, func(a, b engine.Place) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return out, nil
}

// practitionerName is "" when the server has no such practitioner or gives no name.
func (c *Client) practitionerName(ctx context.Context, source string) (string, error) {
	r, there, err := c.read(ctx, source)
	if err != nil || !there {
		return "", looked(err)
	}
	v, err := view[struct {
		Name []struct {
			Text   string   `json:"text"`
			Family string   `json:"family"`
			Given  []string `json:"given"`
			Prefix []string `json:"prefix"`
		} `json:"name"`
	}](r)
	if err != nil || len(v.Name) == 0 {
		return "", err
	}
	n := v.Name[0]
	if n.Text != "" {
		return n.Text, nil
	}
	return strings.Join(slices.Concat(n.Prefix, n.Given, []string{n.Family}), " "), nil
}

func (c *Client) describePlace(ctx context.Context, source string, p *engine.Place) error {
	r, there, err := c.read(ctx, source)
	if err != nil || !there {
		return looked(err)
	}
	v, err := view[struct {
		Name    string `json:"name"`
		Address struct {
			Text string   `json:"text"`
			Line []string `json:"line"`
			City string   `json:"city"`
		} `json:"address"`
		Position struct {
			Longitude json.Number `json:"longitude"`
			Latitude  json.Number `json:"latitude"`
		} `json:"position"`
	}](r)
	if err != nil {
		return err
	}
	if v.Name != "" {
		p.Name = v.Name
	}
	p.Address = v.Address.Text
	if p.Address == "" {
		p.Address = strings.Join(append(v.Address.Line, v.Address.City), ", ")
	}
	p.Point.Lat, _ = v.Position.Latitude.Float64()
	p.Point.Lon, _ = v.Position.Longitude.Float64()
	return nil
}

var sourceForm = regexp.MustCompile(`^[A-Z][A-Za-z]{1,40}/[A-Za-z0-9.-]{1,64}$`)

// isSource says whether a reference is "Type/id" and so safe to put into an address.
func isSource(s string) bool { return sourceForm.MatchString(s) && !strings.Contains(s, "/.") }
