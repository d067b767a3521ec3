package app

// accounts puts the carriers into a configuration.
func (s chaosSetup) accounts(cfg *Config) {
	for i, at := range []**TwilioConfig{&cfg.Twilio, &cfg.TwilioSecond} {
		if i >= len(s.Carriers) {
			return
		}
		c := s.Carriers[i]
		*at = &TwilioConfig{
			AccountSID: c.SID, AuthToken: Secret(c.Token), From: c.From, BaseURL: c.Base, TextsPerSecond: 500, CallsPerSecond: 200,
		}
	}
}
