package web

import (
	"context"
	"sync"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/outlook"
)

// fakeDoors is clinic "nord", which people may join with the code 482913.
type fakeDoors struct {
	mu    sync.Mutex
	door  desk.Door
	asked []desk.JoinRequest
	links []string
	tries int

	identity, still bool
	changes         []desk.OwnChange
	dates           []string
	err             error
}

const goodCode, goodProof = "482913", "0123456789abcdef0123456789abcdefAAAAAAAAAAAAAAAAAAAAAA"

func newFakeDoors() *fakeDoors {
	return &fakeDoors{door: desk.Door{
		Clinic: "nord", Name: "Clinique <Nord> & fils", Phone: "514 555-0100", Lang: engine.French, Open: true, Born: true,
		Practitioners: []engine.Practitioner{
			{ID: "roy", Name: "Dre Anne Roy", Specialty: "dermatology"}, {ID: "lam", Name: "Dr Paul Lam", Specialty: "family-medicine"},
		},
		Places: []engine.Place{{ID: "n", Name: "Nord"}, {ID: "s", Name: "Sud"}},
	}}
}

func (d *fakeDoors) Door(_ context.Context, c engine.ClinicID) (desk.Door, error) {
	if c != "nord" {
		return desk.Door{}, engine.Errorf(engine.NotFound, "there is no such clinic")
	}
	return d.door, d.err
}

func (d *fakeDoors) Join(_ context.Context, _ engine.ClinicID, in desk.JoinRequest) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if in.Given == "" {
		return "", desk.Wrong(desk.FieldName, "a name is needed")
	}
	d.asked = append(d.asked, in)
	return "handle-of-the-join", d.err
}

func (d *fakeDoors) ProveCode(_ context.Context, _ engine.ClinicID, handle, code string) (desk.JoinResult, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tries++
	switch {
	case handle != "handle-of-the-join" || d.tries > 5:
		return desk.JoinOver, d.err
	case code != goodCode:
		return desk.JoinWrong, d.err
	}
	return desk.JoinProven, d.err
}

func (d *fakeDoors) Proving(_ context.Context, token string) (desk.Door, engine.Lang, error) {
	if token != goodProof {
		return desk.Door{}, "", engine.Errorf(engine.NotFound, "there is nothing to confirm")
	}
	return d.door, engine.English, d.err
}

func (d *fakeDoors) ProveLink(_ context.Context, token string) (desk.JoinResult, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.tries++; token != goodProof || d.tries > 1 {
		return desk.JoinAlready, d.err
	}
	return desk.JoinProven, d.err
}

func (d *fakeDoors) SendLink(_ context.Context, _ engine.ClinicID, contact string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.links = append(d.links, contact)
	if contact == "nobody" {
		return desk.Wrong(desk.FieldEmail, "the mail address is not a valid one")
	}
	return d.err
}

// goodOwn is the link to a page with a wish, two contacts and an offer.
const goodOwn = "p-k3j5n7q2w4e6r8t1AAAAAAAAAAAAAAAAAAAAAA"

func (d *fakeDoors) Own(_ context.Context, token string) (desk.OwnView, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if token != goodOwn {
		return desk.OwnView{}, engine.Errorf(engine.NotFound, "there is no such page")
	}
	zone := time.FixedZone("Montréal", -5*3600)
	at := time.Date(2026, 11, 20, 9, 20, 0, 0, zone)
	return desk.OwnView{
		Door: d.door, Zone: zone, Lang: engine.French, Linked: true, Usual: engine.Hours{From: 480, Until: 1260}, Subject: "0123456789abcdef",
		Identity: d.identity, Asked: d.still,
		Contacts: []desk.OwnContact{
			{Index: 0, Channel: engine.SMS, Shown: "••• 0142", Usable: true, Here: true}, {Index: 2, Channel: engine.EmailMail, Shown: "z•••@example.org", Stopped: true},
		},
		Wishes: []desk.OwnWish{{
			Entry: "e1", Status: engine.Waiting, Specialty: "dermatology", Places: []engine.PlaceID{"n"}, Joined: at.AddDate(0, -1, 0), NoticeMinutes: 45,
			Windows: []engine.Window{{Days: 4, From: 0, Until: 720}, {Days: 16, From: 900, Until: 1440}},
			Outlook: outlook.Outlook{From: 20, Until: 40, Half: 12 * 24 * time.Hour, Most: 33 * 24 * time.Hour},
		}},
		Offers: []desk.OwnOffer{{At: at, Start: at.AddDate(0, 0, 4), Status: "lost"}},
	}, nil
}

func (d *fakeDoors) ChangeOwn(ctx context.Context, token string, in desk.OwnChange) (desk.OwnView, string, error) {
	d.mu.Lock()
	d.changes = append(d.changes, in)
	d.mu.Unlock()
	if in.Action == desk.OwnSnooze && in.Until < "2026-11-25" {
		return desk.OwnView{}, "", desk.Wrong(desk.FieldUntil, "in the past")
	}
	v, err := d.Own(ctx, token)
	return v, "handle-of-the-join", err
}

func (d *fakeDoors) Identify(_ context.Context, _, born string) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dates = append(d.dates, born)
	if len(d.dates) > 5 {
		return false, engine.Errorf(engine.TooMany, "too many dates were tried with this link")
	}
	return born == "1946-02-03", nil
}
