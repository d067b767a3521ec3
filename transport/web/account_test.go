package web

import (
	"encoding/base32"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"relais/engine"
)

func TestPasswordsThatAreTooEasy(t *testing.T) {
	for _, bad := range []string{
		"short", "passwordpassword", "Password1234!", "motdepasse2026", "M0tD3Passe2026", "azertyuiop123", "qwertyuiop12!", "123456789012",
		"aaaaaaaaaaaa", "abcdefghijklm", "abababababab", "administrateur1", "Bonjour!Bonjour!", "zoe.tremblay2026", "cliniqueclinique", "4815162342108",
	} {
		if err := GoodPassword(bad, "zoe.tremblay"); engine.CodeOf(err) != engine.Invalid || err == nil {
			t.Errorf("%q is good enough: %v", bad, err)
		}
	}
	for _, good := range []string{
		newPassword, goodPassword, "mon chat dort au soleil", "trois petits cochons", "k3v9-plq2-xx7d", "été à la mer en famille", "J'aime le fromage frais",
	} {
		if err := GoodPassword(good, "zoe.tremblay"); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

// TestTOTP holds the codes against those of RFC 6238, appendix B, cut to six digits.
func TestTOTP(t *testing.T) {
	totp := TOTP{Secret: []byte("12345678901234567890")}
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		if got := totp.code(at / 30); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
	}
	now := time.Unix(1234567890, 0)
	if !totp.take(now, "005924") || totp.take(now, "005924") {
		t.Error("a code counts more or less than once")
	}
	if late := totp.code(now.Unix()/30 + 1); !totp.take(now, late) {
		t.Error("a phone whose clock is a little fast is refused")
	}
	if totp.take(now, totp.code(now.Unix()/30+2)) {
		t.Error("a code of a minute from now is taken")
	}
}

func withPassword(t *testing.T, b *bench, id engine.UserID) {
	t.Helper()
	hash, err := hashWith(cheap, goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	a := b.accounts.accounts[id]
	a.Hash = hash
	b.accounts.accounts[id] = a
}

func TestSecondFactor(t *testing.T) {
	b := everyRole(t)
	withPassword(t, b, "clerk")
	clerk := b.login("clerk")
	offer := as[TOTPOffer](t, b, clerk, "POST", "/account/totp/begin", "", 200)
	if !strings.HasPrefix(offer.URI, "otpauth://totp/Relais:clerk@relais.example?secret="+offer.Secret+"&issuer=Relais") || offer.Size < 21 || !strings.HasPrefix(offer.Path, "M0 0h1v1h-1z") {
		t.Errorf("%+v", offer)
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(offer.Secret)
	if err != nil {
		t.Fatal(err)
	}
	app := &TOTP{Secret: secret}
	code := func() string { return app.code(b.clock.now().Unix() / 30) }
	as[Problem](t, b, clerk, "POST", "/account/totp", `{"code":"000000"}`, 422)
	codes := as[RecoveryCodes](t, b, clerk, "POST", "/account/totp", `{"code":"`+code()+`"}`, 200).Codes
	if len(codes) != recoveryCodes {
		t.Fatalf("%q", codes)
	}
	in := func(code string, status int) Problem {
		return as[Problem](t, b, nil, "POST", "/session", `{"account":"clerk","password":"`+goodPassword+`","code":"`+code+`"}`, status)
	}
	if p := in("", 401); p.Step != StepCode {
		t.Errorf("%+v", p)
	}
	in(code(), 401) // used when it was set up
	b.clock.add(totpStep)
	in(code(), 200)
	in(codes[3], 200)
	in(codes[3], 401)
	if own := as[OwnAccount](t, b, clerk, "GET", "/account", "", 200); own.Recovery != recoveryCodes-1 || own.TOTP == nil {
		t.Errorf("%+v", own)
	}
	fresh := as[RecoveryCodes](t, b, clerk, "POST", "/account/recovery", "", 200).Codes
	in(codes[4], 401)
	in(strings.ToUpper(strings.ReplaceAll(fresh[0], "-", " ")), 200)
	as[Problem](t, b, clerk, "DELETE", "/account/totp", "", 204)
	in("", 200)
	want := []string{
		"totp_on clerk", "sign_in_failed clerk  wrong_code", "sign_in clerk  code", "recovery_code_used clerk", "sign_in clerk  code",
		"sign_in_failed clerk  wrong_code", "recovery_codes_made clerk", "sign_in_failed clerk  wrong_code", "recovery_code_used clerk", "sign_in clerk  code",
		"totp_off clerk", "sign_in clerk  password",
	}
	if said := b.trail.said("nord"); !slices.Equal(said, want) {
		t.Errorf("%q", said)
	}
}

func TestCodesCannotBeGuessed(t *testing.T) {
	b := everyRole(t)
	withPassword(t, b, "clerk")
	totp, err := newTOTP()
	if err != nil {
		t.Fatal(err)
	}
	a := b.accounts.accounts["clerk"]
	a.TOTP = totp
	b.accounts.accounts["clerk"] = a
	last := 0
	for i := range signInAccountBurst + 1 {
		last = b.do(call{method: "POST", path: "/api/v1/session", body: fmt.Sprintf(`{"account":"clerk","password":%q,"code":"%06d"}`, goodPassword, i)}).Code
	}
	if last != 429 {
		t.Errorf("%d", last)
	}
}

func TestWhatNeedsAFreshSecret(t *testing.T) {
	b := everyRole(t)
	withPassword(t, b, "clerk")
	clerk := b.login("clerk")
	b.clock.add(provedFor + time.Minute)
	calls := [][3]string{
		{"POST", "/account/totp/begin", ""},
		{"DELETE", "/account/totp", ""},
		{"POST", "/account/recovery", ""},
		{"POST", "/account/passkeys/begin", ""},
		{"DELETE", "/account/passkeys/x", ""},
		{"POST", "/account/tokens", `{"name":"x","clinic":"nord","scopes":["look"],"days":1}`},
	}
	for _, c := range calls {
		as[Problem](t, b, clerk, c[0], c[1], c[2], 403)
	}
	as[Problem](t, b, clerk, "POST", "/account/confirm", `{"password":"wrong password!"}`, 422)
	as[Problem](t, b, clerk, "POST", "/account/confirm", `{"password":"`+goodPassword+`"}`, 204)
	as[TOTPOffer](t, b, clerk, "POST", "/account/totp/begin", "", 200)
	if own := as[OwnAccount](t, b, clerk, "GET", "/account", "", 200); !own.Fresh {
		t.Errorf("%+v", own)
	}
}

func TestChangePassword(t *testing.T) {
	b := everyRole(t)
	withPassword(t, b, "clerk")
	here, other := b.login("clerk"), b.login("clerk")
	as[Problem](t, b, here, "POST", "/account/password", `{"old":"wrong password!","new":"`+newPassword+`"}`, 422)
	as[Problem](t, b, here, "POST", "/account/password", `{"old":"`+goodPassword+`","new":"motdepasse2026"}`, 422)
	as[Problem](t, b, here, "POST", "/account/password", `{"old":"`+goodPassword+`","new":"`+newPassword+`"}`, 204)
	as[Me](t, b, here, "GET", "/me", "", 200)
	as[Problem](t, b, other, "GET", "/me", "", 401)
	if status, _, _ := signIn(b, "clerk", goodPassword, ""); status != 401 {
		t.Errorf("the old password: %d", status)
	}
	if status, _, _ := signIn(b, "clerk", newPassword, ""); status != 200 {
		t.Errorf("the new password: %d", status)
	}
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	b := everyRole(t)
	withPassword(t, b, "clerk")
	w := b.do(call{
		method: "POST", path: "/api/v1/session", body: `{"account":"clerk","password":"` + goodPassword + `"}`, from: "198.51.100.7:4",
		header: map[string]string{"User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"},
	})
	phone := w.Result().Cookies()[0]
	here := b.login("clerk")
	b.login("manager")
	list := as[OwnAccount](t, b, here, "GET", "/account", "", 200).Sessions
	i := slices.IndexFunc(list, func(s OwnSession) bool { return !s.Here })
	if len(list) != 2 || i < 0 || list[i].Agent != "Chrome, Windows" || list[i].From != "198.51.100.7" || list[i].How != "password" {
		t.Fatalf("%+v", list)
	}
	as[Problem](t, b, b.login("manager"), "DELETE", "/account/sessions/"+list[i].ID, "", 404)
	as[Problem](t, b, here, "DELETE", "/account/sessions/"+list[i].ID, "", 204)
	as[Problem](t, b, phone, "GET", "/me", "", 401)
	third := b.login("clerk")
	as[Problem](t, b, here, "DELETE", "/account/sessions", "", 204)
	as[Problem](t, b, third, "GET", "/me", "", 401)
	as[Me](t, b, here, "GET", "/me", "", 200)
}

func bearer(b *bench, secret, method, path, body string) int {
	return b.do(call{method: method, path: "/api/v1" + path, body: body, header: map[string]string{"Authorization": "Bearer " + secret, "Idempotency-Key": "press-0001"}}).Code
}

func TestAPITokens(t *testing.T) {
	b := everyRole(t)
	b.accounts.accounts["manager"] = Account{ID: "manager", Roles: map[engine.ClinicID]Role{"nord": Manager, "sud": Manager}}
	manager := b.login("manager")
	made := as[NewToken](t, b, manager, "POST", "/account/tokens", `{"name":"export","clinic":"nord","scopes":["work"],"days":30}`, 201)
	if !strings.HasPrefix(made.Secret, tokenStart) || fmt.Sprint(made.Token.Scopes) != "[work look]" {
		t.Fatalf("%+v", made)
	}
	for key := range b.accounts.passes {
		if strings.Contains(key, made.Secret) {
			t.Error("the store holds the secret itself")
		}
	}
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/me", "", 200},
		{"GET", "/clinics/nord/calendar", "", 200},
		{"POST", "/clinics/nord/slots/s1/actions", `{"action":"pause","revision":3}`, 200},
		{"GET", "/clinics/nord/fairness", "", 403}, // its owner may, it may not
		{"GET", "/clinics/sud/calendar", "", 404},  // another clinic of its owner
		{"GET", "/account", "", 403},
		{"POST", "/account/password", `{"new":"` + newPassword + `"}`, 403},
		{"GET", "/clinics/nord/users", "", 403},
	} {
		if got := bearer(b, made.Secret, c.method, c.path, c.body); got != c.status {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, got, c.status)
		}
	}
	if b.desk.card.By != "manager" {
		t.Errorf("acted as %q", b.desk.card.By)
	}
	line := b.trail.list["nord"][len(b.trail.list["nord"])-1]
	if line.What != "act" || line.About != "s1" || line.From != "203.0.113.9 token "+made.Token.ID {
		t.Errorf("%+v", line)
	}
	as[Problem](t, b, manager, "POST", "/account/tokens", `{"name":"x","clinic":"nord","scopes":["arrange"],"days":30}`, 403)
	as[Problem](t, b, manager, "POST", "/account/tokens", `{"name":"x","clinic":"nowhere","scopes":["look"],"days":30}`, 403)
	// A smaller role makes a smaller token.
	b.accounts.accounts["manager"] = Account{ID: "manager", Roles: map[engine.ClinicID]Role{"nord": Operator}}
	if got := bearer(b, made.Secret, "POST", "/clinics/nord/hold", `{"hold":true}`); got != 403 {
		t.Errorf("after the role changed: %d", got)
	}
	b.clock.add(30 * 24 * time.Hour)
	if got := bearer(b, made.Secret, "GET", "/me", ""); got != 401 {
		t.Errorf("after its end: %d", got)
	}
}

func TestAPITokensEndAndAreLimited(t *testing.T) {
	b := everyRole(t)
	clerk := b.login("clerk")
	made := as[NewToken](t, b, clerk, "POST", "/account/tokens", `{"name":"x","clinic":"nord","scopes":["look"],"days":30}`, 201)
	last := 0
	for range tokenBurst + 1 {
		last = bearer(b, made.Secret, "GET", "/me", "")
	}
	if last != 429 || b.counts.limited[LimitAPI] != 1 {
		t.Errorf("%d %v", last, b.counts.limited)
	}
	b.clock.add(tokenEvery)
	if got := bearer(b, made.Secret, "GET", "/me", ""); got != 200 {
		t.Errorf("a moment later: %d", got)
	}
	as[Problem](t, b, b.login("manager"), "DELETE", "/account/tokens/"+made.Token.ID, "", 404)
	as[Problem](t, b, clerk, "DELETE", "/account/tokens/"+made.Token.ID, "", 204)
	b.clock.add(time.Minute)
	if got := bearer(b, made.Secret, "GET", "/me", ""); got != 401 {
		t.Errorf("a removed token: %d", got)
	}
	for range signInAddressBurst {
		last = bearer(b, made.Secret, "GET", "/me", "")
	}
	if last != 429 {
		t.Errorf("guesses are not limited: %d", last)
	}
	for _, header := range []string{"Basic eA==", "Bearer", "Bearer x", "Bearer " + made.Secret[7:]} {
		w := b.do(call{method: "GET", path: "/api/v1/me", header: map[string]string{"Authorization": header}, cookie: clerk, from: "198.51.100.7:1"})
		if w.Code != http.StatusUnauthorized {
			t.Errorf("%q: %d", header, w.Code)
		}
	}
}

func TestFeedWithATokenEndsWithIt(t *testing.T) {
	l := listen(t)
	l.accounts.accounts["luc"] = Account{ID: "luc", Roles: map[engine.ClinicID]Role{"nord": Clerk}}
	made := as[NewToken](t, l.bench, l.login("luc"), "POST", "/account/tokens", `{"name":"x","clinic":"nord","scopes":["look"],"days":30}`, 201)
	conn, _, err := l.dial(t, "clinic=nord", nil, "Authorization", "Bearer "+made.Secret)
	if err != nil {
		t.Fatal(err)
	}
	if f := mustNext(t, conn); f.Snapshot == nil {
		t.Errorf("%+v", f)
	}
	as[Problem](t, l.bench, l.login("luc"), "DELETE", "/account/tokens/"+made.Token.ID, "", 204)
	for range pingSweeps {
		l.feed.sweep(t.Context())
	}
	if code := closed(t, conn); code != CloseSignedOut {
		t.Errorf("%d", code)
	}
}

func TestPasskeyCeremoniesCountOnce(t *testing.T) {
	b := everyRole(t)
	begun := as[PasskeyChallenge](t, b, nil, "POST", "/session/passkey/begin", "", 200)
	if !strings.Contains(string(begun.Options), `"userVerification":"required"`) || !strings.Contains(string(begun.Options), `"rpId":"relais.example"`) {
		t.Errorf("%s", begun.Options)
	}
	body := `{"ceremony":"` + begun.Ceremony + `","answer":{"id":"x","type":"public-key"}}`
	as[Problem](t, b, nil, "POST", "/session/passkey", body, 422)
	as[Problem](t, b, nil, "POST", "/session/passkey", body, 409) // the challenge was used up
	clerk := b.login("clerk")
	mine := as[PasskeyChallenge](t, b, clerk, "POST", "/account/passkeys/begin", "", 200)
	as[Problem](t, b, b.login("manager"), "POST", "/account/passkeys", `{"ceremony":"`+mine.Ceremony+`","answer":{}}`, 409)
	as[Problem](t, b, nil, "POST", "/session/passkey", `{"ceremony":"`+mine.Ceremony+`","answer":{}}`, 409)
	again := as[PasskeyChallenge](t, b, nil, "POST", "/session/passkey/begin", "", 200)
	b.clock.add(ceremonyLife)
	as[Problem](t, b, nil, "POST", "/session/passkey", `{"ceremony":"`+again.Ceremony+`","answer":{}}`, 409)
}
