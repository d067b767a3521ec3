package sandbox

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	maxVerbs = 100 // of a document
	maxDepth = 4
)

// verb is one element of a TwiML document.
type verb struct {
	name  string
	attrs map[string]string
	text  string // the character data directly inside
	in    []verb
}

// words is the verb's text, with the white space of the XML's layout removed.
func (v verb) words() string {
	words := strings.Fields(v.text)
	for _, n := range v.in {
		if n.name == "Body" { // of a Message
			words = append(words, strings.Fields(n.text)...)
		}
	}
	return strings.Join(words, " ")
}

// number reads an attribute that is a count.
func (v verb) number(name string, fallback, most int) int {
	n, err := strconv.Atoi(v.attrs[name])
	if err != nil || n < 0 {
		return fallback
	}
	return min(n, most)
}

var errTwiML = errors.New("sandbox: not TwiML")

// parseTwiML reads a document; unknown verbs are kept and ignored when it is played.
func parseTwiML(b []byte) ([]verb, error) {
	if len(b) > maxTwiML {
		return nil, errTwiML
	}
	d := xml.NewDecoder(bytes.NewReader(b)) //nolint:gosec // bounded in size, number and depth
	budget := maxVerbs
	for {
		t, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("%w: no Response", errTwiML)
		}
		s, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		if s.Name.Local != "Response" {
			return nil, fmt.Errorf("%w: no Response", errTwiML)
		}
		root, err := parseVerb(d, s, 0, &budget)
		if err != nil {
			return nil, err
		}
		for {
			t, err := d.Token()
			if errors.Is(err, io.EOF) {
				return root.in, nil
			}
			if _, more := t.(xml.StartElement); err != nil || more {
				return nil, fmt.Errorf("%w: something follows the Response", errTwiML)
			}
		}
	}
}

func parseVerb(d *xml.Decoder, s xml.StartElement, depth int, budget *int) (verb, error) {
	if *budget--; *budget < 0 || depth > maxDepth {
		return verb{}, fmt.Errorf("%w: too many verbs", errTwiML)
	}
	v := verb{name: s.Name.Local, attrs: map[string]string{}}
	for _, a := range s.Attr {
		v.attrs[a.Name.Local] = a.Value
	}
	var text strings.Builder
	for {
		t, err := d.Token()
		if err != nil {
			return verb{}, fmt.Errorf("%w: %w", errTwiML, err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			in, err := parseVerb(d, t, depth+1, budget)
			if err != nil {
				return verb{}, err
			}
			v.in = append(v.in, in)
		case xml.CharData:
			text.Write(t)
		case xml.EndElement:
			v.text = text.String()
			return v, nil
		}
	}
}
