package mail

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"

	"relais/engine"
)

// TestDKIM has signatures verified by another implementation.
func TestDKIM(t *testing.T) {
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	addresses, err := NewAddresses("retour.clinique.example", "0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		key    crypto.Signer
		record string
	}{
		"RSA":     {long, "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&long.PublicKey))},
		"Ed25519": {edwards, "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(edwards.Public().(ed25519.PublicKey))},
	} {
		der, err := x509.MarshalPKCS8PrivateKey(x.key)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := NewDKIM("clinique.example", "relais", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
		if err != nil {
			t.Fatal(err)
		}
		c, err := New(Config{Host: "localhost", From: "Clinique de dermatologie du Plateau-Mont-Royal et des Éboulements <rendezvous@clinique.example>", DKIM: signer, Addresses: addresses})
		if err != nil {
			t.Fatal(err)
		}
		msg, err := c.compose(engine.Message{
			Attempt: "20260302T0920Z-abcdef012345.1.1.1", Lang: engine.French, Email: "quelqu.un.de.tres.long.nom.de.famille@courriel.exemple.example",
			Subject: "Une place s’est libérée à la clinique mardi 3 mars à 9 h 20, répondez vite s’il vous plaît",
			Text:    "Bonjour\n\n.\nUne ligne  avec   des blancs \n\n\n", HTML: "<p>Bonjour</p>",
			Leave: "https://relais.example/o/" + strings.Repeat("a", 43) + "/leave",
		})
		if err != nil {
			t.Fatal(err)
		}
		var raw bytes.Buffer
		if _, err := msg.WriteTo(&raw); err != nil {
			t.Fatal(err)
		}
		verify := func(raw []byte) error {
			list, err := dkim.VerifyWithOptions(bytes.NewReader(raw), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
				if name != "relais._domainkey.clinique.example" {
					t.Errorf("asked for %s", name)
				}
				return []string{x.record}, nil
			}})
			if err != nil || len(list) != 1 {
				t.Fatalf("%s: %d signatures, %v", name, len(list), err)
			}
			for _, h := range []string{"from", "to", "subject", "date", "message-id", "list-unsubscribe", "list-unsubscribe-post"} {
				if !strings.Contains(strings.ToLower(strings.Join(list[0].HeaderKeys, " ")), h) {
					t.Errorf("%s: %s is not signed", name, h)
				}
			}
			return list[0].Err
		}
		if err := verify(raw.Bytes()); err != nil {
			t.Errorf("%s: %v\n%s", name, err, raw.String())
		}
		// What passes on the way may fold differently, but not change a word.
		if verify(bytes.Replace(raw.Bytes(), []byte("Bonjour"), []byte("Bonsoir"), 1)) == nil {
			t.Errorf("%s: a changed text passed", name)
		}
		if verify(bytes.Replace(raw.Bytes(), []byte("/leave"), []byte("/Leave"), 1)) == nil {
			t.Errorf("%s: a changed header passed", name)
		}
	}
	for name, text := range map[string][]byte{
		"no key":     []byte("x"),
		"public key": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&long.PublicKey)}),
	} {
		if _, err := NewDKIM("clinique.example", "relais", text); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := NewDKIM("clinique.example", "a b", nil); err == nil {
		t.Error("a bad selector was taken")
	}
}
