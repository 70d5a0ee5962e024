package app

import (
	"context"
	"fmt"
	"log/slog"
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
}

// probeTimeout bounds the trying of one source.
const probeTimeout = 30 * time.Second

// Probe tries each identity source of a configuration that has no mistakes. No
// server is started for that, and nothing is changed. If one runs on the data
// directory already, it tells about its keys.
func Probe(ctx context.Context, cfg config.Config) []Finding {
	findings := make([]Finding, 0, len(cfg.Login))
	for _, l := range cfg.Login {
		found, err := probe(ctx, cfg, l)
		f := Finding{Source: l.Source(), Found: found}
		if err != nil {
			f.Error = err.Error()
		}
		findings = append(findings, f)
	}
	if f, ok := probeKeys(ctx, cfg); ok {
		findings = append(findings, f)
	}
	return findings
}

// ProbeAudit tries each output of the audit, by its name. Nothing is written.
func ProbeAudit(cfg config.Config) []Finding {
	findings := []Finding{}
	for _, one := range trail.Probe(cfg.Audit) {
		f := Finding{Source: one.Output, Found: one.Found}
		if one.Err != nil {
			f.Error = one.Err.Error()
		}
		findings = append(findings, f)
	}
	return findings
}

// probeKeys asks the server that runs on the data directory about its keys. Where
// none runs they cannot be seen, and need nothing that could be missing.
func probeKeys(ctx context.Context, cfg config.Config) (Finding, bool) {
	list, err := control.Dial(cfg.Data).AccessKeys(ctx, "")
	if err != nil {
		return Finding{}, false // no server, or one that has no keys
	}
	expired := 0
	for _, e := range list {
		if e.Expired {
			expired++
		}
	}
	return Finding{Source: access.RobotSource, Found: fmt.Sprintf("%d keys, %d of them expired", len(list), expired)}, true
}

func probe(ctx context.Context, cfg config.Config, l config.Login) (string, error) {
	s := newServer(config.Serve, Source{Config: cfg}, slog.New(slog.DiscardHandler))
	defer s.Close() //nolint:errcheck // nothing was written
	opened, err := s.openSource(l, &sources{limiter: authn.NewLimiter(0, 0), caches: caches{}})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return opened.prober.Probe(ctx)
}
