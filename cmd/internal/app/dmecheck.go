package app

import (
	"strings"
	"time"
)

func (c *checker) fhir(at string, f *FHIRConfig) {
	if f.BaseURL == "" {
		c.say(at+".base_url", "is missing; it is the address of the clinic's FHIR server.")
	} else {
		c.url(at+".base_url", f.BaseURL)
	}
	f.BaseURL = strings.TrimRight(f.BaseURL, "/")
	if n := len(f.HookSecret); n > 0 && n < 16 {
		c.say(at+".hook_secret", "is shorter than 16 characters; anybody who guesses it can make Relais look again and again.")
	}
	c.lasts(at+".poll_every", f.PollEvery, time.Second, 10*time.Minute)
}
