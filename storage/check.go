package storage

import "relais/engine"

// MaxPage is the most that one read returns.
const MaxPage = 10_000

// Number is the kind as a store writes it. It is part of every store's format: never renumber.
func (k Kind) Number() (n byte, ok bool) {
	switch k {
	case KindSlot:
		return 1, true
	case KindOffer:
		return 2, true
	case KindEntry:
		return 3, true
	case KindPatient:
		return 4, true
	case KindSchedule:
		return 5, true
	case KindSync:
		return 6, true
	case KindToken:
		return 7, true
	case KindOptOut:
		return 8, true
	case KindReply:
		return 9, true
	case KindAccount:
		return 10, true
	case KindSession:
		return 11, true
	case KindMeta:
		return 12, true
	case KindUnread:
		return 13, true
	case KindHL7:
		return 14, true
	case KindJoin:
		return 15, true
	case KindPass:
		return 20, true
	case KindIncident:
		return 21, true
	}
	return 0, false
}

// KindOf is the kind with a number.
func KindOf(n byte) (k Kind, ok bool) {
	for _, k := range Kinds() {
		if have, _ := k.Number(); have == n {
			return k, true
		}
	}
	return "", false
}

// Check holds a batch against the limits, and returns its bytes of data. It does not look for a
// record that is named twice. Errors are engine.Invalid and quote nothing: a wrong subject may
// hold anything.
func (b *Batch) Check() (data int, err error) {
	if n := len(b.Puts) + len(b.Events) + len(b.Effects) + len(b.Redact.Events); n > MaxBatch {
		return 0, engine.Errorf(engine.Invalid, "a batch of %d puts, events, effects and redactions is over the limit of %d", n, MaxBatch)
	}
	if len(b.Done) > MaxBatch {
		return 0, engine.Errorf(engine.Invalid, "a batch with %d effects done is over the limit of %d", len(b.Done), MaxBatch)
	}
	for i := range b.Puts {
		if err := b.Puts[i].Key.Check(); err != nil {
			return 0, err
		}
		if n := len(b.Puts[i].Data); n > MaxData {
			return 0, tooLarge("a record", n)
		}
		data += len(b.Puts[i].Data)
	}
	for _, events := range [...][]Event{b.Events, b.Redact.Events} {
		for i := range events {
			if err := checkParts(events[i].Clinic, events[i].Subject); err != nil {
				return 0, err
			}
			if n := len(events[i].Data); n > MaxData {
				return 0, tooLarge("an event", n)
			}
			data += len(events[i].Data)
		}
	}
	data += namingSize * len(b.Redact.Events)
	for i := range b.Effects {
		if err := checkID(b.Effects[i].Clinic, b.Effects[i].ID); err != nil {
			return 0, err
		}
		if n := len(b.Effects[i].Data); n > MaxData {
			return 0, tooLarge("an effect", n)
		}
		data += len(b.Effects[i].Data)
	}
	for i := range b.Done {
		if err := checkID(b.Done[i].Clinic, b.Done[i].ID); err != nil {
			return 0, err
		}
	}
	if data > MaxBatchData {
		return 0, engine.Errorf(engine.Invalid, "a batch of %d bytes is over the limit of %d", data, MaxBatchData)
	}
	return data, nil
}

// Check holds the key of a record against the limits.
func (k Key) Check() error {
	if _, ok := k.Kind.Number(); !ok {
		return engine.Errorf(engine.Invalid, "a record of no known kind")
	}
	return checkID(k.Clinic, k.ID)
}

// CheckPage holds the arguments of a read against the limits; from is an ID or a subject.
func CheckPage(c engine.ClinicID, from string, limit int) error {
	if limit < 1 || limit > MaxPage {
		return engine.Errorf(engine.Invalid, "a limit of %d is not within 1 and %d", limit, MaxPage)
	}
	return checkParts(c, from)
}

func tooLarge(what string, n int) error {
	return engine.Errorf(engine.Invalid, "%s of %d bytes is over the limit of %d", what, n, MaxData)
}

func checkParts(c engine.ClinicID, s string) error {
	if len(c) > MaxKey || len(s) > MaxKey {
		return engine.Errorf(engine.Invalid, "a clinic, an ID or a subject is over the limit of %d bytes", MaxKey)
	}
	return nil
}

func checkID(c engine.ClinicID, id string) error {
	if id == "" {
		return engine.Errorf(engine.Invalid, "an ID is empty")
	}
	return checkParts(c, id)
}
