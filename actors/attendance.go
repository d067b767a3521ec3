package actors

import (
	"context"
	"encoding/json"
	"strings"

	"relais/engine"
	"relais/storage"
)

// attended is the record of whether somebody came to an appointment that Relais booked. The mirror forgets
// appointments a day after they end, so it is kept by itself, for as long as the slot.
type attended struct {
	Came    engine.Attendance `json:"came"`
	version uint64
}

// attendances are those of a clinic, by booking.
type attendances map[engine.BookingID]attended

// attendedPrefix is where the records lie among those of storage.KindMeta.
const attendedPrefix = "came/"

func attendedKey(c engine.ClinicID, b engine.BookingID) storage.Key {
	return storage.Key{Clinic: c, Kind: storage.KindMeta, ID: attendedPrefix + string(b)}
}

// put is what has to be written for an appointment; nothing when it is not ours or says nothing new. A word
// that is taken back is kept as no word.
func (a attendances) put(c engine.ClinicID, f engine.AppointmentFact) []storage.Put {
	was := a[f.Booking]
	if f.Booking == "" || len(f.Booking) > storage.MaxKey/2 || was.Came == f.Came {
		return nil
	}
	is := attended{f.Came, was.version + 1}
	a[f.Booking] = is
	return []storage.Put{{Key: attendedKey(c, f.Booking), Expect: was.version, Data: encode(is)}}
}

// attendances reads them.
func (r *Relais) attendances(ctx context.Context, c engine.ClinicID) (attendances, error) {
	all := attendances{}
	for after := attendedPrefix; ; {
		page, err := r.store.Scan(ctx, c, storage.KindMeta, after, pageSize)
		if err != nil {
			return nil, err
		}
		for _, rec := range page {
			booking, ours := strings.CutPrefix(rec.Key.ID, attendedPrefix)
			if !ours {
				return all, nil
			}
			var a attended
			if err := json.Unmarshal(rec.Data, &a); err != nil {
				return nil, err
			}
			a.version = rec.Version
			all[engine.BookingID(booking)] = a
			after = rec.Key.ID
		}
		if len(page) < pageSize {
			return all, nil
		}
	}
}
