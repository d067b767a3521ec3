package app

// accounts puts the carriers into a configuration.
func (s chaosSetup) accounts(cfg *Config) {
	c := s.Carriers
	if len(c) == 0 {
		return
	}
	cfg.Twilio = &TwilioConfig{
		AccountSID: c[0].SID, AuthToken: Secret(c[0].Token), From: c[0].From, BaseURL: c[0].Base, TextsPerSecond: 500, CallsPerSecond: 200,
	}
}
