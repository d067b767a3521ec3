package hl7

import (
	"context"

	"relais/engine"
)

// Record is one thing that a picture keeps. Data is nil for one to be deleted. IDs hold no personal
// data and are at most 200 bytes.
type Record struct {
	ID   string
	Data []byte
}

// Journal keeps the pictures of clinics. It is safe for concurrent use; one clinic's calls come one
// at a time.
type Journal interface {
	// Save writes all of the records or none; they are durable when it returns. There are at most
	// 2000, each under an ID of its own.
	Save(ctx context.Context, clinic engine.ClinicID, records []Record) error
	// Load gives every record of a clinic to f, in any order.
	Load(ctx context.Context, clinic engine.ClinicID, f func(Record) error) error
}

// maxSave bounds one Save.
const maxSave = 2000
