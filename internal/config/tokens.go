package config

import "time"

// Tokens says which tokens we issue, and those of whom we take.
type Tokens struct {
	Service       string        `yaml:"service"`        // what our tokens are for: the audience
	Issuer        string        `yaml:"issuer"`         // who issues them
	Algorithm     string        `yaml:"algorithm"`      // of new signing keys: ES256, RS256 or EdDSA
	TTL           time.Duration `yaml:"ttl"`            // how long a token is good
	RefreshTTL    time.Duration `yaml:"refresh_ttl"`    // how long a refresh token is good after its last use; 0: none are issued
	SessionTTL    time.Duration `yaml:"session_ttl"`    // how long a session is good; 0: none are issued
	Challenge     string        `yaml:"challenge"`      // auto, basic or bearer: how clients are asked to sign in
	RotateOverlap time.Duration `yaml:"rotate_overlap"` // how long a new signing key is published before it signs
	Services      []Service     `yaml:"services"`       // registries of others that trust our tokens
	Accept        []Accept      `yaml:"accept"`         // token servers of others that we trust
}

// Service is a registry of others that trusts our tokens.
type Service struct {
	Name string `yaml:"name"` // as the registry calls itself: its "service"
	Keys string `yaml:"keys"` // how it finds our key: certificate (x5c) or jwks (kid)
}

func (s *Service) setDefaults() { s.Keys = "certificate" }

// Accept is a token server of others that we trust. Exactly one of KeysFile and
// KeysURL is set.
type Accept struct {
	Name     string        `yaml:"name"`      // Identity.Source, as Source returns it
	Issuer   string        `yaml:"issuer"`    // the only one that its tokens may name
	Service  string        `yaml:"service"`   // the audience that they name: us
	Realm    string        `yaml:"realm"`     // where clients get tokens, for the challenge; "" if they know
	KeysFile string        `yaml:"keys_file"` // JWKS, or PEM certificates and public keys
	KeysURL  string        `yaml:"keys_url"`  // JWKS
	CA       string        `yaml:"ca"`        // PEM file of the authorities to trust for KeysURL; "" for those of the system
	Refresh  time.Duration `yaml:"refresh"`   // how often KeysURL is asked
}

func (a *Accept) setDefaults() { a.Refresh = 10 * time.Minute }

// Source is the name of the server in identities.
func (a Accept) Source() string {
	if a.Name != "" {
		return a.Name
	}
	return "token"
}

// defaultTokens is what holds where the file says nothing.
func defaultTokens() Tokens {
	return Tokens{
		Service: "moorgate", Issuer: "moorgate", Algorithm: "ES256",
		TTL: 5 * time.Minute, RefreshTTL: 90 * 24 * time.Hour, SessionTTL: time.Hour,
		Challenge: "auto", RotateOverlap: 10 * time.Minute,
	}
}
