package app

import (
	"errors"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/config"
	"github.com/moorgate/moorgate/internal/filewatch"
)

// policy is the policy in force. It follows the configuration file.
type policy struct {
	s         *Server
	reloading sync.Mutex // the file that was read last is the one that counts
	rules     bool       // it is one of rules
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
	if watched {
		s.keep = append(s.keep, keeper{what: "policy", file: s.source.File, watch: watch, reload: p.reload})
	}
	return p, nil
}

// Load returns the policy in force.
func (p *policy) Load() *access.Policy { return p.current.Load() }

// errRulesGone keeps a file that was emptied or cut off from letting in everybody
// who is signed in.
var errRulesGone = errors.New("the access rules are gone: write access: {} to allow nothing, or restart the server to do without rules")

// reload puts the access rules of the file in force. All else that a policy
// depends on stays as the server was started with.
func (p *policy) reload() error {
	p.reloading.Lock()
	defer p.reloading.Unlock()
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
	p.rules = cfg.Access != nil
	return nil
}
