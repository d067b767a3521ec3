// Package carrier stands between Relais and its telephone accounts: it makes messages wait for
// their turn, shares the turns between clinics, and goes to the second account when the first
// does not work.
//
// # Turns
//
// A number sends so many segments a second and an account starts so many calls; whatever is handed
// over faster waits at the carrier, where nothing can be called back any more. So it waits here.
// Each account has a lane for texts and one for calls. A lane gives every clinic that has something
// waiting the same share of its rate, counted in segments or calls (start-time fair queueing: Goyal,
// Vin and Cheng, SIGCOMM 1996). Inside a clinic what answers a person goes before offers, then the
// slot that begins first, then what came first. An answer may also run ahead of its clinic's share,
// by a bounded amount.
//
// A message that would wait longer than its context, or finds the lane full, is given back as
// Failed, Dropped, Retry, with the time after which it is worth asking again: no try was made. When
// the lane is full, the clinic with most waiting gives its last message back, whoever comes.
//
// # Fail-over
//
// A message goes to the next account only when it certainly did not leave by this one: the account
// refused it for a reason of its own, could not be reached, or its breaker is open. An Unknown
// outcome ends the matter: the carrier may have it. What is wrong with the contact is wrong
// everywhere, and does not count against an account.
//
// A Group is safe for concurrent use. It starts no goroutine that outlives a call.
package carrier
