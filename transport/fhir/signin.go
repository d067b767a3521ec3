package fhir

import (
	"context"
	"net/http"
)

// SignIn is how requests are signed in: Bearer, Basic or a *Backend. The set is closed.
type SignIn interface {
	// authorize puts on r what the server asks for. Its error is an *engine.DMEFailure.
	authorize(ctx context.Context, c *Client, r *http.Request) error
	// refused is told that r was answered with 401, and says whether a new try can go better.
	refused(r *http.Request) bool
}

// Bearer is a token that somebody made by hand. It suits test systems: it does not expire by
// itself, so whoever sees it has it for good.
type Bearer string

func (b Bearer) authorize(_ context.Context, _ *Client, r *http.Request) error { //nolint:unparam // as SignIn has it
	r.Header.Set("Authorization", "Bearer "+string(b))
	return nil
}

func (Bearer) refused(*http.Request) bool { return false }

// String hides the token.
func (Bearer) String() string { return "[redacted]" }

// Basic is a user name and password, for test systems.
type Basic struct{ User, Password string }

func (b Basic) authorize(_ context.Context, _ *Client, r *http.Request) error { //nolint:unparam // as SignIn has it
	r.SetBasicAuth(b.User, b.Password)
	return nil
}

func (Basic) refused(*http.Request) bool { return false }

// String hides the password.
func (Basic) String() string { return "[redacted]" }
