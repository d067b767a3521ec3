package twilio

import "net/http"

type testWire struct{ http.RoundTripper }

func (testWire) CloseIdleConnections() {}

// SetWire has a client speak over another wire.
func SetWire(c *Client, w http.RoundTripper) { c.wire = testWire{w} }
