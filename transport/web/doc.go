// Package web serves people and programs over HTTP: the versioned API, the live feed, sign-in,
// the front desk's page and the patients' pages. It keeps no state of its own beyond what one
// connection or one rate limit needs.
package web
