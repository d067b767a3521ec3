// Package system runs actors: small pieces of state, each with a mailbox, each handling one message
// at a time. It is the only package that imports Hollywood, and it blunts that library's sharp edges
// once for everybody; DESIGN.md beside it names them and says what was done.
//
// What an actor can count on:
//
//   - Receive is never called twice at once, and messages of one sender arrive in the order sent.
//   - The first message is [Started]. After a panic a fresh actor, made anew, first gets [Restarted].
//     Both are delivered like any message, never on the goroutine that spawned the actor.
//   - A panic costs the message that caused it and the memory of that actor, nothing more: messages
//     waiting behind it are kept, and no other actor notices. An actor that keeps panicking is parked
//     for a growing time while its messages wait.
//   - Timers and results of background work never reach a later life of the actor than the one that
//     asked for them.
//   - A question ([Ask]) always ends: with an answer, or with an error when the actor panics on it,
//     stops, is full, or the asker's context ends.
//
// Receive must not block: slow work goes through [Pipe]. Call [Ask] from outside actors or from work
// inside Pipe, never from Receive, where two actors asking each other would wait for ever.
//
// Everything here is safe for concurrent use, and works inside testing/synctest bubbles when [New] is
// called inside the bubble. Identifiers of actors stand in logs: never make them from personal data.
package system
