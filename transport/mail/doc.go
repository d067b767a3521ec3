// Package mail sends e-mail through an SMTP server.
//
// Client is safe for concurrent use: it keeps a few connections, each sending one message at a
// time, so at most Config.Pool messages are under way and the others wait their turn.
//
// An outcome is Failed when the server certainly did not take the message and Unknown when the
// link broke after the final dot: the caller must not send an Unknown message again. Accepted
// means that the server took it, which proves nothing about the person. The Message-ID is derived
// from the attempt, so a message that does arrive twice can be recognised.
//
// Bounces that come back as mail are not read here.
package mail
