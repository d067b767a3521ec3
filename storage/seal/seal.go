// Package seal encrypts what a store writes, so that a copied file or a stolen disk gives no
// personal data away.
//
// A keyset holds one primary key, which seals, and the keys it replaced, which still open what
// they sealed. Keys are AES-256-GCM with a random nonce: one key may seal about four thousand
// million values, so rotate at least once a year.
//
// Every value is bound to its Place: sealed data that is copied to another clinic, kind, ID or
// version does not open there.
//
// A Sealer is safe for concurrent use.
//
// Caveats: the keyset is not encrypted itself, the file's permissions protect it. Without it
// what was sealed is lost: keep a copy apart from the copies of the store.
package seal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"relais/engine"
)

// Overhead is how many bytes sealing adds to a value.
const Overhead = 5 + 12 + 16 // key number, nonce, tag

// ErrWrongKey says that no key of the set opens the value at this place: it was sealed with
// another keyset, moved, or damaged.
var ErrWrongKey = errors.New("seal: no key of this set opens the value")

// ErrNotKeys says that the text is no keyset.
var ErrNotKeys = errors.New("seal: not a keyset; make one with Generate or take the key file's text whole")

// Place says where a value lies. It is authenticated with the value but not stored in it.
type Place struct {
	Clinic engine.ClinicID
	Kind   string
	ID     string
	// Stamp is a number kept in clear beside the value, for example its version: changing it
	// there keeps the value from opening.
	Stamp uint64
}

// appendTo encodes the place so that no two places share an encoding.
func (p Place) appendTo(b []byte) []byte {
	for _, s := range [...]string{string(p.Clinic), p.Kind, p.ID} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return binary.BigEndian.AppendUint64(b, p.Stamp)
}

// Sealer seals with the primary key of a keyset and opens with all of its keys.
type Sealer struct{ set atomic.Pointer[set] }

// set is a keyset ready for use.
type set struct {
	keys    *keyset.Handle
	aead    tink.AEAD // made once: building it derives the key schedules
	primary [prefixLen]byte
}

// prefixLen is the length of what tink writes before a sealed value: its version, and the key's number.
const prefixLen = 5

func newSet(text []byte) (*set, error) {
	h, err := unmarshal(text)
	if err != nil {
		return nil, err
	}
	a, err := aead.New(h)
	if err != nil {
		return nil, ErrNotKeys
	}
	s := &set{keys: h, aead: a}
	s.primary[0] = 1
	binary.BigEndian.PutUint32(s.primary[1:], h.KeysetInfo().GetPrimaryKeyId())
	return s, nil
}

// Generate returns a new keyset with one key, as text for a key file or an environment variable.
func Generate() ([]byte, error) {
	h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("seal: make a key: %w", err)
	}
	return marshal(h)
}

// Parse reads a keyset from its text. Errors: ErrNotKeys.
func Parse(text []byte) (*Sealer, error) {
	k, err := newSet(text)
	if err != nil {
		return nil, err
	}
	s := &Sealer{}
	s.set.Store(k)
	return s, nil
}

// Use takes another keyset from now on, for example after Rotate. Errors: ErrNotKeys.
func (s *Sealer) Use(text []byte) error {
	k, err := newSet(text)
	if err == nil {
		s.set.Store(k)
	}
	return err
}

// Older reports whether another key than the primary sealed a value.
func (s *Sealer) Older(sealed []byte) bool {
	primary := s.set.Load().primary
	return !bytes.HasPrefix(sealed, primary[:])
}

// Retired returns the keyset's text without the keys that its primary replaced. Errors: ErrNotKeys.
func Retired(text []byte) ([]byte, error) {
	h, err := unmarshal(text)
	if err != nil {
		return nil, err
	}
	m := keyset.NewManagerFromHandle(h)
	info := h.KeysetInfo()
	for _, k := range info.GetKeyInfo() {
		if k.GetKeyId() != info.GetPrimaryKeyId() {
			if err := m.Delete(k.GetKeyId()); err != nil {
				return nil, fmt.Errorf("seal: retire a key: %w", err)
			}
		}
	}
	if h, err = m.Handle(); err != nil {
		return nil, fmt.Errorf("seal: build the keyset: %w", err)
	}
	return marshal(h)
}

// Rotated returns the keyset's text with one more key, the new primary. What the older keys
// sealed still opens. Errors: ErrNotKeys.
func Rotated(text []byte) ([]byte, error) {
	h, err := unmarshal(text)
	if err != nil {
		return nil, err
	}
	m := keyset.NewManagerFromHandle(h)
	id, err := m.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("seal: make a key: %w", err)
	}
	if err := m.SetPrimary(id); err != nil {
		return nil, fmt.Errorf("seal: make a key the primary: %w", err)
	}
	if h, err = m.Handle(); err != nil {
		return nil, fmt.Errorf("seal: build the keyset: %w", err)
	}
	return marshal(h)
}

// Keys returns how many keys the set has.
func (s *Sealer) Keys() int { return s.set.Load().keys.Len() }

// Seal encrypts data for its place. The result is Overhead bytes longer and belongs to the caller.
func (s *Sealer) Seal(p Place, data []byte) ([]byte, error) {
	var buf [placeHint]byte
	sealed, err := s.set.Load().aead.Encrypt(data, p.appendTo(buf[:0]))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return sealed, nil
}

// Open decrypts what Seal returned for the same place. Errors: ErrWrongKey.
func (s *Sealer) Open(p Place, sealed []byte) ([]byte, error) {
	var buf [placeHint]byte
	data, err := s.set.Load().aead.Decrypt(sealed, p.appendTo(buf[:0]))
	if err != nil {
		return nil, ErrWrongKey
	}
	return data, nil
}

// placeHint is room for the encoding of a usual place without a second allocation.
const placeHint = 96

// unmarshal never wraps the parser's error: it may quote the secret text.
func unmarshal(text []byte) (*keyset.Handle, error) {
	h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(text)))
	if err != nil {
		return nil, ErrNotKeys
	}
	return h, nil
}

func marshal(h *keyset.Handle) ([]byte, error) {
	var b bytes.Buffer
	if err := insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(&b)); err != nil {
		return nil, fmt.Errorf("seal: write the keyset: %w", err)
	}
	return b.Bytes(), nil
}
