// Package engine holds the words that every part of Relais shares, and below it the rules:
// packages slot, match, offer, reach, wording, schedule, health and desk.
//
// Everything under engine is pure: no I/O, no clock, no goroutine, no randomness of its own,
// standard library only. Time, identifiers and random sources are arguments. So the same code
// serves the live system, the simulator, the tests and a replay of last month.
//
// Values are plain data and are safe to share once nobody writes to them. Times are UTC;
// wall-clock text for people is made with the clinic's zone.
package engine
