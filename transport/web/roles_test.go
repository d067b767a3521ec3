package web

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"relais/engine"
)

// operations lists every call of the API.
func operations(t *testing.T) (list []struct{ id, method, path string }) {
	t.Helper()
	text, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var spec struct {
		Paths map[string]map[string]struct {
			ID string `json:"operationId"`
		}
	}
	if err := json.Unmarshal(text, &spec); err != nil {
		t.Fatal(err)
	}
	for path, methods := range spec.Paths {
		for method, op := range methods {
			list = append(list, struct{ id, method, path string }{op.ID, strings.ToUpper(method), path})
		}
	}
	if len(list) < 20 {
		t.Fatalf("only %d calls", len(list))
	}
	return list
}

// pathOf fills in the clinic, and something for everything else.
func pathOf(path string, clinic engine.ClinicID) string {
	path = strings.ReplaceAll(path, "{clinic}", string(clinic))
	for {
		before, rest, found := strings.Cut(path, "{")
		if !found {
			return path
		}
		_, after, _ := strings.Cut(rest, "}")
		path = before + "x1" + after
	}
}

func TestEveryCallSaysWhatItNeeds(t *testing.T) {
	known := map[string]bool{}
	for _, op := range operations(t) {
		known[op.id] = true
		p, ok := needs[op.id]
		inClinic := strings.Contains(op.path, "{clinic}")
		switch {
		case !ok:
			t.Errorf("%s %s: add %q to needs in roles.go", op.method, op.path, op.id)
		case inClinic && (p == Own || p == Self || p == Public):
			t.Errorf("%s is about a clinic and needs nothing there", op.id)
		case !inClinic && p != Own && p != Self && p != Public:
			t.Errorf("%s needs %s, and names no clinic to have it in", op.id, p)
		}
	}
	for id := range needs {
		if !known[id] {
			t.Errorf("there is no call %q", id)
		}
	}
}

// everyRole has one account for each role in nord, named for the role, and "other" in sud.
func everyRole(t *testing.T, change ...func(*Config)) *bench {
	t.Helper()
	b := setup(t, change...)
	b.cost, b.dummy = cheap, b.accounts.accounts["marie"].Hash
	for _, r := range Roles {
		id := engine.UserID(r)
		b.accounts.accounts[id] = Account{ID: id, Roles: map[engine.ClinicID]Role{"nord": r}}
	}
	b.accounts.accounts["other"] = Account{ID: "other", Roles: map[engine.ClinicID]Role{"sud": Administrator}}
	b.accounts.accounts["odd"] = Account{ID: "odd", Roles: map[engine.ClinicID]Role{"nord": "emperor"}}
	return b
}

func TestEveryCallWithEveryRole(t *testing.T) {
	b := everyRole(t)
	for _, op := range operations(t) {
		p := needs[op.id]
		if p == Public {
			continue
		}
		status := func(who string) int {
			w := b.do(call{method: op.method, path: pathOf(op.path, "nord"), cookie: b.login(engine.UserID(who)), header: withKey})
			return w.Code
		}
		for _, r := range Roles {
			got := status(string(r))
			if may := p == Own || p == Self || r.May(p); may == (got == http.StatusForbidden) || got == http.StatusUnauthorized {
				t.Errorf("%s as %s: %d", op.id, r, got)
			}
		}
		if p == Own || p == Self {
			continue
		}
		for _, who := range []string{"other", "odd"} {
			if got := status(who); got != http.StatusNotFound {
				t.Errorf("%s as %s: %d", op.id, who, got)
			}
		}
	}
}

func TestWhatTheRolesAreFor(t *testing.T) {
	for r, list := range map[Role]string{
		Operator: "look", Clerk: "look work", Manager: "look work steer", Administrator: "look work steer arrange", "": "", "x": "",
	} {
		got := ""
		for _, p := range []Permission{Look, Work, Steer, Arrange, Own, Self, Public} {
			if r.May(p) {
				got += " " + string(p)
			}
		}
		if strings.TrimSpace(got) != list {
			t.Errorf("%q may%s", r, got)
		}
	}
}

func TestMeSaysTheRole(t *testing.T) {
	b := everyRole(t)
	me := decode[Me](t, b.do(call{method: "GET", path: "/api/v1/me", cookie: b.login("manager")}))
	if len(me.Clinics) != 1 || len(me.Access) != 1 || me.Access[0].Clinic != "nord" || me.Access[0].Role != Manager || len(me.Access[0].May) != 3 {
		t.Errorf("%+v", me)
	}
	b.accounts.accounts["root"] = Account{ID: "root", Everywhere: Administrator, Roles: map[engine.ClinicID]Role{"sud": Operator}}
	me = decode[Me](t, b.do(call{method: "GET", path: "/api/v1/me", cookie: b.login("root")}))
	if len(me.Access) != 2 || me.Access[0].Role != Administrator || me.Access[1].Role != Operator {
		t.Errorf("%+v", me)
	}
}

func TestAccountsOfBeforeThereWereRoles(t *testing.T) {
	var a Account
	if err := json.Unmarshal([]byte(`{"id":"marie","hash":"x","clinics":["nord"]}`), &a); err != nil {
		t.Fatal(err)
	}
	if a.Role("nord") != Administrator || a.Role("sud") != "" {
		t.Errorf("nord %q, sud %q", a.Role("nord"), a.Role("sud"))
	}
	a.Roles = map[engine.ClinicID]Role{"nord": Clerk}
	if a.Role("nord") != Clerk {
		t.Errorf("a role that was given later does not count: %q", a.Role("nord"))
	}
}

func TestFeedOfAnotherClinic(t *testing.T) {
	l := listen(t)
	l.accounts.accounts["luc"] = Account{ID: "luc", Roles: map[engine.ClinicID]Role{"nord": Operator}}
	l.accounts.accounts["paul"] = Account{ID: "paul", Roles: map[engine.ClinicID]Role{"sud": Administrator}}
	dial := func(who engine.UserID, clinic string) *websocket.Conn {
		conn, _, err := l.dial(t, "clinic="+clinic, l.login(who))
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	mine := dial("luc", "nord")
	if f := mustNext(t, mine); f.Snapshot == nil {
		t.Errorf("an operator of the clinic: %+v", f)
	}
	for _, clinic := range []string{"nord", "nowhere"} {
		if code := closed(t, dial("paul", clinic)); code != CloseUnknown {
			t.Errorf("an administrator of another clinic at %s: %d", clinic, code)
		}
	}
	// The role ends while the page is open.
	_ = l.accounts.PutAccount(t.Context(), Account{ID: "luc", Roles: map[engine.ClinicID]Role{"sud": Clerk}})
	for range pingSweeps {
		l.feed.sweep(t.Context())
	}
	if code := closed(t, mine); code != CloseSignedOut {
		t.Errorf("after the role ended: %d", code)
	}
}
