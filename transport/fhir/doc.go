// Package fhir reaches a record system that speaks FHIR R4 over HTTP: it looks at schedules and
// appointments, writes bookings and cancellations on condition, and asks to be told of changes.
//
// A Client is safe for concurrent use. Every error is an *engine.DMEFailure whose words carry no
// personal data and nothing that the server wrote in prose.
//
// What is read is kept as the server sent it: a resource is changed by replacing single fields of
// its JSON, so extensions that we do not know survive a write.
//
// Caveats. A booking needs a server that carries out transaction Bundles and checks If-Match
// inside them; one that declares its interactions without "transaction" gets no booking at all,
// because anything weaker can give one slot to two people. Statuses are open strings: what is
// not known to be free is not free. Deleted resources do not show in Changes, only in Snapshot
// and Read.
package fhir
