package web

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"relais/engine"
)

// cost is how dear one guess is made.
type cost struct {
	memory  uint32 // KiB
	passes  uint32
	threads uint8
}

// defaultCost is the second recommended option of RFC 9106, section 4 (64 MiB, 3 passes, 4 lanes),
// above the least that the OWASP password storage cheat sheet asks for (19 MiB, 2 passes, 1 lane).
var defaultCost = cost{memory: 64 * 1024, passes: 3, threads: 4}

// maxCost bounds what a stored hash may ask this process to spend.
var maxCost = cost{memory: 256 * 1024, passes: 16, threads: 16}

const (
	saltBytes = 16 // RFC 9106, section 3.1
	keyBytes  = 32
	// MinPassword and MaxPassword bound a password, in characters.
	MinPassword = 12
	// MaxPassword keeps somebody from making us hash a book.
	MaxPassword = 256
	// maxHashes at once keeps sign-in under 128 MiB.
	maxHashes = 2
	// maxSignIns may wait for a hash or compute one; the next is told to come back.
	maxSignIns = 32
)

// HashPassword returns the argon2id hash of a password in PHC form, for Account.Hash. It takes
// about a tenth of a second and 64 MiB. A password of fewer than MinPassword or more than
// MaxPassword characters gives an engine.Invalid error.
func HashPassword(password string) (string, error) {
	if n := utf8.RuneCountInString(password); n < MinPassword || n > MaxPassword {
		return "", engine.Errorf(engine.Invalid, "a password has %d to %d characters", MinPassword, MaxPassword)
	}
	return hashWith(defaultCost, password)
}

func hashWith(c cost, password string) (string, error) {
	salt := make([]byte, saltBytes)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("salt: %w", err)
	}
	key := argon2.IDKey([]byte(password), salt, c.passes, c.memory, c.threads, keyBytes)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.memory, c.passes, c.threads,
		b64.EncodeToString(salt), b64.EncodeToString(key)), nil
}

// dummyHash is what the password of an account that does not exist is compared with.
var dummyHash = sync.OnceValues(func() (string, error) { return hashWith(defaultCost, rand.Text()) })

var errHash = errors.New("stored password hash cannot be read")

// checkPassword compares in time that does not depend on the password.
func checkPassword(hash, password string) (bool, cost, error) {
	var c cost
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return false, c, errHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.memory, &c.passes, &c.threads); err != nil {
		return false, c, errHash
	}
	if c.memory == 0 || c.passes == 0 || c.threads == 0 ||
		c.memory > maxCost.memory || c.passes > maxCost.passes || c.threads > maxCost.threads {
		return false, c, errHash
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil || len(salt) < 8 {
		return false, c, errHash
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || len(want) != keyBytes {
		return false, c, errHash
	}
	got := argon2.IDKey([]byte(password), salt, c.passes, c.memory, c.threads, keyBytes)
	return subtle.ConstantTimeCompare(got, want) == 1, c, nil
}

// compute runs f, which hashes, when one of the few places for that is free.
func (s *Server) compute(ctx context.Context, f func() error) error {
	select {
	case s.waiting <- struct{}{}:
		defer func() { <-s.waiting }()
	default:
		return engine.Errorf(engine.Unavailable, "too many people are signing in; try again in a moment")
	}
	select {
	case s.hashing <- struct{}{}:
		defer func() { <-s.hashing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return f()
}
