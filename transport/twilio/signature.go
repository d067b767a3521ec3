package twilio

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio signs with HMAC-SHA1, which is still sound as a MAC
	"crypto/subtle"
	"encoding/base64"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
)

// signature computes what Twilio puts in X-Twilio-Signature: HMAC-SHA1 of the URL followed by
// the form's names and values, sorted by name. Source:
// https://www.twilio.com/docs/usage/webhooks/webhooks-security.
func signature(token, address string, form url.Values) string {
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(address))
	for _, k := range slices.Sorted(maps.Keys(form)) {
		mac.Write([]byte(k))
		mac.Write([]byte(form.Get(k)))
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// signer checks signatures of requests to one public base.
type signer struct {
	token string
	bases []string
}

// newSigner also accepts the base without its port and with the default one, because Twilio is
// not consistent about ports. What follows the host is never touched: it must be the bytes that
// were signed.
func newSigner(token, base string) (signer, error) {
	base = strings.TrimRight(base, "/")
	u, err := url.Parse(base)
	if err != nil {
		return signer{}, err
	}
	s := signer{token: token, bases: []string{base}}
	host, port := u.Hostname(), "443"
	if u.Scheme == "http" {
		port = "80"
	}
	if u.Port() != "" {
		bare := host
		if strings.Contains(host, ":") {
			bare = "[" + host + "]"
		}
		s.bases = append(s.bases, u.Scheme+"://"+bare+u.EscapedPath())
	} else {
		s.bases = append(s.bases, u.Scheme+"://"+net.JoinHostPort(host, port)+u.EscapedPath())
	}
	return s, nil
}

// valid reports whether sig signs the form sent to requestURI. Every form key must be unique:
// the signature covers only the first value of each.
func (s signer) valid(requestURI string, form url.Values, sig string) bool {
	if s.token == "" || sig == "" || !strings.HasPrefix(requestURI, "/") {
		return false
	}
	for _, v := range form {
		if len(v) != 1 {
			return false
		}
	}
	ok := 0
	for _, b := range s.bases {
		ok |= subtle.ConstantTimeCompare([]byte(signature(s.token, b+requestURI, form)), []byte(sig))
	}
	return ok == 1
}
