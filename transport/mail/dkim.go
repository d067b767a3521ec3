package mail

import (
	"crypto"
	"crypto/rsa"
	"errors"

	gomail "github.com/wneessen/go-mail"
)

// DKIM signs messages (RFC 6376, RFC 8463). Safe for concurrent use.
type DKIM struct {
	domain, selector string
	key              crypto.Signer
}

// leastRSA is the shortest key that servers must take (RFC 8301), in bits.
const leastRSA = 1024

// signed are the headers under the signature. Few enough that go-mail does not fold the list, which
// would break the relaxed canonical form.
var signed = []string{"From", "To", "Subject", "Date", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post"}

// NewDKIM makes a signer from the PEM of a private key: RSA or Ed25519, PKCS #1 or PKCS #8. The public
// key stands in the DNS at selector._domainkey.domain.
func NewDKIM(domain, selector string, pem []byte) (*DKIM, error) {
	if !domainForm.MatchString(domain) || !domainForm.MatchString(selector) {
		return nil, errors.New("mail: DKIM needs a domain and a selector")
	}
	key, err := gomail.PrivKeyFromPEM(pem)
	if err != nil {
		return nil, errors.New("mail: the DKIM key is not the PEM of an RSA or Ed25519 private key")
	}
	if k, ok := key.(*rsa.PrivateKey); ok && k.N.BitLen() < leastRSA {
		return nil, errors.New("mail: the DKIM key is shorter than 1024 bits")
	}
	return &DKIM{domain, selector, key}, nil
}

// signer signs one message: a go-mail signer notes its algorithm while it signs.
func (d *DKIM) signer() *gomail.DKIMSigner {
	s := gomail.NewDKIMSigner(d.domain, d.selector, d.key)
	s.SignHeaders(signed...)
	return s
}
