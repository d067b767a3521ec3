package mail

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"regexp"
	"strings"

	"relais/engine"
)

// Addresses makes and reads the addresses that name an attempt: where its bounces go (a variable
// envelope return path) and where its person's replies go. Each holds a keyed digest, so that nobody
// can make one up: whoever writes to it had the message. Safe for concurrent use.
type Addresses struct {
	domain string
	key    []byte
}

// The local parts that addresses begin with.
const (
	toBounce    = "bounce"
	toReply     = "reply"
	toComplaint = "complaints" // as it is: mailbox providers are told one address
)

const (
	leastSecret = 16 // characters
	macBytes    = 10 // 16 characters in base 32
	mostLocal   = 64 // octets of a local part (RFC 5321, 4.5.3.1.1)
)

var (
	attemptForm = regexp.MustCompile(`^[0-9]{8}T[0-9]{4}Z-[0-9a-f]{12}(\.[1-9][0-9]{0,8}){3}$`)
	domainForm  = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	lettersOf32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
)

// NewAddresses makes the addresses of a domain. Those that were given out stop working when the
// secret, of at least 16 characters, changes.
func NewAddresses(domain, secret string) (*Addresses, error) {
	domain = strings.ToLower(domain)
	if !domainForm.MatchString(domain) || len(domain) > 253 {
		return nil, errors.New("mail: the domain of bounces and replies is not a domain")
	}
	if len(secret) < leastSecret {
		return nil, errors.New("mail: the secret of bounces and replies is shorter than 16 characters")
	}
	return &Addresses{domain, []byte(secret)}, nil
}

// Bounce is the return path of an attempt's message; "" when the attempt has none.
func (a *Addresses) Bounce(id engine.AttemptID) string { return a.make(toBounce, id) }

// Reply is where an answer to an attempt's message goes; "" when the attempt has none.
func (a *Addresses) Reply(id engine.AttemptID) string { return a.make(toReply, id) }

// Complaints is where mailbox providers send feedback reports (RFC 5965).
func (a *Addresses) Complaints() string { return toComplaint + "@" + a.domain }

func (a *Addresses) make(kind string, id engine.AttemptID) string {
	if !attemptForm.MatchString(string(id)) {
		return ""
	}
	local := kind + "+" + string(id) + "." + a.mac(kind, id)
	if len(local) > mostLocal {
		return ""
	}
	return local + "@" + a.domain
}

func (a *Addresses) mac(kind string, id engine.AttemptID) string {
	h := hmac.New(sha256.New, a.key)
	_, _ = h.Write([]byte(kind + "\x00" + string(id) + "\x00" + a.domain))
	return lettersOf32.EncodeToString(h.Sum(nil)[:macBytes])
}

// open reads an address; ok is false when it is not one of ours. Servers on the way may change
// capitals.
func (a *Addresses) open(address string) (kind string, id engine.AttemptID, ok bool) {
	local, domain, found := strings.Cut(strings.ToLower(strings.Trim(address, "<> ")), "@")
	if !found || domain != a.domain {
		return "", "", false
	}
	if local == toComplaint {
		return toComplaint, "", true
	}
	kind, rest, _ := strings.Cut(local, "+")
	end := strings.LastIndexByte(rest, '.')
	if (kind != toBounce && kind != toReply) || end < len("20060102t1504z") {
		return "", "", false
	}
	name, mac := []byte(rest[:end]), rest[end+1:]
	name[len("20060102")], name[len("20060102t1504")] = 'T', 'Z'
	id = engine.AttemptID(name)
	if !attemptForm.MatchString(string(id)) || !hmac.Equal([]byte(mac), []byte(a.mac(kind, id))) {
		return "", "", false
	}
	return kind, id, true
}
