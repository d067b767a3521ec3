package sandbox

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The resource types that the record system keeps.
const (
	typeSlot         = "Slot"
	typeAppointment  = "Appointment"
	typeSchedule     = "Schedule"
	typePatient      = "Patient"
	typePractitioner = "Practitioner"
	typeLocation     = "Location"
	typeSubscription = "Subscription"
)

var kept = []string{typeAppointment, typeLocation, typePatient, typePractitioner, typeSchedule, typeSlot, typeSubscription}

// doc is one version of a resource: its JSON as it is served, and what searches look at.
type doc struct {
	Type    string          `json:"type"`
	ID      string          `json:"id"`
	Version uint64          `json:"version"`
	Updated time.Time       `json:"updated"`
	Deleted bool            `json:"deleted,omitempty"`
	Raw     json.RawMessage `json:"raw,omitempty"`

	view view
}

// view is what searches and the rules of the record system look at.
type view struct {
	Status      string       `json:"status"`
	Start       time.Time    `json:"start"`
	End         time.Time    `json:"end"`
	Schedule    reference    `json:"schedule"`
	Slot        []reference  `json:"slot"`
	Actor       []reference  `json:"actor"`
	Participant []actor      `json:"participant"`
	Identifier  []identifier `json:"identifier"`
	Criteria    string       `json:"criteria"`
	Channel     channel      `json:"channel"`
	BirthDate   string       `json:"birthDate"`
	Name        names        `json:"name"`
}

// humanName is a patient's name.
type humanName struct {
	Family string `json:"family"`
}

// names are a patient's; the name of another resource is a plain text, and none of these.
type names []humanName

// UnmarshalJSON reads a list of names, and takes anything else for none.
func (n *names) UnmarshalJSON(data []byte) error {
	var list []humanName
	if json.Unmarshal(data, &list) == nil {
		*n = list
	}
	return nil
}

type reference struct {
	Reference string `json:"reference"`
	Display   string `json:"display,omitempty"`
}

type actor struct {
	Actor  reference `json:"actor"`
	Status string    `json:"status"`
}

type identifier struct {
	System string `json:"system"`
	Value  string `json:"value"`
}

type channel struct {
	Type     string   `json:"type"`
	Endpoint string   `json:"endpoint"`
	Payload  string   `json:"payload"`
	Header   []string `json:"header"`
}

func (x *doc) key() string  { return x.Type + "/" + x.ID }
func (x *doc) etag() string { return `W/"` + strconv.FormatUint(x.Version, 10) + `"` }

func splitKey(key string) (typ, id string) {
	typ, id, _ = strings.Cut(key, "/")
	return typ, id
}

func (x *doc) pack() ([]byte, error) { return json.Marshal(x) }

func unpack(data []byte) (*doc, error) {
	x := new(doc)
	if err := json.Unmarshal(data, x); err != nil {
		return nil, err
	}
	if x.Deleted {
		return x, nil
	}
	return x, json.Unmarshal(x.Raw, &x.view)
}

// live says whether an appointment occupies its slots.
func (x *doc) live() bool {
	if x.Deleted {
		return false
	}
	switch x.view.Status {
	case "cancelled", "noshow", "entered-in-error":
		return false
	}
	return true
}

// outcome is an error that is answered as an OperationOutcome.
type outcome struct {
	status int
	code   string // of the issue
	text   string
}

func (o *outcome) Error() string { return o.text }

func fail(status int, code, format string, args ...any) *outcome {
	return &outcome{status: status, code: code, text: fmt.Sprintf(format, args...)}
}

// change is the writes of one request or transaction: they see each other, and nobody else sees
// them before they are durable.
type change struct {
	c     *clinic
	now   time.Time
	docs  map[string]*doc
	order []string
}

func (ch *change) get(typ, id string) (*doc, bool) {
	if x, ok := ch.docs[typ+"/"+id]; ok {
		return x, true
	}
	x, ok := ch.c.docs[typ][id]
	return x, ok
}

// each yields the newest version of every resource of a type that is not deleted.
func (ch *change) each(typ string, yield func(*doc)) {
	for id, x := range ch.c.docs[typ] {
		if _, ok := ch.docs[typ+"/"+id]; !ok && !x.Deleted {
			yield(x)
		}
	}
	for _, key := range ch.order {
		if x := ch.docs[key]; x.Type == typ && !x.Deleted {
			yield(x)
		}
	}
}

// put writes the next version of a resource.
func (ch *change) put(typ, id string, body map[string]any) (*doc, error) {
	x := &doc{Type: typ, ID: id, Version: 1, Updated: ch.now}
	if before, ok := ch.get(typ, id); ok {
		x.Version = before.Version + 1
	}
	meta, ok := body["meta"].(map[string]any)
	if !ok {
		meta = map[string]any{}
	}
	meta["versionId"] = strconv.FormatUint(x.Version, 10)
	meta["lastUpdated"] = ch.now.Format("2006-01-02T15:04:05.000Z07:00")
	body["resourceType"], body["id"], body["meta"] = typ, id, meta
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("sandbox: encode %s: %w", typ, err)
	}
	x.Raw = raw
	if err := json.Unmarshal(raw, &x.view); err != nil {
		return nil, fail(http.StatusUnprocessableEntity, "structure", "This %s cannot be read: a field has the wrong shape.", typ)
	}
	if err := x.valid(); err != nil {
		return nil, err
	}
	ch.keep(x)
	return x, nil
}

func (ch *change) remove(before *doc) *doc {
	x := &doc{Type: before.Type, ID: before.ID, Version: before.Version + 1, Updated: ch.now, Deleted: true}
	ch.keep(x)
	return x
}

func (ch *change) keep(x *doc) {
	if _, ok := ch.docs[x.key()]; !ok {
		ch.order = append(ch.order, x.key())
	}
	ch.docs[x.key()] = x
}

// edit changes some fields of a resource and keeps the rest as it is.
func (ch *change) edit(x *doc, fields map[string]any) error {
	body, err := decode(x.Raw)
	if err != nil {
		return err
	}
	maps.Copy(body, fields)
	_, err = ch.put(x.Type, x.ID, body)
	return err
}

// valid checks what the record system insists on.
func (x *doc) valid() error {
	bad := func(what string) error {
		return fail(http.StatusUnprocessableEntity, "required", "%s: %s.", x.Type, what)
	}
	switch x.Type {
	case typeSlot:
		switch {
		case x.view.Schedule.Reference == "":
			return bad("schedule is missing")
		case x.view.Start.IsZero() || !x.view.End.After(x.view.Start):
			return bad("start and end must be instants, the end after the start")
		case !slices.Contains([]string{"busy", "free", "busy-unavailable", "busy-tentative", "entered-in-error"}, x.view.Status):
			return bad("status is not one of R4's")
		}
	case typeAppointment:
		switch {
		case len(x.view.Participant) == 0:
			return bad("a participant is missing")
		case !slices.Contains([]string{"proposed", "pending", "booked", "arrived", "fulfilled", "cancelled", "noshow", "entered-in-error", "checked-in", "waitlist"}, x.view.Status):
			return bad("status is not one of R4's")
		}
	case typeSubscription:
		switch {
		case x.view.Channel.Type != "rest-hook":
			return bad("only rest-hook channels are delivered")
		case x.view.Channel.Payload != "":
			return bad("notifications carry no payload here")
		case !strings.HasPrefix(x.view.Channel.Endpoint, "http://") && !strings.HasPrefix(x.view.Channel.Endpoint, "https://"):
			return bad("channel.endpoint must be an http address")
		}
		if _, err := parseCriteria(x.view.Criteria); err != nil {
			return err
		}
	}
	return nil
}

// check refuses what would leave two live appointments on one slot, whoever wrote them.
func (ch *change) check() error {
	if ch.c.manner.IgnoresIfMatch {
		return nil // a server that checks nothing
	}
	wanted := map[string]string{} // slot -> the appointment that this change puts on it
	for _, key := range ch.order {
		x := ch.docs[key]
		if x.Type != typeAppointment || !x.live() {
			continue
		}
		for _, r := range x.view.Slot {
			if other, taken := wanted[r.Reference]; taken && other != x.ID {
				return doubleBooked()
			}
			wanted[r.Reference] = x.ID
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	var err error
	ch.each(typeAppointment, func(x *doc) {
		if !x.live() {
			return
		}
		for _, r := range x.view.Slot {
			if id, ok := wanted[r.Reference]; ok && id != x.ID {
				err = doubleBooked()
			}
		}
	})
	return err
}

func doubleBooked() error {
	return fail(http.StatusConflict, "conflict", "Another appointment is on this slot.")
}

// decode reads a resource for editing; numbers keep their digits.
func decode(data []byte) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var body map[string]any
	if err := dec.Decode(&body); err != nil || body == nil {
		return nil, fail(http.StatusBadRequest, "structure", "The body is not a JSON object.")
	}
	if dec.More() {
		return nil, fail(http.StatusBadRequest, "structure", "There is something after the JSON object.")
	}
	return body, nil
}

func newID() string { return strings.ToLower(rand.Text()[:16]) }
