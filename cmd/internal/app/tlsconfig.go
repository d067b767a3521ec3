package app

import (
	"net"
	"net/url"
	"time"
)

// TLSConfig is how browsers and carriers reach this program by HTTPS without a proxy in front: with
// certificate files, or with a made-up certificate for trying.
type TLSConfig struct {
	CertFile string `yaml:"cert_file"` // PEM, with the chain
	KeyFile  string `yaml:"key_file"`  // PEM
	Local    bool   `yaml:"local"`     // a certificate of an authority that Relais makes, for trying
	Redirect string `yaml:"redirect"`  // host:port where plain HTTP is sent to HTTPS; empty: nowhere
}

// tls checks that nobody's data travels in the open.
func (c *checker) tls(cfg *Config) {
	t := cfg.TLS
	if t == nil {
		c.plain(cfg)
		return
	}
	switch own := t.CertFile != "" || t.KeyFile != ""; {
	case own && t.Local:
		c.say("tls.local", "is true, but certificate files are given; keep one of them.")
	case !own && !t.Local:
		c.say("tls", "names no certificate; give cert_file and key_file, or local: true for trying.")
	case own:
		c.pair("tls", t.CertFile, t.KeyFile)
		if t.CertFile == "" || t.KeyFile == "" || c.spoken("tls.cert_file") || c.spoken("tls.key_file") {
			break
		}
		if until := (&certificate{cert: t.CertFile, key: t.KeyFile}).until(); until.IsZero() {
			c.say("tls.cert_file", "cannot be used together with key_file; name a PEM certificate with its chain, and its key.")
		} else if time.Now().After(until) {
			c.say("tls.cert_file", "expired on %s; put a new certificate into its place.", until.Format(time.DateOnly))
		}
	}
	if u, err := url.Parse(cfg.PublicURL); err == nil && u.Scheme == "http" {
		c.say("public_url", "begins with http://, but tls is given; write https://.")
	}
	if t.Redirect != "" {
		if _, _, err := net.SplitHostPort(t.Redirect); err != nil || t.Redirect == cfg.Addr {
			c.say("tls.redirect", "is %q; write a host and a port that addr does not have, for example :80.", t.Redirect)
		}
	}
}

// plain allows plain HTTP on this machine only, or from a proxy that is named.
func (c *checker) plain(cfg *Config) {
	host, _, err := net.SplitHostPort(cfg.Addr)
	if err != nil || isLoopback(host) || len(cfg.TrustedProxies) > 0 {
		return
	}
	c.say("addr", "is %q, where others could reach Relais without encryption; give tls, name the proxy that speaks HTTPS in trusted_proxies, or listen on localhost.", cfg.Addr)
}
