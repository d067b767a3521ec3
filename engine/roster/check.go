package roster

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"relais/engine"
	"relais/engine/availability"
	"relais/engine/postal"
)

// Clinic is what lines are held against.
type Clinic struct {
	Lang          engine.Lang
	Practitioners []engine.Practitioner
	Places        []engine.Place
	// Phone brings a number into E.164 form; false: it is none. Mail reports whether it is an address.
	Phone func(string) (engine.Phone, bool)
	Mail  func(string) bool
	Now   time.Time
}

// Person is a line that can be used.
type Person struct {
	Number   int
	Given    string
	Family   string
	Born     time.Time   // zero: not said
	Lang     engine.Lang // "": not said
	Source   string
	Contacts []engine.Contact // with consent where there is a proof, none where not
	Note     string
	Wish     engine.Entry      // Specialty and what Said names; the rest is zero
	Said     map[Column]bool   // what the line fills in
	Cells    map[Column]string // as they stand in the file
}

// Check reads each line as a person, and says of the others what is wrong.
func Check(s Sheet, c Clinic) (good []Person, bad []Line) {
	seen := map[string]bool{}
	for _, l := range s.Lines {
		p, faults := c.person(l)
		if len(faults) == 0 {
			key := fold(p.Source) + "\x00" + string(p.Wish.Specialty)
			if seen[key] {
				faults = []Fault{{Source, Repeated}}
			}
			seen[key] = true
		}
		if len(faults) > 0 {
			l.Faults = faults
			bad = append(bad, l)
			continue
		}
		good = append(good, p)
	}
	return good, bad
}

// reading is one line under way.
type reading struct {
	Clinic
	cells  map[Column]string
	faults []Fault
}

// fault notes what is wrong with a cell, once.
func (r *reading) fault(c Column, why Why) {
	if !slices.ContainsFunc(r.faults, func(f Fault) bool { return f.Column == c }) {
		r.faults = append(r.faults, Fault{c, why})
	}
}

// text is a cell of at most some characters.
func (r *reading) text(c Column, most int, must bool) string {
	v := r.cells[c]
	switch {
	case v == "" && must:
		r.fault(c, Missing)
	case len([]rune(v)) > most:
		r.fault(c, TooLong)
	}
	return v
}

func (c Clinic) person(l Line) (Person, []Fault) {
	if slices.ContainsFunc(l.Faults, func(f Fault) bool { return f.Why == Shape }) {
		return Person{}, l.Faults // which cell is which is not known
	}
	r := &reading{Clinic: c, cells: l.Cells, faults: slices.Clone(l.Faults)}
	p := Person{Number: l.Number, Said: map[Column]bool{}, Cells: l.Cells}
	for col := range l.Cells {
		p.Said[col] = true
	}
	p.Given, p.Family = r.text(Given, 100, true), r.text(Family, 100, true)
	p.Source, p.Note = r.text(Source, 200, true), r.text(Note, 2000, false)
	p.Born = r.day(Born)
	if p.Born.After(c.Now) || !p.Born.IsZero() && p.Born.Year() < 1890 {
		r.fault(Born, Invalid)
	}
	switch lang := fold(l.Cells[Lang]); lang {
	case "":
	case "fr", "francais", "français", "french":
		p.Lang = engine.French
	case "en", "anglais", "english":
		p.Lang = engine.English
	default:
		r.fault(Lang, Invalid)
	}
	p.Contacts = r.contacts()
	p.Wish = r.wish()
	return p, r.faults
}

// day reads a date as records and spreadsheets write it.
func (r *reading) day(c Column) time.Time {
	v := r.cells[c]
	if v == "" {
		return time.Time{}
	}
	for _, layout := range []string{time.DateOnly, "2006/01/02", "20060102", time.RFC3339} {
		if t, err := time.Parse(layout, v); err == nil {
			return t.UTC()
		}
	}
	r.fault(c, Invalid)
	return time.Time{}
}

func (r *reading) number(c Column, most int) int {
	v := r.cells[c]
	if v == "" {
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > most {
		r.fault(c, Invalid)
	}
	return n
}

var channels = map[string]engine.Channel{
	"sms": engine.SMS, "texto": engine.SMS, "text": engine.SMS, "appel": engine.Voice, "voix": engine.Voice, "voice": engine.Voice, "call": engine.Voice,
	"courriel": engine.EmailMail, "email": engine.EmailMail, "mail": engine.EmailMail,
}

// contacts are the addresses of a line. Consent needs a proof; without channels it holds for what the
// addresses can take, except calls, which nobody expects.
func (r *reading) contacts() (list []engine.Contact) {
	phone, email := engine.Phone(""), engine.Email("")
	if v := r.cells[Phone]; v != "" {
		p, ok := r.Phone(v)
		if !ok {
			r.fault(Phone, Invalid)
		}
		phone = p
	}
	if v := r.cells[Email]; v != "" {
		if !r.Mail(v) || len(v) > 254 {
			r.fault(Email, Invalid)
		}
		email = engine.Email(v)
	}
	proof := r.text(Proof, 200, false)
	var chosen []engine.Channel
	for _, word := range words(r.cells[Channels]) {
		ch, ok := channels[fold(word)]
		if !ok {
			r.fault(Channels, Invalid)
			return nil
		}
		if !slices.Contains(chosen, ch) {
			chosen = append(chosen, ch)
		}
	}
	if len(chosen) == 0 {
		if phone != "" {
			chosen = append(chosen, engine.SMS)
		}
		if email != "" {
			chosen = append(chosen, engine.EmailMail)
		}
	} else if proof == "" {
		r.fault(Proof, Missing)
	}
	for _, ch := range chosen {
		c := engine.Contact{Channel: ch, Proof: proof}
		if ch == engine.EmailMail {
			c.Email = email
		} else {
			c.Phone = phone
		}
		if c.Phone == "" && c.Email == "" {
			r.fault(map[bool]Column{true: Email, false: Phone}[ch == engine.EmailMail], Missing)
			continue
		}
		list = append(list, c)
	}
	return list
}

func (r *reading) wish() engine.Entry {
	var e engine.Entry
	e.Specialty = r.specialty()
	for _, word := range words(r.cells[Practitioners]) {
		i := slices.IndexFunc(r.Clinic.Practitioners, func(p engine.Practitioner) bool {
			return fold(string(p.ID)) == fold(word) || fold(p.Name) == fold(word)
		})
		if i < 0 {
			r.fault(Practitioners, Unknown)
			break
		}
		e.Practitioners = append(e.Practitioners, r.Clinic.Practitioners[i].ID)
	}
	for _, word := range words(r.cells[Places]) {
		i := slices.IndexFunc(r.Clinic.Places, func(p engine.Place) bool { return fold(string(p.ID)) == fold(word) || fold(p.Name) == fold(word) })
		if i < 0 {
			r.fault(Places, Unknown)
			break
		}
		e.Places = append(e.Places, r.Clinic.Places[i].ID)
	}
	if v := r.cells[Availability]; v != "" {
		windows, err := availability.Parse(v)
		if err != nil {
			r.fault(Availability, Invalid)
		}
		e.Windows = windows
	}
	if v := r.cells[PostalCode]; v != "" {
		home, ok := postal.Locate(v)
		if !ok {
			r.fault(PostalCode, Unknown)
		}
		e.Home = &home
	}
	e.RadiusKm = float64(r.number(Radius, 1000))
	if e.RadiusKm > 0 && e.Home == nil {
		r.fault(PostalCode, Missing)
	}
	e.Notice = time.Duration(r.number(Notice, 20160)) * time.Minute
	e.Class = r.number(Class, 9)
	if e.Joined = r.day(Joined); e.Joined.After(r.Now) {
		r.fault(Joined, Invalid)
	}
	return e
}

// specialty is one of the clinic's; the only one need not be written.
func (r *reading) specialty() engine.Specialty {
	v := r.text(Specialty, 100, true)
	if v == "" {
		return ""
	}
	for _, p := range r.Clinic.Practitioners {
		if fold(string(p.Specialty)) == fold(v) {
			return p.Specialty
		}
	}
	r.fault(Specialty, Unknown)
	return ""
}

// words are the parts of a cell that holds several things.
func words(cell string) []string {
	parts := strings.FieldsFunc(cell, func(r rune) bool { return r == ',' || r == ';' || r == '|' || r == '/' })
	out := parts[:0]
	for _, p := range parts {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}
