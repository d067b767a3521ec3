package fhir

import "relais/engine"

// Modes says how this record system is worked with.
func (c *Client) Modes() []engine.DMEMode {
	return []engine.DMEMode{{What: "booking", Mode: "transaction", Sentence: "A booking is written in one piece, on the condition that the slot is still free."}}
}
