package fhir

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"

	"relais/engine"
)

// patientView is what is read of a Patient.
type patientView struct {
	ID        string `json:"id"`
	Active    *bool  `json:"active"`
	BirthDate string `json:"birthDate"`
	Name      []struct {
		Family string   `json:"family"`
		Given  []string `json:"given"`
	} `json:"name"`
	Telecom []struct {
		Value string `json:"value"`
	} `json:"telecom"`
}

// FindPatients returns the references of everybody with this name and date of birth who has one of these
// telephones or mailboxes. The search travels in a body, so that no address and no log of the server has the
// person in it. The server is asked by family name and date of birth; the rest is held against what it sends,
// whatever it understands by a match.
func (c *Client) FindPatients(ctx context.Context, who engine.Seeker) ([]string, error) {
	born := who.Born.Format(time.DateOnly)
	form := url.Values{"family": {who.Family}, "birthdate": {born}, "_count": {"50"}}
	r, err := c.do(ctx, call{
		method: http.MethodPost, path: "Patient/_search", body: []byte(form.Encode()),
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
	})
	if err != nil {
		return nil, looked(err)
	}
	if r.status >= http.StatusMultipleChoices {
		return nil, failure(engine.DMEMalformed, "The record system cannot search for patients (%d).", r.status)
	}
	b, err := readBundle(r.body, "searchset")
	if err != nil {
		return nil, err
	}
	found := []string{}
	for _, e := range b.Entry {
		var p patientView
		if json.Unmarshal(e.Resource, &p) == nil && p.ID != "" && p.is(who, born) && !slices.Contains(found, "Patient/"+p.ID) {
			found = append(found, "Patient/"+p.ID)
		}
	}
	return found, nil
}

// is reports whether this is who is looked for.
func (p *patientView) is(who engine.Seeker, born string) bool {
	if p.Active != nil && !*p.Active || p.BirthDate != born {
		return false
	}
	named := false
	for _, n := range p.Name {
		given := slices.ContainsFunc(n.Given, func(g string) bool { return fold(g) == fold(who.Given) }) || fold(strings.Join(n.Given, " ")) == fold(who.Given)
		named = named || given && fold(n.Family) == fold(who.Family)
	}
	reached := false
	for _, t := range p.Telecom {
		for _, phone := range who.Phones {
			reached = reached || sameNumber(t.Value, string(phone))
		}
		for _, mail := range who.Emails {
			reached = reached || strings.EqualFold(strings.TrimSpace(t.Value), string(mail))
		}
	}
	return named && reached
}

// fold takes case, accents, hyphens and spaces away.
func fold(s string) string {
	if out, _, err := transform.String(transform.Chain(norm.NFD, runes.Remove(runes.Predicate(func(r rune) bool { return r >= 0x300 && r <= 0x36f })), norm.NFC), s); err == nil {
		s = out
	}
	return strings.NewReplacer(" ", "", "-", "", "'", "", "’", "").Replace(strings.ToLower(s))
}

// sameNumber compares the last ten digits: record systems write numbers in many ways.
func sameNumber(a, b string) bool {
	digits := func(s string) string {
		s = strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return r
			}
			return -1
		}, s)
		return s[max(0, len(s)-10):]
	}
	return len(digits(a)) == 10 && digits(a) == digits(b)
}
