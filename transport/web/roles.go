package web

import (
	"slices"

	"relais/engine"
)

// Role is what somebody is in one clinic.
type Role string

// The roles. Each may do what the one before may, but the operator, who only looks.
const (
	Operator      Role = "operator"      // keeps the machines running: sees everything, changes nothing
	Clerk         Role = "clerk"         // the front desk: slots, patients, the waitlist
	Manager       Role = "manager"       // and modes, insights, exports
	Administrator Role = "administrator" // and settings, users, the audit log
)

// Roles lists the roles, the one that may least first.
var Roles = []Role{Operator, Clerk, Manager, Administrator}

// Permission is what a call needs. The list is closed.
type Permission string

// The permissions.
const (
	Public Permission = "public" // nobody has to be signed in
	Own    Permission = "own"    // anybody who is signed in, about themselves
	Self   Permission = "self"   // the same in person: no API token

	Look    Permission = "look"    // see the desk of a clinic
	Work    Permission = "work"    // act on slots, patients and the waitlist
	Steer   Permission = "steer"   // modes, insights, exports
	Arrange Permission = "arrange" // settings, users, the audit log
)

// granted says what each role may do in its clinic.
var granted = map[Role][]Permission{
	Operator:      {Look},
	Clerk:         {Look, Work},
	Manager:       {Look, Work, Steer},
	Administrator: {Look, Work, Steer, Arrange},
}

// May reports whether the role is enough.
func (r Role) May(p Permission) bool { return slices.Contains(granted[r], p) }

// needs says for every call, by its operation's identifier, the least that its caller must be allowed.
// A call that is not here is refused to everybody, and fails a test.
var needs = map[string]Permission{
	// The session.
	"signIn":             Public,
	"signOut":            Public,
	"me":                 Own,
	"clinics":            Own,
	"signInOptions":      Public,
	"beginPasskeySignIn": Public,
	"passkeySignIn":      Public,
	"invitation":         Public,
	"acceptInvitation":   Public,

	// The account itself.
	"account":          Self,
	"confirmAccount":   Self,
	"changePassword":   Self,
	"beginTOTP":        Self,
	"confirmTOTP":      Self,
	"dropTOTP":         Self,
	"newRecoveryCodes": Self,
	"beginPasskey":     Self,
	"addPasskey":       Self,
	"dropPasskey":      Self,
	"endSession":       Self,
	"endOtherSessions": Self,
	"makeToken":        Self,
	"dropToken":        Self,

	// Users and the audit log.
	"users":              Arrange,
	"invite":             Arrange,
	"withdrawInvitation": Arrange,
	"changeUser":         Arrange,
	"removeUser":         Arrange,
	"resetUser":          Arrange,
	"audit":              Arrange,

	// The clinic and its record system.
	"health": Look,
	"sync":   Look,
	"hold":   Work,
	"check":  Work,

	// Slots.
	"calendar": Look,
	"slot":     Look,
	"act":      Work,
	"explain":  Look,

	// The waitlist and its patients.
	"waitlist":         Look,
	"searchWaitlist":   Look,
	"readAvailability": Work,
	"enrol":            Work,
	"patient":          Look,
	"changeContact":    Work,
	"setSooner":        Work,
	"brokenContacts":   Look,
	"messages":         Look,
	"checkNote":        Work,
	"unread":           Look,
	"settleUnread":     Work,
	"changeEntry":      Work,
	"changePatient":    Work,
	"addEntry":         Work,
	"changeProxy":      Work,
	"changeNote":       Work,
	"duplicates":       Look,
	"mergePatients":    Work,
	"importWaitlist":   Work,
	"exportWaitlist":   Work,
	"newcomers":        Look,
	"searchRecords":    Work,
	"decideJoin":       Work,

	// What patients ask for, and have a right to.
	"patientFile":    Steer,
	"erasePatient":   Steer,
	"correctPatient": Steer,

	// What Relais does by itself, and for whom.
	"mode":         Look,
	"setMode":      Steer,
	"fairness":     Steer,
	"fairnessFile": Steer,
	"insights":     Steer,
	"insightsFile": Steer,
}

// Access is what the account may do in one clinic.
type Access struct {
	Clinic engine.ClinicID `json:"clinic"`
	Role   Role            `json:"role"`
	May    []Permission    `json:"may" nullable:"false"`
}

// may reports whether the caller may do something in a clinic. A token may do what its scopes say and its
// owner still may.
func (c *caller) may(id engine.ClinicID, p Permission) bool {
	if c.token != nil && (c.token.Clinic != id || !slices.Contains(c.token.Scopes, p)) {
		return false
	}
	return c.Role(id).May(p)
}

// access lists what the caller may do in a clinic.
func (c *caller) access(id engine.ClinicID) Access {
	a := Access{Clinic: id, Role: c.Role(id), May: []Permission{}}
	for _, p := range granted[a.Role] {
		if c.may(id, p) {
			a.May = append(a.May, p)
		}
	}
	return a
}
