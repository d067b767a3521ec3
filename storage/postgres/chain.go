package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"relais/engine"
	"relais/storage"
	"relais/storage/seal"
)

var _ storage.Chained = (*Store)(nil)

const (
	allLinks = `SELECT seq, subject, at_s, at_ns, data, digest, hash, redacted FROM event WHERE clinic = $1 AND seq > $2 ORDER BY seq LIMIT $3`
	allHeads = `SELECT clinic, events, head FROM clinic WHERE events > 0 ORDER BY clinic`
)

// Links implements storage.Chained.
func (s *Store) Links(ctx context.Context, c engine.ClinicID, after uint64, limit int) ([]storage.Link, error) {
	if err := storage.CheckPage(c, "", limit); err != nil {
		return nil, err
	}
	var seq, sec int64
	var nsec int32
	var about, sealed, digest, hash []byte
	var redacted bool
	var links []storage.Link
	err := s.each(ctx, []any{&seq, &about, &sec, &nsec, &sealed, &digest, &hash, &redacted}, func() error {
		l := storage.Link{Redacted: redacted, Event: storage.Event{
			Clinic: c, Subject: string(about), At: time.Unix(sec, int64(nsec)).UTC(), Seq: uint64(seq), //nolint:gosec // counted from 1
		}}
		copy(l.Digest[:], digest)
		copy(l.Hash[:], hash)
		if salted, err := s.sealer.Open(seal.Event(c, l.Subject, l.At), sealed); err == nil && len(salted) >= storage.SaltLen {
			l.Opens, l.Content, l.Data = true, storage.Digest(salted), salted[storage.SaltLen:]
		}
		links = append(links, l)
		return nil
	}, allLinks, []byte(c), int64(min(after, math.MaxInt64)), limit)
	if err != nil {
		return nil, err
	}
	return links, nil
}

// Heads implements storage.Chained.
func (s *Store) Heads(ctx context.Context) (heads []storage.Head, err error) {
	var name, sealed []byte
	var seq int64
	err = s.each(ctx, []any{&name, &seq, &sealed}, func() error {
		h := storage.Head{Clinic: engine.ClinicID(name), Seq: uint64(seq)} //nolint:gosec // counted up from 0
		h.Hash, h.Opens = openHead(s.sealer, h.Clinic, h.Seq, sealed)
		heads = append(heads, h)
		return nil
	}, allHeads)
	if err != nil {
		return nil, err
	}
	return heads, nil
}

// openHead opens a sealed head. One that does not open gives a zero hash, so that what is written after
// it shows the break.
func openHead(sealer *seal.Sealer, c engine.ClinicID, seq uint64, sealed []byte) (hash storage.Hash, opens bool) {
	text, err := sealer.Open(seal.Head(c, seq), sealed)
	return hash, err == nil && copy(hash[:], text) == len(hash)
}

// chainOlder chains the events of a store whose tables are older than chains. Another process that opens
// the store waits for it.
func (s *Store) chainOlder(ctx context.Context) error {
	for {
		left, err := s.chainPart(ctx)
		if err != nil {
			return fmt.Errorf("storage/postgres: chain the timelines: %w", err)
		}
		if !left {
			return nil
		}
	}
}

const (
	chainLock  = `SELECT pg_advisory_xact_lock(7265611)`
	olderEvent = `SELECT clinic FROM event WHERE hash IS NULL LIMIT 1`
	lastHash   = `SELECT hash FROM event WHERE clinic = $1 AND hash IS NOT NULL ORDER BY seq DESC LIMIT 1`
	olderPart  = `SELECT seq, subject, at_s, at_ns, data FROM event WHERE clinic = $1 AND hash IS NULL ORDER BY seq LIMIT 1000`
	chainPart  = `UPDATE event e SET data = n.data, digest = n.digest, hash = n.hash
		FROM unnest($2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[]) AS n(seq, data, digest, hash) WHERE e.clinic = $1 AND e.seq = n.seq`
	setHead = `UPDATE clinic SET head = $2 WHERE clinic = $1 AND events = $3`
)

// chainPart chains some events of one clinic, and reports whether there may be more.
func (s *Store) chainPart(ctx context.Context) (left bool, err error) {
	var clinic []byte
	err = s.pool.QueryRow(ctx, olderEvent).Scan(&clinic)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, chainLock); err != nil {
			return err
		}
		var last []byte
		if err := tx.QueryRow(ctx, lastHash, clinic).Scan(&last); err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		var hash storage.Hash
		copy(hash[:], last)
		rows, err := tx.Query(ctx, olderPart, clinic)
		if err != nil {
			return err
		}
		var seq, sec int64
		var nsec int32
		var about, sealed []byte
		var seqs []int64
		var data, digests, hashes [][]byte
		_, err = pgx.ForEachRow(rows, []any{&seq, &about, &sec, &nsec, &sealed}, func() error {
			e := storage.Event{Clinic: engine.ClinicID(clinic), Subject: string(about), At: time.Unix(sec, int64(nsec)).UTC(), Seq: uint64(seq)} //nolint:gosec // counted from 1
			plain, err := s.sealer.Open(seal.Event(e.Clinic, e.Subject, e.At), sealed)
			if err != nil {
				return fmt.Errorf("event %d of clinic %q: %w", e.Seq, e.Clinic, err)
			}
			salted := storage.Salted(plain)
			again, err := s.sealer.Seal(seal.Event(e.Clinic, e.Subject, e.At), salted)
			if err != nil {
				return err
			}
			digest := storage.Digest(salted)
			hash = storage.Chain(hash, &e, digest)
			seqs, data, digests, hashes = append(seqs, seq), append(data, again), append(digests, digest[:]), append(hashes, append([]byte(nil), hash[:]...))
			return nil
		})
		if err != nil || len(seqs) == 0 {
			return err
		}
		if _, err := tx.Exec(ctx, chainPart, clinic, seqs, data, digests, hashes); err != nil {
			return err
		}
		newest := seqs[len(seqs)-1]
		head, err := s.sealer.Seal(seal.Head(engine.ClinicID(clinic), uint64(newest)), hash[:]) //nolint:gosec // counted from 1
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, setHead, clinic, head, newest)
		return err
	})
}
