// Package apiclient calls the HTTP API of a running Relais. All but this comment is generated from
// docs/openapi.json: make api makes it anew. docs/api.md walks through a booking.
//
// Give NewClientWithResponses the address with /api/v1 left out, and a request editor that adds the token:
//
//	c, err := apiclient.NewClientWithResponses("https://relais.example.org", apiclient.WithRequestEditorFn(
//		func(_ context.Context, req *http.Request) error {
//			req.Header.Set("Authorization", "Bearer "+token)
//			return nil
//		}))
//
// A client is safe for concurrent use.
package apiclient
