package app

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"relais/transport/fhir"
)

// signIn makes the way to sign in; nil where there is none.
func (f *FHIRConfig) signIn() (fhir.SignIn, error) {
	switch {
	case f.Smart != nil:
		return fhir.NewBackend(fhir.BackendConfig{
			ClientID: f.Smart.ClientID, Key: []byte(f.Smart.Key), KeyID: f.Smart.KeyID,
			TokenURL: f.Smart.TokenURL, Scope: f.Smart.Scope,
		})
	case f.Basic != nil:
		return fhir.Basic{User: f.Basic.User, Password: string(f.Basic.Password)}, nil
	case f.Token != "":
		return fhir.Bearer(f.Token), nil
	}
	return nil, nil //nolint:nilnil // no sign-in is a way too
}

// authorities reads the authorities to trust; nil for the machine's.
func (t DMETLSConfig) authorities() (*x509.CertPool, error) {
	if t.CAFile == "" {
		return nil, nil //nolint:nilnil // what crypto/tls takes for the machine's
	}
	text, err := os.ReadFile(t.CAFile)
	if err != nil {
		return nil, fmt.Errorf("tls.ca_file cannot be read: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("tls.ca_file holds no PEM certificate")
	}
	return pool, nil
}

// certificate returns what reads our certificate at each handshake, so that a renewed one is used
// without a restart; nil where there is none.
func (t DMETLSConfig) certificate() (func(*tls.CertificateRequestInfo) (*tls.Certificate, error), error) {
	if t.CertFile == "" {
		return nil, nil //nolint:nilnil // what crypto/tls takes for none
	}
	read := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		return &pair, err
	}
	if _, err := read(nil); err != nil {
		return nil, fmt.Errorf("tls.cert_file and tls.key_file cannot be used: %w", err)
	}
	return read, nil
}
