package fhir

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// minRSA is the shortest RSA key that signs, in bits.
const minRSA = 2048

// readKey reads a private key and says which algorithm it signs with. Its errors never show the key.
func readKey(data []byte) (jose.JSONWebKey, jose.SignatureAlgorithm, error) {
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		return jose.JSONWebKey{}, "", errors.New("fhir: the private key is missing")
	}
	var key jose.JSONWebKey
	if data[0] == '{' {
		var err error
		if key, err = readJWK(data); err != nil {
			return key, "", err
		}
	} else {
		private, err := readPEM(data)
		if err != nil {
			return key, "", err
		}
		key.Key = private
	}
	switch k := key.Key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < minRSA {
			return key, "", fmt.Errorf("fhir: the RSA key has %d bits; it needs %d or more", k.N.BitLen(), minRSA)
		}
		return key, jose.RS384, nil
	case *ecdsa.PrivateKey:
		if k.Curve != elliptic.P384() {
			return key, "", errors.New("fhir: the elliptic key must be on the curve P-384, which ES384 needs")
		}
		return key, jose.ES384, nil
	}
	return key, "", errors.New("fhir: the key must be a private RSA key or a private elliptic key on P-384")
}

// readJWK takes a JWK, or the first private key of a JWK set.
func readJWK(data []byte) (jose.JSONWebKey, error) {
	var set jose.JSONWebKeySet
	if json.Unmarshal(data, &set) == nil {
		for _, k := range set.Keys {
			if !k.IsPublic() && k.Valid() {
				return k, nil
			}
		}
	}
	var key jose.JSONWebKey
	if err := json.Unmarshal(data, &key); err != nil || !key.Valid() || key.IsPublic() {
		return jose.JSONWebKey{}, errors.New("fhir: the key is no private JWK that can be read")
	}
	return key, nil
}

func readPEM(data []byte) (crypto.PrivateKey, error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "PRIVATE KEY":
			if k, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
				return k, nil
			}
		case "RSA PRIVATE KEY":
			if k, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
				return k, nil
			}
		case "EC PRIVATE KEY":
			if k, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
				return k, nil
			}
		case "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("fhir: the private key is protected by a password; store it without one, readable by relais only")
		}
	}
	return nil, errors.New("fhir: the private key must be PEM (PKCS #8, PKCS #1 or SEC 1) or a JWK")
}

func thumbprint(key jose.JSONWebKey) (string, error) {
	public := key.Public()
	sum, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", errors.New("fhir: the private key has no thumbprint; name its key ID")
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}
