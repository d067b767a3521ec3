package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"relais/engine"
)

// as makes a call as somebody, and gives what came of it.
func as[T any](t *testing.T, b *bench, cookie *http.Cookie, method, path, body string, status int) (v T) {
	t.Helper()
	w := b.do(call{method: method, path: "/api/v1" + path, body: body, cookie: cookie})
	if w.Code != status {
		t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	if w.Body.Len() == 0 {
		return v
	}
	return decode[T](t, w)
}

// invited makes an invitation to nord and gives the secret of its link.
func invited(t *testing.T, b *bench, role Role) string {
	t.Helper()
	l := as[InvitationLink](t, b, b.login("administrator"), "POST", "/clinics/nord/users/invitations", `{"role":"`+string(role)+`","name":"Zoé"}`, 201)
	link, secret, _ := strings.Cut(l.Link, "#")
	if link != "https://relais.example/invite" || len(secret) != secretLength {
		t.Fatalf("link %s", l.Link)
	}
	return secret
}

const newPassword = "quatre chevaux bleus" //nolint:gosec // of tests

func TestInvitation(t *testing.T) {
	b := everyRole(t)
	secret := invited(t, b, Clerk)
	for key := range b.accounts.passes {
		if strings.Contains(key, secret) {
			t.Error("the store holds the secret itself")
		}
	}
	in := as[Invited](t, b, nil, "POST", "/invitation", `{"link":"`+secret+`"}`, 200)
	if in.Kind != "invitation" || in.Clinic != "Clinique Nord" || in.Role != Clerk || in.Name != "Zoé" {
		t.Errorf("%+v", in)
	}
	accept := func(account, password string, status int) Problem {
		return as[Problem](t, b, nil, "POST", "/invitation/accept", `{"link":"`+secret+`","account":"`+account+`","password":"`+password+`"}`, status)
	}
	accept("zoe", "short", 422)
	accept("zoe", "motdepasse2026", 422)
	accept("Zoé !", newPassword, 422)
	if p := accept("marie", newPassword, 409); !strings.Contains(p.Detail, "account of that name") {
		t.Errorf("%+v", p)
	}
	accept("zoe", newPassword, 200)
	accept("zoe2", newPassword, 404)
	as[Problem](t, b, nil, "POST", "/invitation", `{"link":"`+secret+`"}`, 404)
	if a := b.accounts.accounts["zoe"]; a.Role("nord") != Clerk || a.Role("sud") != "" {
		t.Errorf("%+v", a)
	}
	if status, cookie, _ := signIn(b, "zoe", newPassword, ""); status != 200 || cookie == nil {
		t.Error(status)
	}
	said := b.trail.said("nord")
	for _, want := range []string{"user_invited administrator", "user_joined zoe", "sign_in zoe  invitation", "sign_in zoe  password"} {
		if !slices.ContainsFunc(said, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("no %q on the log: %q", want, said)
		}
	}
}

func TestInvitationEnds(t *testing.T) {
	b := everyRole(t)
	old := invited(t, b, Clerk)
	b.clock.add(invitationLife)
	as[Problem](t, b, nil, "POST", "/invitation", `{"link":"`+old+`"}`, 404)
	admin := b.login("administrator")
	withdrawn := invited(t, b, Manager)
	list := as[Users](t, b, admin, "GET", "/clinics/nord/users", "", 200)
	if len(list.Invitations) != 1 || list.Invitations[0].Role != Manager {
		t.Fatalf("%+v", list.Invitations)
	}
	as[Problem](t, b, admin, "DELETE", "/clinics/nord/users/invitations/"+list.Invitations[0].ID, "", 204)
	as[Problem](t, b, nil, "POST", "/invitation/accept", `{"link":"`+withdrawn+`","account":"zoe","password":"`+newPassword+`"}`, 404)
	last := 0
	for range guessBurst + 1 {
		last = b.do(call{method: "POST", path: "/api/v1/invitation", body: `{"link":"guess"}`}).Code
	}
	if last != 429 {
		t.Errorf("guesses are not limited: %d", last)
	}
}

func TestInvitationOfAnExistingAccount(t *testing.T) {
	b := everyRole(t)
	secret := invited(t, b, Manager)
	hash, err := hashWith(cheap, goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	b.accounts.accounts["luc"] = Account{ID: "luc", Hash: hash, Roles: map[engine.ClinicID]Role{"sud": Clerk}}
	body := func(password string) string {
		return `{"link":"` + secret + `","account":"luc","existing":true,"password":"` + password + `"}`
	}
	as[Problem](t, b, nil, "POST", "/invitation/accept", body("wrong password!"), 401)
	as[Me](t, b, nil, "POST", "/invitation/accept", body(goodPassword), 200)
	if a := b.accounts.accounts["luc"]; a.Role("nord") != Manager || a.Role("sud") != Clerk {
		t.Errorf("%+v", a)
	}
}

// TestOneLinkOnePerson uses a link many times at once.
func TestOneLinkOnePerson(t *testing.T) {
	b := everyRole(t)
	secret := invited(t, b, Clerk)
	var wait sync.WaitGroup
	var mu sync.Mutex
	codes := map[int]int{}
	for i := range 8 {
		wait.Go(func() {
			w := b.do(call{method: "POST", path: "/api/v1/invitation/accept", body: fmt.Sprintf(`{"link":%q,"account":"zoe%d","password":%q}`, secret, i, newPassword)})
			mu.Lock()
			defer mu.Unlock()
			codes[w.Code]++
		})
	}
	wait.Wait()
	if codes[200] != 1 || codes[404] != 7 {
		t.Errorf("%v", codes)
	}
}

func TestMailedInvitation(t *testing.T) {
	var sent []string
	var fail error
	b := everyRole(t, func(c *Config) {
		c.MailInvitation = func(_ context.Context, to engine.Email, in Invitation) error {
			sent = append(sent, string(to)+" "+in.Clinic+" "+in.Link)
			return fail
		}
	})
	admin := b.login("administrator")
	body := `{"role":"clerk","name":"Zoé","mail":"zoe@clinique.example"}`
	l := as[InvitationLink](t, b, admin, "POST", "/clinics/nord/users/invitations", body, 201)
	if !l.Mailed || l.Failed || len(sent) != 1 || sent[0] != "zoe@clinique.example Clinique Nord "+l.Link {
		t.Errorf("%+v %q", l, sent)
	}
	fail = errors.New("no")
	if l = as[InvitationLink](t, b, admin, "POST", "/clinics/nord/users/invitations", body, 201); l.Mailed || !l.Failed || l.Link == "" {
		t.Errorf("%+v", l)
	}
	as[Problem](t, b, admin, "POST", "/clinics/nord/users/invitations", strings.Replace(body, "zoe@", "zoe", 1), 422)
	if strings.Contains(b.logs.String(), "zoe@") {
		t.Error("the address is in the log")
	}
}

func TestRolesChange(t *testing.T) {
	b := everyRole(t)
	admin, clerk := b.login("administrator"), b.login("clerk")
	as[Users](t, b, admin, "POST", "/clinics/nord/users/clerk", `{"role":"operator"}`, 200)
	as[Problem](t, b, clerk, "POST", "/clinics/nord/hold", `{"hold":true}`, 403)
	as[Users](t, b, admin, "POST", "/clinics/nord/users/clerk", `{"suspended":true}`, 200)
	as[Problem](t, b, clerk, "GET", "/clinics/nord/health", "", 404)
	as[Users](t, b, admin, "POST", "/clinics/nord/users/clerk", `{"suspended":false,"role":"manager"}`, 200)
	as[any](t, b, clerk, "GET", "/clinics/nord/fairness", "", 200)
	as[Problem](t, b, admin, "DELETE", "/clinics/nord/users/clerk", "", 204)
	as[Problem](t, b, clerk, "GET", "/me", "", 401)
	if _, ok := b.accounts.accounts["clerk"]; ok || len(b.accounts.sessions) != 1 {
		t.Error("an account without a clinic is still there")
	}
	as[Problem](t, b, admin, "POST", "/clinics/nord/users/other", `{"role":"clerk"}`, 404)
	as[Problem](t, b, admin, "POST", "/clinics/nord/users/manager", `{"role":"emperor"}`, 422)
	want := []string{
		"role_changed administrator clerk operator", "user_suspended administrator clerk", "role_changed administrator clerk manager",
		"user_resumed administrator clerk", "user_removed administrator clerk",
	}
	if said := b.trail.said("nord"); !slices.Equal(said, want) {
		t.Errorf("%q", said)
	}
}

func TestTheLastAdministratorStays(t *testing.T) {
	b := everyRole(t)
	delete(b.accounts.accounts, "marie") // of an old record: an administrator too
	admin := b.login("administrator")
	for _, body := range []string{`{"role":"manager"}`, `{"suspended":true}`} {
		as[Problem](t, b, admin, "POST", "/clinics/nord/users/administrator", body, 409)
	}
	as[Problem](t, b, admin, "DELETE", "/clinics/nord/users/administrator", "", 409)
	as[Users](t, b, admin, "POST", "/clinics/nord/users/manager", `{"role":"administrator"}`, 200)
	as[Users](t, b, admin, "POST", "/clinics/nord/users/administrator", `{"role":"manager"}`, 200)
	as[Problem](t, b, admin, "GET", "/clinics/nord/users", "", 403)
}

func TestAdministratorsOfOneClinic(t *testing.T) {
	b := everyRole(t)
	admin := b.login("administrator")
	b.accounts.accounts["both"] = Account{ID: "both", Hash: "x", Roles: map[engine.ClinicID]Role{"nord": Clerk, "sud": Administrator}}
	b.accounts.accounts["chief"] = Account{ID: "chief", Hash: "x", Everywhere: Administrator}
	// A reset would open the other clinic.
	as[Problem](t, b, admin, "POST", "/clinics/nord/users/both/reset", "", 403)
	as[Problem](t, b, admin, "POST", "/clinics/nord/users/chief/reset", "", 403)
	as[Problem](t, b, admin, "POST", "/clinics/nord/users/chief", `{"role":"operator"}`, 403)
	as[Problem](t, b, admin, "DELETE", "/clinics/nord/users/chief", "", 403)
	as[InvitationLink](t, b, b.login("chief"), "POST", "/clinics/nord/users/both/reset", "", 201)
	as[Users](t, b, admin, "POST", "/clinics/nord/users/both", `{"suspended":true}`, 200)
	if a := b.accounts.accounts["both"]; a.Role("nord") != "" || a.Role("sud") != Administrator {
		t.Errorf("%+v", a)
	}
}

func TestReset(t *testing.T) {
	b := everyRole(t)
	totp, err := newTOTP()
	if err != nil {
		t.Fatal(err)
	}
	a := b.accounts.accounts["clerk"]
	a.TOTP = totp
	b.accounts.accounts["clerk"] = a
	b.accounts.passes[PassToken+"1"] = Pass{Key: PassToken + "1", Account: "clerk"}
	clerk := b.login("clerk")
	l := as[InvitationLink](t, b, b.login("administrator"), "POST", "/clinics/nord/users/clerk/reset", "", 201)
	_, secret, _ := strings.Cut(l.Link, "#")
	if in := as[Invited](t, b, nil, "POST", "/invitation", `{"link":"`+secret+`"}`, 200); in.Kind != "reset" || in.Account != "clerk" {
		t.Errorf("%+v", in)
	}
	as[Me](t, b, nil, "POST", "/invitation/accept", `{"link":"`+secret+`","password":"`+newPassword+`"}`, 200)
	as[Problem](t, b, clerk, "GET", "/me", "", 401)
	if a := b.accounts.accounts["clerk"]; a.TOTP != nil || b.accounts.passes[PassToken+"1"].Key != "" {
		t.Errorf("%+v", a)
	}
	if status, _, body := signIn(b, "clerk", newPassword, ""); status != 200 {
		t.Error(status, body)
	}
	as[Problem](t, b, nil, "POST", "/invitation/accept", `{"link":"`+secret+`","password":"`+newPassword+`"}`, 404)
	b.clock.add(time.Hour)
}
