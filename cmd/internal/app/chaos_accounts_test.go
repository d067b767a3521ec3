package app

// The rates of each account: a short code or a pool of numbers, and an account allowed more than one call.
const chaosTexts, chaosCalls = 100, 10 // a second

// accounts puts the carriers into a configuration.
func (s chaosSetup) accounts(cfg *Config) {
	for i, at := range []**TwilioConfig{&cfg.Twilio, &cfg.TwilioSecond} {
		if i >= len(s.Carriers) {
			return
		}
		c := s.Carriers[i]
		*at = &TwilioConfig{
			AccountSID: c.SID, AuthToken: Secret(c.Token), From: c.From, BaseURL: c.Base, TextsPerSecond: chaosTexts, CallsPerSecond: chaosCalls,
		}
	}
}
