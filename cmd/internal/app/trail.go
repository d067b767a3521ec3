package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"relais/engine"
	"relais/storage"
	"relais/transport/web"
)

// auditPage is how much of it is read at a time.
const auditPage = 5000

// trail keeps the audit logs in the store's timelines.
type trail struct{ store storage.Store }

// Record implements web.Trail.
func (t trail) Record(ctx context.Context, clinics []engine.ClinicID, line web.Trace) error {
	data, err := json.Marshal(line)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(clinics, storage.MaxBatch) {
		var b storage.Batch
		for _, c := range part {
			b.Events = append(b.Events, storage.Event{Clinic: c, Subject: auditSubject, At: line.At, Data: data})
		}
		if err := storeError(t.store.Commit(ctx, b)); err != nil {
			return err
		}
	}
	return nil
}

// Traces implements web.Trail. The log is read from its beginning, and the newest lines that fit are kept.
func (t trail) Traces(ctx context.Context, c engine.ClinicID, f web.TraceFilter) ([]web.Trace, error) {
	var last []web.Trace
	for after := uint64(0); ; {
		page, err := t.store.Timeline(ctx, c, auditSubject, after, auditPage)
		if err != nil {
			return nil, storeError(err)
		}
		for i := range page {
			after = page[i].Seq
			if f.Before != 0 && after >= f.Before {
				break
			}
			var line web.Trace
			if err := json.Unmarshal(page[i].Data, &line); err != nil {
				return nil, fmt.Errorf("a line of the audit log: %w", err)
			}
			if line.Seq = after; fits(&line, &f) {
				last = append(last, line)
			}
		}
		if len(last) > f.Limit {
			last = slices.Clone(last[len(last)-f.Limit:])
		}
		if len(page) < auditPage || (f.Before != 0 && after >= f.Before) {
			slices.Reverse(last)
			return last, nil
		}
	}
}

func fits(line *web.Trace, f *web.TraceFilter) bool {
	return (f.Who == "" || string(line.Who) == f.Who) && (f.What == "" || line.What == f.What) &&
		(f.About == "" || strings.Contains(line.About, f.About)) &&
		(f.Since.IsZero() || !line.At.Before(f.Since)) && (f.Until.IsZero() || line.At.Before(f.Until))
}
