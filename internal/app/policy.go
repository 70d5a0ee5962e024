package app

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/config"
	"github.com/moorgate/moorgate/internal/filewatch"
)

// policy is the policy in force. It follows the configuration file.
type policy struct {
	s         *Server
	reloading sync.Mutex // the file that was read last is the one that counts
	rules     bool       // it is one of rules
	print     string     // its fingerprint
	current   atomic.Pointer[access.Policy]
}

// openPolicy compiles the policy of the configuration, and keeps it in step with
// its file.
func (s *Server) openPolicy() (*policy, error) {
	p := &policy{s: s}
	watched := s.source.File != ""
	var watch *filewatch.Watcher
	if watched {
		watch = filewatch.New(s.log, s.source.File)
	}
	if err := p.use(s.cfg); err != nil {
		return nil, err
	}
	s.auditor.print = p.print
	if watched {
		s.keep = append(s.keep, keeper{what: "policy", file: s.source.File, watch: watch, reload: p.reloadOnRecord, own: true})
	}
	return p, nil
}

// Load returns the policy in force.
func (p *policy) Load() *access.Policy { return p.current.Load() }

// errRulesGone keeps a file that was emptied or cut off from letting in everybody
// who is signed in.
var errRulesGone = errors.New("the access rules are gone: write access: {} to allow nothing, or restart the server to do without rules")

// policyChange is the operation in the audit records.
const policyChange = "policy-change"

// reloadOnRecord is reload, on record if it changes the policy or fails to.
func (p *policy) reloadOnRecord() error {
	p.reloading.Lock()
	defer p.reloading.Unlock()
	before := p.print
	err := p.reload()
	switch {
	case err != nil: // the log has it, which may quote the file
		p.s.auditor.change(context.Background(), policyChange, audit.Failed, "the policy "+p.print+" stays in force")
	case p.print != before:
		p.s.auditor.change(context.Background(), policyChange, audit.Done, "the policy "+p.print+" is in force")
	}
	return err
}

// reload puts the access rules of the file in force. All else that a policy
// depends on stays as the server was started with.
func (p *policy) reload() error {
	cfg, err := p.s.source.Read()
	if err != nil {
		return err
	}
	next := p.s.cfg
	next.Access = cfg.Access
	if p.rules && next.Access == nil {
		return errRulesGone
	}
	if err := p.use(next); err != nil {
		return err
	}
	if cfg.Access = p.s.cfg.Access; !reflect.DeepEqual(cfg, p.s.cfg) {
		p.s.log.Warn("the configuration has changed in more than its access rules: the rest counts from the next start on", "file", p.s.source.File)
	}
	return nil
}

// use puts the policy of a configuration in force.
func (p *policy) use(cfg config.Config) error {
	compiled, mistakes := cfg.Policy()
	var problems []config.Problem
	for _, m := range mistakes {
		if m.Warning {
			p.s.log.Warn("access rules", "rule", m.Path, "warning", m.Message)
			continue
		}
		problems = append(problems, config.Problem{Path: "access." + m.Path, Message: m.Message})
	}
	if err := config.Problems(p.s.source.File, problems); err != nil {
		return err
	}
	p.current.Store(compiled)
	p.rules, p.print = cfg.Access != nil, fingerprint(cfg)
	return nil
}

// fingerprint tells policies apart: the SHA-256 of what the configuration says about
// who may do what.
func fingerprint(cfg config.Config) string {
	text, err := json.Marshal(struct {
		Open   bool          `json:"open"`
		Access *access.Rules `json:"access"`
	}{cfg.Open, cfg.Access})
	if err != nil { // cannot be: they are texts
		return "unknown"
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(text))
}
