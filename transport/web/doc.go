// Package web serves people and programs over HTTP: the versioned API with its description, the
// live feed, sign-in, the front desk's page and the patients' pages. It keeps no state of its own
// beyond what one connection or one rate limit needs.
//
// A Server is safe for concurrent use. Each request runs on its own goroutine with a bound on its
// time; a live feed costs one goroutine that waits for the browser to leave, and a second one only
// while something is being sent. Nothing that the backend pushes ever waits for a browser: one that
// does not keep up is closed with CloseSlow and comes back for what it missed.
//
// Caveats. Rate limits count in this process only: behind several processes each allows its share.
// A goodbye with a close code needs a connection that still takes bytes; a stalled one is cut
// without it, which a page must treat alike. Sign-out is seen at once by the feeds of this process
// and within 15 seconds by those of others. A renewal that races with a sign-out from another
// browser tab can bring that session back until it is signed out again.
package web
