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
	"unicode"
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

// common are words that people make passwords of. Twelve characters are enough only when they are not these
// again and again, or these with a year.
var common = strings.Fields(`password passwort motdepasse passe azerty azertyuiop azertyuiopqsdf qwerty qwertyuiop qwertyuiopas qwertz
qazwsx qazwsxedc zaqxsw asdfgh asdfghjkl zxcvbn zxcvbnm abcdef abcdefgh abcdefghijkl abc iloveyou jetaime letmein welcome bienvenue
bonjour salut admin administrator administrateur utilisateur user test testing secret changeme changezmoi default monkey dragon
football hockey baseball canadiens canadien montreal quebec toronto canada soleil chocolat princess princesse superman batman
starwars pokemon trustno computer ordinateur internet google clinic clinique relais reception accueil docteur doctor infirmiere
hopital hospital sante health printemps summer winter autumn spring hiver automne january janvier michel nicolas sophie`)

// GoodPassword refuses a password that is too short, too long, or one of the first that somebody would try: made
// of very common words and digits, of few different characters, of a run like 123456789012, or of the account's
// own name. There are no rules on what characters it must have.
func GoodPassword(password, account string) error {
	if n := utf8.RuneCountInString(password); n < MinPassword || n > MaxPassword {
		return engine.Errorf(engine.Invalid, "a password has %d to %d characters", MinPassword, MaxPassword)
	}
	easy := engine.Errorf(engine.Invalid, "this password is one of the first that somebody would try; take a few words that have nothing to do with each other")
	lower := strings.ToLower(password)
	different := map[rune]bool{}
	runs, last := 0, rune(-1)
	for _, r := range lower {
		different[r] = true
		if r == last+1 || r == last-1 || r == last {
			runs++
		}
		last = r
	}
	if len(different) < 5 || runs >= utf8.RuneCountInString(password)-3 {
		return easy
	}
	// Letters that stand for others do not make a word another one.
	plain := strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i", "é", "e", "è", "e", "ê", "e", "ô", "o").Replace(lower)
	words := append([]string{strings.ToLower(account)}, common...)
	for _, text := range []string{lower, plain} {
		if madeOf(text, words) {
			return easy
		}
	}
	return nil
}

// madeOf reports whether what is left of a text without some words is less than five letters.
func madeOf(text string, words []string) bool {
	for again := true; again; {
		again = false
		longest := ""
		for _, w := range words {
			if len(w) >= 3 && len(w) > len(longest) && strings.Contains(text, w) {
				longest = w
			}
		}
		if longest != "" {
			text, again = strings.ReplaceAll(text, longest, " "), true
		}
	}
	letters := 0
	for _, r := range text {
		if unicode.IsLetter(r) {
			letters++
		}
	}
	return letters < 5
}
