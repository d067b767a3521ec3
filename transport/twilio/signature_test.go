package twilio

import (
	"net/url"
	"testing"

	"github.com/twilio/twilio-go/client"
)

// The example of Twilio's documentation, with the auth token 12345.
var (
	exampleForm = url.Values{
		"CallSid": {"CA1234567890ABCDE"}, "Caller": {"+14158675309"}, "Digits": {"1234"},
		"From": {"+14158675309"}, "To": {"+18005551212"},
	}
	// The vector of Twilio's own libraries, whose names share a prefix.
	libraryForm = url.Values{
		"Digits": {"1234"}, "CallSid": {"CA1234567890ABCDE"}, "To": {"+18005551212"}, "Caller": {"+14158675309"},
		"From": {"+14158675309"}, "ReasonConferenceEnded": {"test"}, "Reason": {"Participant"},
	}
)

func TestPublishedSignatures(t *testing.T) {
	for _, x := range []struct {
		name, base string
		form       url.Values
		want       string
	}{
		{"documentation", "https://mycompany.com", exampleForm, "RSOYDt4T1cUTdK1PDd93/VVr8B8="},
		{"libraries", "https://mycompany.com", libraryForm, "vOEb5UThFn24KEfnOFLQY2AE5FY="},
		{"libraries, port configured, signed without", "https://mycompany.com:1234", libraryForm, "vOEb5UThFn24KEfnOFLQY2AE5FY="},
		{"libraries, http", "http://mycompany.com", libraryForm, "n2xBNyzSW7rfYStDtOFiFMv7qNo="},
	} {
		s, err := newSigner("12345", x.base)
		if err != nil {
			t.Fatal(err)
		}
		if !s.valid("/myapp.php?foo=1&bar=2", x.form, x.want) {
			t.Errorf("%s: refused", x.name)
		}
	}
}

// FuzzSignature compares with twilio-go's validator where that one does not re-encode the URL.
func FuzzSignature(f *testing.F) {
	f.Add("token", "Body", "OUI", "From", "+15145550101")
	f.Fuzz(func(t *testing.T, token, k1, v1, k2, v2 string) {
		if token == "" || k1 == k2 {
			t.Skip()
		}
		form := url.Values{k1: {v1}, k2: {v2}}
		s, err := newSigner(token, "https://relais.example")
		if err != nil {
			t.Fatal(err)
		}
		sig := signature(token, "https://relais.example/hooks/twilio/sms", form)
		if !s.valid("/hooks/twilio/sms", form, sig) {
			t.Fatal("own signature refused")
		}
		rv := client.NewRequestValidator(token)
		if !rv.Validate("https://relais.example/hooks/twilio/sms", map[string]string{k1: v1, k2: v2}, sig) {
			t.Fatal("twilio-go computes another signature")
		}
		form.Set(k1, v1+"x")
		if s.valid("/hooks/twilio/sms", form, sig) {
			t.Fatal("tampered form accepted")
		}
	})
}
