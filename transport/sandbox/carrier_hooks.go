package sandbox

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio signs with HMAC-SHA1
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sort"
	"strings"
)

const maxTwiML = 64 << 10 // bytes, Twilio's own limit

// form starts the parameters of a webhook.
func (c *CarrierServer) form(from, to string) url.Values {
	return url.Values{
		"AccountSid": {c.cfg.AccountSID}, "ApiVersion": {"2010-04-01"},
		"From": {from}, "To": {to},
	}
}

// sign computes X-Twilio-Signature.
func sign(token, address string, f url.Values) string {
	names := make([]string, 0, len(f))
	for k := range f {
		names = append(names, k)
	}
	sort.Strings(names)
	var b strings.Builder
	b.WriteString(address)
	for _, k := range names {
		b.WriteString(k + f.Get(k))
	}
	mac := hmac.New(sha1.New, []byte(token))
	_, _ = io.WriteString(mac, b.String())
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// post sends a signed webhook and returns the answer and the address it came from.
func (c *CarrierServer) post(ctx context.Context, address string, f url.Values) ([]byte, *url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, nil, errors.New("sandbox: webhook without an address")
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(f.Encode())) //nolint:gosec // a carrier calls the addresses it is given
	if err != nil {
		return nil, nil, fmt.Errorf("sandbox: webhook: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Twilio-Signature", sign(c.cfg.AuthToken, address, f))
	resp, err := c.hooks.Do(req) //nolint:gosec // the same
	if err != nil {
		return nil, nil, fmt.Errorf("sandbox: webhook: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxTwiML+1))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("sandbox: webhook: %w", err)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return nil, nil, fmt.Errorf("sandbox: webhook: status %d", resp.StatusCode)
	case len(body) > maxTwiML:
		return nil, nil, errors.New("sandbox: webhook: answer too large")
	}
	return body, u, nil
}
