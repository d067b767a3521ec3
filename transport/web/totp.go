package web

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6238 as authenticator apps know it; HMAC-SHA-1 is not broken
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/skip2/go-qrcode"

	"relais/engine"
)

const (
	totpStep   = 30 * time.Second // RFC 6238, section 5.2
	totpDigits = 6
	totpBytes  = 20 // RFC 4226, section 4, R6
	totpSlack  = 1  // steps that a clock may be off, either way
	// recoveryCodes are made at a time; each counts once.
	recoveryCodes = 10
)

// code is the one-time password of a step (RFC 4226, section 5.3).
func (t *TOTP) code(step int64) string {
	mac := hmac.New(sha1.New, t.Secret)
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(step)) //nolint:gosec // steps are positive
	mac.Write(counter[:])
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	n := binary.BigEndian.Uint32(sum[at:at+4]) & 0x7fffffff
	return fmt.Sprintf("%0*d", totpDigits, n%1_000_000)
}

// take reports whether the code is good now and was not used before, and remembers it.
func (t *TOTP) take(now time.Time, code string) bool {
	step := now.Unix() / int64(totpStep/time.Second)
	for s := step - totpSlack; s <= step+totpSlack; s++ {
		if s > t.Last && subtle.ConstantTimeCompare([]byte(t.code(s)), []byte(code)) == 1 {
			t.Last = s
			return true
		}
	}
	return false
}

// secondFactor takes a code of the app, or one of the recovery codes.
func (a *Account) secondFactor(now time.Time, typed string) bool {
	code := strings.ToLower(strings.NewReplacer(" ", "", "-", "").Replace(typed))
	if a.TOTP != nil && len(code) == totpDigits {
		return a.TOTP.take(now, code)
	}
	key := digest(code)
	for i, r := range a.Recovery {
		if subtle.ConstantTimeCompare([]byte(r), []byte(key)) == 1 {
			a.Recovery = append(append([]string{}, a.Recovery[:i]...), a.Recovery[i+1:]...)
			return true
		}
	}
	return false
}

// newRecovery makes recovery codes: what to show, and what to keep.
func newRecovery() (shown, kept []string) {
	for range recoveryCodes {
		c := strings.ToLower(rand.Text()[:16])
		shown, kept = append(shown, c[:4]+"-"+c[4:8]+"-"+c[8:12]+"-"+c[12:]), append(kept, digest(c))
	}
	return shown, kept
}

// TOTPOffer is a new secret, to be put into an app and confirmed with a code.
type TOTPOffer struct {
	Secret string `json:"secret" doc:"in base32, to be typed"`
	URI    string `json:"uri" doc:"the same as apps read it"`
	Size   int    `json:"size" doc:"modules on a side of the QR code, without its margin"`
	Path   string `json:"path" doc:"the QR code as an SVG path of unit squares"`
}

func newTOTP() (*TOTP, error) {
	secret := make([]byte, totpBytes)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	return &TOTP{Secret: secret}, nil
}

// offer draws the secret for an app.
func (t *TOTP) offer(host string, id engine.UserID) (TOTPOffer, error) {
	secret := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(t.Secret)
	u := url.URL{
		Scheme: "otpauth", Host: "totp", Path: "/Relais:" + string(id) + "@" + host,
		RawQuery: "secret=" + secret + "&issuer=Relais&algorithm=SHA1&digits=" + strconv.Itoa(totpDigits) + "&period=30",
	}
	o := TOTPOffer{Secret: secret, URI: u.String()}
	code, err := qrcode.New(o.URI, qrcode.Medium)
	if err != nil {
		return o, fmt.Errorf("QR code: %w", err)
	}
	code.DisableBorder = true // the page draws it
	var path strings.Builder
	rows := code.Bitmap()
	for y, row := range rows {
		for x, black := range row {
			if black {
				fmt.Fprintf(&path, "M%d %dh1v1h-1z", x, y)
			}
		}
	}
	o.Size, o.Path = len(rows), path.String()
	return o, nil
}
