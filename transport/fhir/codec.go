package fhir

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"relais/engine"
)

// resource is a resource as the server sent it, with what every resource has in common.
type resource struct {
	raw  json.RawMessage
	slot *slotView        // of a Slot that a search found
	appt *appointmentView // of an Appointment that a search found
	Type string           `json:"resourceType"`
	ID   string           `json:"id"`
	Meta struct {
		VersionID   string    `json:"versionId"`
		LastUpdated time.Time `json:"lastUpdated"`
	} `json:"meta"`
}

func (r resource) source() string { return r.Type + "/" + r.ID }
func (r resource) etag() string   { return `W/"` + r.Meta.VersionID + `"` }

func readResource(raw []byte) (resource, error) {
	r := resource{raw: raw}
	if err := json.Unmarshal(raw, &r); err != nil || r.Type == "" {
		return resource{}, failure(engine.DMEMalformed, "An answer of the record system is not a resource that can be read.")
	}
	return r, nil
}

// readFound reads what a search for a type found, in one pass: a look at a whole schedule is mostly this.
func readFound(raw []byte, typ string) (resource, error) {
	switch typ {
	case "Slot":
		var r struct {
			resource
			slotView
		}
		if json.Unmarshal(raw, &r) == nil && r.Type == typ {
			r.resource.raw, r.slot = raw, &r.slotView
			return r.resource, nil
		}
	case "Appointment":
		var r struct {
			resource
			appointmentView
		}
		if json.Unmarshal(raw, &r) == nil && r.Type == typ {
			r.resource.raw, r.appt = raw, &r.appointmentView
			return r.resource, nil
		}
	}
	return readResource(raw) // another type, or a field of the wrong shape: its reader says so
}

func viewSlot(r resource) (slotView, error) {
	if r.slot != nil {
		return *r.slot, nil
	}
	return view[slotView](r)
}

func viewAppointment(r resource) (appointmentView, error) {
	if r.appt != nil {
		return *r.appt, nil
	}
	return view[appointmentView](r)
}

// with returns the resource's JSON with some fields replaced, and those that are nil left out. Every other field stays byte for
// byte what the server sent.
func (r resource) with(fields map[string]any) (json.RawMessage, error) {
	var body map[string]json.RawMessage
	if err := json.Unmarshal(r.raw, &body); err != nil {
		return nil, failure(engine.DMEMalformed, "A resource of the record system cannot be edited.")
	}
	for k, v := range fields {
		if v == nil {
			delete(body, k)
			continue
		}
		data, err := json.Marshal(v)
		if err != nil {
			return nil, failure(engine.DMEMalformed, "A field for the record system cannot be written.")
		}
		body[k] = data
	}
	data, err := json.Marshal(body)
	if err != nil {
		return nil, failure(engine.DMEMalformed, "A resource of the record system cannot be edited.")
	}
	return data, nil
}

type ref struct {
	Reference string `json:"reference"`
	Display   string `json:"display,omitempty"`
}

type concept struct {
	Coding []struct {
		Code string `json:"code"`
	} `json:"coding"`
	Text string `json:"text"`
}

type ident struct {
	System string `json:"system"`
	Value  string `json:"value"`
}

// slotView, appointmentView and scheduleView are the few fields that are used. Times are text, so
// that one that cannot be read spoils its own slot and not the whole answer.
type slotView struct {
	Schedule   ref       `json:"schedule"`
	Status     string    `json:"status"`
	Start      string    `json:"start"`
	End        string    `json:"end"`
	Specialty  []concept `json:"specialty"`
	Identifier []ident   `json:"identifier"`
}

type appointmentView struct {
	Status      string  `json:"status"`
	Start       string  `json:"start"`
	End         string  `json:"end"`
	Slot        []ref   `json:"slot"`
	Identifier  []ident `json:"identifier"`
	Participant []struct {
		Actor ref `json:"actor"`
	} `json:"participant"`
}

type scheduleView struct {
	Actor     []ref     `json:"actor"`
	Specialty []concept `json:"specialty"`
}

func view[T any](r resource) (T, error) {
	var v T
	if err := json.Unmarshal(r.raw, &v); err != nil {
		return v, failure(engine.DMEMalformed, "A %s of the record system has a field of the wrong shape.", r.Type)
	}
	return v, nil
}

// bundle is a Bundle, read or written.
type bundle struct {
	ResourceType string  `json:"resourceType"`
	Type         string  `json:"type"`
	Total        *int    `json:"total,omitempty"`
	Link         []link  `json:"link,omitempty"`
	Entry        []entry `json:"entry,omitempty"`
}

type link struct {
	Relation string `json:"relation"`
	URL      string `json:"url"`
}

type entry struct {
	FullURL  string          `json:"fullUrl,omitempty"`
	Resource json.RawMessage `json:"resource,omitempty"`
	Search   *struct {
		Mode string `json:"mode"`
	} `json:"search,omitempty"`
	Request  *request  `json:"request,omitempty"`
	Response *response `json:"response,omitempty"`
}

type response struct {
	Status       string `json:"status"`
	Location     string `json:"location"`
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"lastModified,omitempty"`
}

type request struct {
	Method      string `json:"method"`
	URL         string `json:"url"`
	IfMatch     string `json:"ifMatch,omitempty"`
	IfNoneExist string `json:"ifNoneExist,omitempty"`
}

func readBundle(body []byte, want string) (bundle, error) {
	var b bundle
	if json.Unmarshal(body, &b) != nil || b.ResourceType != "Bundle" || b.Type != want {
		return bundle{}, failure(engine.DMEMalformed, "An answer of the record system is not the %s that was asked for.", want)
	}
	return b, nil
}

// source reduces a reference to "Type/id": references come relative, absolute and with a version.
func (c *Client) source(reference string) string {
	reference, _, _ = strings.Cut(reference, "/_history/")
	return strings.TrimPrefix(strings.TrimPrefix(reference, c.base.String()), "/")
}

// instant reads a time with its zone; anything else is the zero time.
func instant(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// slotFact reduces a slot to what the rules use. A slot that cannot be understood is unknown,
// which is not free; it does not spoil the others.
func (c *Client) slotFact(r resource, schedules map[string]schedule) (engine.SlotFact, error) {
	v, err := viewSlot(r)
	if err != nil {
		return engine.SlotFact{}, err
	}
	f := engine.SlotFact{Source: r.source(), Version: r.Meta.VersionID, Status: c.slotStatus(v.Status), Start: instant(v.Start), End: instant(v.End)}
	f.Changed = r.Meta.LastUpdated.UTC()
	if f.Start.IsZero() || !f.End.After(f.Start) {
		f.Start, f.End = time.Time{}, time.Time{}
		if f.Status != engine.SlotGone {
			f.Status = engine.SlotUnknown
		}
	}
	if held := v.held(); held != "" && held != releaseMark && v.Status == "busy-tentative" {
		f.Status = engine.SlotFree // our own booking on its way, until its appointment shows
	}
	s, known := schedules[c.source(v.Schedule.Reference)]
	if !known && f.Status == engine.SlotFree {
		f.Status = engine.SlotUnknown
	}
	f.Practitioner, f.Place, f.Specialty = s.practitioner, s.place, s.specialty
	if code := firstCode(v.Specialty); code != "" {
		f.Specialty = c.specialty(code)
	}
	return f, nil
}

func (c *Client) slotStatus(status string) engine.SlotStatus {
	if s, ok := c.cfg.SlotStatuses[status]; ok {
		return s
	}
	switch status {
	case "free":
		return engine.SlotFree
	case "busy", "busy-tentative":
		return engine.SlotBusy
	case "busy-unavailable":
		return engine.SlotBlocked
	case "entered-in-error":
		return engine.SlotGone
	}
	return engine.SlotUnknown
}

// live says whether an appointment of this status occupies its slots. One that we do not know
// does: to offer a slot that somebody has is worse than to miss a free one.
func (c *Client) live(status string) bool {
	if live, ok := c.cfg.LiveStatuses[status]; ok {
		return live
	}
	return !slices.Contains([]string{"cancelled", "noshow", "entered-in-error", "waitlist"}, status)
}

// attendance is what a status says of whether the patient came.
func attendance(status string) engine.Attendance {
	switch status {
	case "arrived", "checked-in", "fulfilled":
		return engine.Attended
	case "noshow":
		return engine.Missed
	}
	return ""
}

func (c *Client) appointmentFact(r resource) (engine.AppointmentFact, error) {
	v, err := viewAppointment(r)
	if err != nil {
		return engine.AppointmentFact{}, err
	}
	f := engine.AppointmentFact{
		Source: r.source(), Version: r.Meta.VersionID, Live: c.live(v.Status),
		Gone: v.Status == "entered-in-error", Came: attendance(v.Status),
		Start: instant(v.Start), End: instant(v.End),
	}
	for _, s := range v.Slot {
		if source := c.source(s.Reference); source != "" {
			f.Slots = append(f.Slots, source)
		}
	}
	for _, p := range v.Participant {
		if source := c.source(p.Actor.Reference); strings.HasPrefix(source, "Patient/") {
			f.Patient = source
		}
	}
	for _, i := range v.Identifier {
		if i.System == BookingSystem {
			f.Booking = engine.BookingID(i.Value)
		}
	}
	return f, nil
}

func (c *Client) specialty(code string) engine.Specialty {
	if s, ok := c.cfg.Specialties[code]; ok {
		return s
	}
	return engine.Specialty(code)
}

func firstCode(list []concept) string {
	for _, s := range list {
		for _, coding := range s.Coding {
			if coding.Code != "" {
				return coding.Code
			}
		}
	}
	return ""
}

// identifierToken writes system|value for a search, with FHIR's own separators escaped.
func identifierToken(system, value string) string {
	esc := strings.NewReplacer(`\`, `\\`, `,`, `\,`, `|`, `\|`, `$`, `\$`)
	return esc.Replace(system) + "|" + esc.Replace(value)
}

// sameOrigin says whether an address is below the server that was configured.
func (c *Client) sameOrigin(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == c.base.Scheme && u.Host == c.base.Host && u.User == nil
}
