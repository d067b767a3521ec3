package hl7

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// maxSeen is how many messages of a clinic are remembered, so that one that is sent again is answered
// as before: a sender resends what it had no answer to, not what is hundreds of messages old.
const maxSeen = 256

// answered is a message that was taken, and what it was told.
type answered struct {
	N    uint64 `json:"n"`
	ID   string `json:"id"`   // digest of MSH-3, 4 and 10
	Body string `json:"body"` // digest of the whole message
	Code string `json:"code"` // MSA-1 without its mode: A, E, R
	Text string `json:"text,omitempty"`
}

// seen remembers the last messages.
type seen struct {
	n    uint64
	byID map[string]answered
	ring []string // the same, by number
}

func newSeen() seen { return seen{byID: map[string]answered{}} }

// find returns what a message was told. One that has the identifier of another but says something
// else is no duplicate: some senders number badly, and a lost cancellation costs more than a second look.
func (s *seen) find(id, body string) (answered, bool) {
	a, ok := s.byID[id]
	return a, ok && a.Body == body
}

// add remembers a message and returns the ID of its record.
func (s *seen) add(a answered) (record string, kept answered) {
	s.n++
	a.N = s.n
	s.place(a)
	return "d" + strconv.FormatUint(a.N%maxSeen, 10), a
}

func (s *seen) place(a answered) {
	if s.ring == nil {
		s.ring = make([]string, maxSeen)
	}
	i := a.N % maxSeen
	if old := s.ring[i]; old != "" && s.byID[old].N%maxSeen == i {
		delete(s.byID, old)
	}
	s.ring[i] = a.ID
	if s.byID[a.ID].N <= a.N {
		s.byID[a.ID] = a
	}
}

func (s *seen) load(r Record) error {
	var a answered
	if err := json.Unmarshal(r.Data, &a); err != nil {
		return fmt.Errorf("read a message that was taken: %w", err)
	}
	s.n = max(s.n, a.N)
	s.place(a)
	return nil
}
