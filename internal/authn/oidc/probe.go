package oidc

import "context"

// Probe is authn.Prober: it gets the keys, and compares the clock of whoever has them
// with ours.
func (s *Source) Probe(ctx context.Context) (string, error) {
	if s.file != nil {
		return s.cfg.Issuer + ": keys in " + s.cfg.KeysFile, nil // reading them was the test
	}
	found, err := s.url.Probe(ctx, s.cfg.Leeway)
	if err != nil {
		return "", err
	}
	return s.cfg.Issuer + ": " + found, nil
}
