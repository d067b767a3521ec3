// Package duplicate finds patients of one clinic who may have been entered twice, and says what one
// record is made of two. It is pure; its arguments are not changed.
package duplicate

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"relais/engine"
)

// Reason is what two records have in common. The list is closed.
type Reason string

// The reasons.
const (
	SameSource Reason = "source" // the record system's reference
	SameBirth  Reason = "birth"  // name and date of birth
	SamePhone  Reason = "phone"
	SameMail   Reason = "email"
)

// Pair is two records that may be one person. Sure: the record system's reference, or the name with the
// date of birth, a phone or a mailbox in common. Others may be relatives who share a telephone.
type Pair struct {
	A, B    engine.PatientID // A was entered first, as far as the identifiers say
	Reasons []Reason
	Sure    bool
}

// Most bounds what Find returns.
const Most = 200

// mostSharing bounds how many records with one address are held against each other: a number that a whole
// residence shares says nothing.
const mostSharing = 8

// Find lists the pairs, the sure ones first. Records that were merged, and pairs that somebody said are two
// people, are left out.
func Find(patients []engine.Patient) []Pair {
	by := map[string][]int{}
	put := func(key string, i int) {
		if l := by[key]; !slices.Contains(l, i) {
			by[key] = append(l, i)
		}
	}
	for i, p := range patients {
		if p.Into != "" {
			continue
		}
		for _, s := range append([]string{p.Source}, p.Sources...) {
			if s != "" {
				put(string(SameSource)+"\x00"+s, i)
			}
		}
		if n := Name(p.Given, p.Family); n != "" && !p.Born.IsZero() {
			put(string(SameBirth)+"\x00"+n+"\x00"+p.Born.Format(time.DateOnly), i)
		}
		for _, c := range p.Contacts {
			switch {
			case c.Proxy != "" || !c.Archived.IsZero():
			case c.Phone != "":
				put(string(SamePhone)+"\x00"+string(c.Phone), i)
			case c.Email != "":
				put(string(SameMail)+"\x00"+strings.ToLower(string(c.Email)), i)
			}
		}
	}
	found := map[[2]int]*Pair{}
	for key, list := range by {
		reason, _, _ := strings.Cut(key, "\x00")
		if len(list) > mostSharing {
			list = list[:mostSharing]
		}
		for x := range list {
			for _, j := range list[x+1:] {
				note(found, patients, list[x], j, Reason(reason))
			}
		}
	}
	pairs := make([]Pair, 0, len(found))
	for _, p := range found {
		slices.Sort(p.Reasons)
		pairs = append(pairs, *p)
	}
	slices.SortFunc(pairs, func(a, b Pair) int {
		return cmp.Or(-compareBool(a.Sure, b.Sure), cmp.Compare(len(b.Reasons), len(a.Reasons)), cmp.Compare(a.A, b.A), cmp.Compare(a.B, b.B))
	})
	return pairs[:min(len(pairs), Most)]
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func note(found map[[2]int]*Pair, patients []engine.Patient, i, j int, r Reason) {
	a, b := patients[i], patients[j]
	if slices.Contains(a.Distinct, b.ID) || slices.Contains(b.Distinct, a.ID) {
		return
	}
	if b.ID < a.ID {
		i, j, a, b = j, i, b, a
	}
	p := found[[2]int{i, j}]
	if p == nil {
		p = &Pair{A: a.ID, B: b.ID}
		found[[2]int{i, j}] = p
	}
	if !slices.Contains(p.Reasons, r) {
		p.Reasons = append(p.Reasons, r)
	}
	p.Sure = p.Sure || r == SameSource || r == SameBirth || Name(a.Given, a.Family) == Name(b.Given, b.Family)
}

// plain are the letters that stand for those with accents.
var plain = strings.NewReplacer(
	"à", "a", "â", "a", "ä", "a", "á", "a", "ã", "a", "å", "a", "ç", "c", "é", "e", "è", "e", "ê", "e", "ë", "e", "î", "i", "ï", "i", "í", "i",
	"ñ", "n", "ô", "o", "ö", "o", "ó", "o", "ò", "o", "õ", "o", "ù", "u", "û", "u", "ü", "u", "ú", "u", "ÿ", "y", "œ", "oe", "æ", "ae",
	"-", " ", "'", " ", "’", " ", "\u00a0", " ",
)

// Name folds a name so that two ways of writing it are the same: case, accents, hyphens and the order of
// given and family name do not count.
func Name(given, family string) string {
	words := strings.Fields(Fold(given + " " + family))
	slices.Sort(words)
	return strings.Join(words, " ")
}

// Fold writes text without capitals, accents and hyphens, to search in.
func Fold(text string) string {
	return strings.Join(strings.Fields(plain.Replace(strings.ToLower(text))), " ")
}
