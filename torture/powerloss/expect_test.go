package powerloss

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// held is what a repository holds: a line for each blob ("blob DIGEST"), manifest
// and tag; that of a tag ("tag NAME") has the digest.
type held map[string]string

// step is a change of a repository. All steps of one repository come one after
// the other.
type step struct {
	repo, name string
	begin      int // operations there were when it was asked for
	acked      int // operations there were when it was acknowledged
	apply      func(held)
}

// repos returns the repositories of all steps.
func (r *record) repos() (repos []string) {
	for _, s := range r.steps {
		if !slices.Contains(repos, s.repo) {
			repos = append(repos, s.repo)
		}
	}
	return repos
}

// lines returns all that a repository has ever held.
func (r *record) lines(repo string) map[string]bool {
	ever, now := map[string]bool{}, held{}
	for _, s := range r.steps {
		if s.repo != repo {
			continue
		}
		s.apply(now)
		for line := range now {
			ever[line] = true
		}
	}
	return ever
}

// expected returns what a repository may hold after n operations: what was
// acknowledged, and that with the step that was under way.
func (r *record) expected(repo string, n int) []held {
	without, with := held{}, held(nil)
	for _, s := range r.steps {
		if s.repo != repo {
			continue
		}
		if s.acked <= n {
			s.apply(without)
			continue
		}
		if s.begin <= n {
			with = maps.Clone(without)
			s.apply(with)
		}
		break
	}
	if with == nil {
		return []held{without}
	}
	return []held{without, with}
}

// underWay describes what was asked for and not acknowledged after n operations.
func (r *record) underWay(n int) string {
	var names []string
	for _, s := range r.steps {
		if s.begin <= n && n < s.acked {
			names = append(names, fmt.Sprintf("%s in %s", s.name, s.repo))
		}
	}
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// compare fails unless a repository holds what it may.
func compare(repo string, got held, want []held) error {
	var errs []error
	for _, w := range want {
		if maps.Equal(got, w) {
			return nil
		}
		var wrong []string
		for line, d := range w {
			if other, ok := got[line]; !ok {
				wrong = append(wrong, line+" is missing")
			} else if other != d {
				wrong = append(wrong, fmt.Sprintf("%s is %s, want %s", line, other, d))
			}
		}
		for line := range got {
			if _, ok := w[line]; !ok {
				wrong = append(wrong, line+" is there")
			}
		}
		slices.Sort(wrong)
		errs = append(errs, fmt.Errorf("%s: %s", repo, strings.Join(wrong, "; ")))
	}
	return errors.Join(errs...)
}
