package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit/trail"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/config"
	"github.com/moorgate/moorgate/internal/control"
)

// Finding is what came of trying an identity source, or an output of the audit.
type Finding struct {
	Source string `json:"source"`          // its name
	Found  string `json:"found,omitempty"` // what it has; "" with an error
	Error  string `json:"error,omitempty"` // what is wrong, and what to do

	// NotTried is why it was not tried, which is no mistake.
	NotTried string `json:"not_tried,omitempty"`
}

// finding is what came of one trial.
func finding(source, found string, err error) Finding {
	if err != nil {
		return Finding{Source: source, Error: err.Error()}
	}
	return Finding{Source: source, Found: found}
}

// probeTimeout bounds the trying of one source.
const probeTimeout = 30 * time.Second

// Probe tries each identity source of a configuration that has no mistakes, and each
// token server that it trusts. No server is started for that, and nothing is changed.
// If one runs on the data directory already, it tells about its keys.
func Probe(ctx context.Context, cfg config.Config) []Finding {
	findings := []Finding{}
	if signsIn(cfg) {
		findings = append(findings, probeLogin(ctx, cfg)...)
	}
	for _, a := range cfg.Token.Accept {
		found, err := try(ctx, cfg, func(s *Server) (source, error) { return s.openForeign(a) })
		findings = append(findings, finding(a.Source(), found, err))
	}
	if signsIn(cfg) {
		findings = append(findings, probeKeys(ctx, cfg))
	}
	return findings
}

// probeLogin tries each identity source, or the password file that is there without
// any. The first start makes that.
func probeLogin(ctx context.Context, cfg config.Config) (findings []Finding) {
	list := cfg.Login
	if len(list) == 0 {
		l := defaultLogin(cfg)
		if _, err := os.Stat(l.Htpasswd.File); errors.Is(err, fs.ErrNotExist) {
			return []Finding{{Source: l.Source(), NotTried: l.Htpasswd.File + " is made at the first start, with a first user"}}
		}
		list = []config.Login{l}
	}
	for _, l := range list {
		found, err := try(ctx, cfg, func(s *Server) (source, error) {
			return s.openSource(l, &sources{limiter: authn.NewLimiter(0, 0), caches: caches{}})
		})
		findings = append(findings, finding(l.Source(), found, err))
	}
	return findings
}

// ProbeAudit tries each output of the audit, by its name. Nothing is written.
func ProbeAudit(cfg config.Config) []Finding {
	findings := []Finding{}
	for _, one := range trail.Probe(cfg.Audit) {
		findings = append(findings, finding(one.Output, one.Found, one.Err))
	}
	return findings
}

// probeKeys asks the server that runs on the data directory about its keys. Where
// nobody can be asked, that is no mistake of the configuration: keys need nothing that
// could be missing.
func probeKeys(ctx context.Context, cfg config.Config) Finding {
	list, err := control.Dial(cfg.Data).AccessKeys(ctx, "")
	switch {
	case errors.Is(err, control.ErrNotRunning):
		return Finding{Source: access.RobotSource, NotTried: "no server runs on " + cfg.Data + ", which could count them"}
	case err != nil:
		return Finding{Source: access.RobotSource, NotTried: err.Error()}
	}
	expired := 0
	for _, e := range list {
		if e.Expired {
			expired++
		}
	}
	return finding(access.RobotSource, fmt.Sprintf("%d keys, %d of them expired", len(list), expired), nil)
}

// try opens one source, as a server does, and tries it.
func try(ctx context.Context, cfg config.Config, open func(*Server) (source, error)) (string, error) {
	s := newServer(config.Serve, Source{Config: cfg}, slog.New(slog.DiscardHandler))
	defer s.Close() //nolint:errcheck // nothing was written
	opened, err := open(s)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return opened.prober.Probe(ctx)
}

// foreignKeys are those of a token server of others. They are an authn.Prober.
type foreignKeys struct {
	issuer string
	look   func(context.Context) (string, error)
}

// Probe is authn.Prober: it gets the keys.
func (f foreignKeys) Probe(ctx context.Context) (string, error) {
	found, err := f.look(ctx)
	if err != nil {
		return "", fmt.Errorf("token.accept: %w", err)
	}
	return f.issuer + ": " + found, nil
}
