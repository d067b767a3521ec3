// Package fhir reaches a record system that speaks FHIR R4 over HTTP: it looks at schedules and
// appointments, writes bookings and cancellations on condition, and asks to be told of changes.
//
// A Client is safe for concurrent use. Every error is or wraps an *engine.DMEFailure whose words
// carry no personal data and nothing that the server wrote in prose.
//
// What is read is kept as the server sent it: a resource is changed by replacing single fields of
// its JSON, so extensions that we do not know survive a write.
//
// How it works with a server is learned from the server: Modes tells the ways chosen, Check tries
// them. Without transactions a booking is written step by step and taken back where it fails;
// without If-Match it is read again and gives way where it is not alone on its slot.
//
// Caveats. Statuses are open strings: what is not known to be free is not free. Deleted resources
// do not show in Changes, only in Snapshot and Read. A server that ignores If-Match can, for the
// moment between a write and its second reading, show two appointments on a slot.
package fhir
