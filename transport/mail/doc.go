// Package mail sends e-mail through an SMTP server and takes what comes back.
//
// Client is safe for concurrent use: it keeps a few connections, each sending one message at a
// time, so at most Config.Pool messages are under way and the others wait their turn.
//
// An outcome is Failed when the server certainly did not take the message and Unknown when the
// link broke after the final dot: the caller must not send an Unknown message again. Accepted
// means that the server took it, which proves nothing about the person. The Message-ID is derived
// from the attempt, so a message that does arrive twice can be recognised.
//
// Inbound takes what comes back: reports of bounces and deliveries, people's replies and complaints,
// each at an address that names the attempt and that nobody can forge (Addresses). It takes nothing else.
//
// SMTP cannot be asked later what became of a message, so Client is no actors.Looker: an Unknown
// outcome stays unknown until a report on it comes in.
package mail
