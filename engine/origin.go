package engine

// OriginKey is the key under which the context of a command carries, as a string, where it comes from: an address,
// and by what, such as "203.0.113.9 session" or "203.0.113.9 token 1f2e3d4c5b6a". It goes on the timeline.
type OriginKey struct{}
