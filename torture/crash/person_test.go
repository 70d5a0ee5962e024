package crash

import (
	"context"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/moorgate/moorgate/torture/client"
	"github.com/moorgate/moorgate/torture/world"
)

// person works on one repository.
type person struct {
	*world.Worker
	fleet  *fleet
	random *rand.Rand
	next   int // craft
}

// work runs one command, and reports whether it was acknowledged. One that fails
// though nobody has killed the server fails the test.
func (p *person) work(t *testing.T) bool {
	step := p.step()
	before, begin := p.fleet.epoch.Load(), time.Now()
	err := p.Do(t.Context(), nil, step)
	undisturbed := before%2 == 0 && before == p.fleet.epoch.Load()
	switch {
	case err == nil:
		if undisturbed {
			p.fleet.lasted(time.Since(begin))
		}
		return true
	case undisturbed:
		t.Errorf("with a server that runs: %v", err)
	default:
		p.fleet.cut.Add(1)
	}
	return false
}

// step returns the next command, each kind in its turn.
func (p *person) step() world.Step {
	for {
		kind := crafts[p.next%len(crafts)]
		p.next++
		if len(p.World.Manifests) > 14 {
			kind = craft{"crane delete a manifest", (*person).craneDelete}
		}
		if s, ok := kind.step(p); ok {
			s.Name = kind.name
			return s
		}
	}
}

// look compares the repository with what was acknowledged, and pulls something.
func (p *person) look(t *testing.T, c *client.Client) {
	if err := p.Settle(t.Context(), c); err != nil {
		t.Errorf("after a kill: %s: %v", p.Repo, err)
		return
	}
	tag := p.oneOf(slices.Sorted(maps.Keys(p.World.Tags)))
	if tag == "" {
		return
	}
	dir := filepath.Join(p.fleet.machine.home, "pulled-"+filepath.Dir(p.Repo))
	command := "crane pull --format oci %s/%s:%s %s"
	if p.random.IntN(2) == 0 {
		command = "skopeo copy --all --src-tls-verify=false docker://%s/%s:%s oci:%s:pulled"
	}
	err := p.fleet.machine.run(t.Context(), command, p.fleet.door.addr, p.Repo, tag, dir)
	if err == nil {
		err = sameLayout(p.World, p.World.Tags[tag], dir)
	}
	if err != nil {
		t.Errorf("pull: %v", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

// command returns a step that runs a command.
func (p *person) command(apply func(*world.World), format string, args ...any) world.Step {
	return world.Step{
		Ask: func(ctx context.Context, _ *client.Client, _ string) error {
			return p.fleet.machine.run(ctx, format, args...)
		},
		Apply: apply,
	}
}

// oneOf returns one of names, in order; "" if there are none.
func (p *person) oneOf(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[p.random.IntN(len(names))]
}
