package bolt

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"relais/engine"
	"relais/storage"
	"relais/storage/seal"
)

var _ storage.Chained = (*Store)(nil)

// Links implements storage.Chained.
func (s *Store) Links(ctx context.Context, c engine.ClinicID, after uint64, limit int) (links []storage.Link, err error) {
	if err := storage.CheckPage(c, "", limit); err != nil {
		return nil, err
	}
	if after == math.MaxUint64 {
		return nil, nil
	}
	from := binary.BigEndian.AppendUint64(nil, after)
	err = s.view(ctx, func(in reading) error {
		return each(ctx, in[inEvents], appendPart(nil, string(c)), from, limit, func(number, v []byte) error {
			if len(number) != numberLen {
				return fmt.Errorf("%w: an event's key", ErrDamaged)
			}
			l, err := s.openLink(c, binary.BigEndian.Uint64(number), v)
			links = append(links, l)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return links, nil
}

// Heads implements storage.Chained.
func (s *Store) Heads(ctx context.Context) (heads []storage.Head, err error) {
	err = s.view(ctx, func(in reading) error {
		return in[inHeads].ForEach(func(k, v []byte) error {
			h, err := openHead(s.sealer, k, v)
			heads = append(heads, h)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return heads, nil
}

func openHead(sealer *seal.Sealer, k, v []byte) (h storage.Head, err error) {
	name, _, err := cutPart(k)
	if err != nil {
		return h, fmt.Errorf("%w: a head's key", ErrDamaged)
	}
	seq, sealed, err := splitHead(v)
	if err != nil {
		return h, fmt.Errorf("%w: a head: %w", ErrDamaged, err)
	}
	h = storage.Head{Clinic: engine.ClinicID(name), Seq: seq}
	if hash, err := sealer.Open(seal.Head(h.Clinic, seq), sealed); err == nil && copy(h.Hash[:], hash) == hashLen {
		h.Opens = true
	}
	return h, nil
}

func (s *Store) openLink(c engine.ClinicID, seq uint64, v []byte) (storage.Link, error) {
	e, err := splitEvent(v)
	if err != nil {
		return storage.Link{}, fmt.Errorf("%w: an event: %w", ErrDamaged, err)
	}
	return openLink(s.sealer, c, seq, e), nil
}

func openLink(sealer *seal.Sealer, c engine.ClinicID, seq uint64, e eventValue) storage.Link {
	l := storage.Link{
		Event:  storage.Event{Clinic: c, Subject: e.subject, At: e.at, Seq: seq},
		Digest: e.digest, Hash: e.hash, Redacted: e.flags&redacted != 0,
	}
	salted, err := sealer.Open(seal.Event(c, e.subject, e.at), e.sealed)
	if err == nil && len(salted) >= storage.SaltLen {
		l.Opens, l.Content, l.Data = true, storage.Digest(salted), salted[storage.SaltLen:]
	}
	return l
}
