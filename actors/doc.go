// Package actors is the live system: thin shells round the rules of package engine. Each clinic,
// open slot, offer, record system and calendar is an actor of its own.
//
//   - A clinic actor decides which freed slots may be offered and spreads suspension.
//   - A slot actor owns one slot's life. It takes one input at a time: Step, commit, then act, so
//     the first confirmation wins without a lock.
//   - A notifier actor owns one offer's messages and drives them through the channels.
//   - A dme actor looks at one clinic's record system, says what changed there, and writes
//     bookings back.
//   - A calendar actor numbers a clinic's changes and pushes them to every page.
//
// What an actor promises to do is an effect in the store's outbox, written in the commit of the
// state that decided it, and removed in the commit of the state that carried it out. So after a
// crash at any moment nothing is lost and nothing is done twice.
package actors
