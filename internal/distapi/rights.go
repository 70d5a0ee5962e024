package distapi

import (
	"slices"
	"sync"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/registry"
)

// rights are those of a caller to what the registry is about to do. They are asked
// for inside a transaction, maybe twice, and noted once behind it, before the call
// says what it did: nothing is to wait for a log there.
type rights struct {
	call *gate.Call

	mu    sync.Mutex // a registry whose caller is gone may still ask
	asked []access.Scope
}

// guard is a registry.Guard.
func (g *rights) guard(e registry.Effect) error {
	switch e.Action {
	case registry.ReadBlob:
		return g.read(access.Scope{Action: access.Pull, Repo: e.Repo})
	case registry.MoveTag:
		return g.ask(access.Scope{Action: access.Overwrite, Repo: e.Repo, Tag: e.Tag})
	case registry.DeleteTag:
		return g.ask(access.Scope{Action: access.Delete, Repo: e.Repo, Tag: e.Tag})
	default:
		return g.ask(access.Scope{Action: access.Admin})
	}
}

// read asks about the source of a mount. Where the caller names none, the
// registry looks for one, and those that it passes over are no denials: nobody
// has asked for them.
func (g *rights) read(s access.Scope) error {
	if g.call.Request.From == "" && !g.call.May(s) {
		return g.call.Try(s)
	}
	return g.ask(s)
}

func (g *rights) ask(s access.Scope) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !slices.Contains(g.asked, s) {
		g.asked = append(g.asked, s)
	}
	return g.call.Try(s)
}

// note records what was asked for.
func (g *rights) note() {
	g.mu.Lock()
	asked := slices.Clone(g.asked)
	g.mu.Unlock()
	for _, s := range asked {
		g.call.Note(s)
	}
}
