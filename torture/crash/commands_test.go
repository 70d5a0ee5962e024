package crash

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/moorgate/moorgate/torture/client"
	"github.com/moorgate/moorgate/torture/world"
)

// at returns the name of something in the person's repository: ":tag" or "@digest".
func (p *person) at(reference string) string { return p.fleet.door.addr + "/" + p.Repo + reference }

func (p *person) tag() string { return fmt.Sprintf("v%d", p.random.IntN(8)) }

// push returns the push of a new image by a command whose last two words are the
// image and its name.
func (p *person) push(i *image, command string) (world.Step, bool) {
	tag := p.tag()
	return world.Step{
		Ask: func(ctx context.Context, _ *client.Client, _ string) error {
			dir, err := i.layout(p.fleet.machine.home)
			if err != nil {
				return err
			}
			err = p.fleet.machine.run(ctx, command, dir, p.at(":"+tag))
			return errors.Join(err, os.RemoveAll(dir))
		},
		Apply: func(x *world.World) { i.note(x, tag) },
	}, true
}

// size returns the size of a layer: now and then one that takes some time.
func (p *person) size() int {
	if p.random.IntN(4) == 0 {
		return 2 << 20
	}
	return 1 + p.random.IntN(64<<10)
}

func (p *person) cranePush() (world.Step, bool) {
	return p.push(newImage(p.size()), "crane push %s %s")
}

func (p *person) craneIndex() (world.Step, bool) {
	return p.push(newIndex(p.size()), "crane push %s %s")
}

func (p *person) skopeoPush() (world.Step, bool) {
	return p.push(newImage(p.size()), "skopeo copy --dest-tls-verify=false oci:%s:image docker://%s")
}

// copy returns the copy of an image of the base: its blobs are mounted.
func (p *person) copy(command string) (world.Step, bool) {
	n, tag := p.random.IntN(len(p.fleet.images)), p.tag()
	from := fmt.Sprintf("%s/base/images:v%d", p.fleet.door.addr, n)
	return p.command(func(x *world.World) { p.fleet.images[n].note(x, tag) }, command, from, p.at(":"+tag)), true
}

func (p *person) craneCopy() (world.Step, bool) { return p.copy("crane copy %s %s") }

func (p *person) skopeoCopy() (world.Step, bool) {
	return p.copy("skopeo copy --src-tls-verify=false --dest-tls-verify=false docker://%s docker://%s")
}

func (p *person) craneTag() (world.Step, bool) {
	d, tag := p.oneOf(tops(p.World)), p.tag()
	return p.command(func(x *world.World) { x.Tags[tag] = d }, "crane tag %s %s", p.at("@"+d), tag), d != ""
}

func (p *person) craneUntag() (world.Step, bool) {
	tag := p.oneOf(slices.Sorted(maps.Keys(p.World.Tags)))
	return p.command(func(x *world.World) { delete(x.Tags, tag) }, "crane delete %s", p.at(":"+tag)), tag != ""
}

func (p *person) craneDelete() (world.Step, bool) {
	d := p.oneOf(tops(p.World))
	return p.command(func(x *world.World) { x.DropManifest(d) }, "crane delete %s", p.at("@"+d)), d != ""
}

// skopeoDelete deletes the manifest behind a tag, and all its tags with it.
func (p *person) skopeoDelete() (world.Step, bool) {
	tag := p.oneOf(slices.Sorted(maps.Keys(p.World.Tags)))
	d := p.World.Tags[tag]
	return p.command(func(x *world.World) { x.DropManifest(d) }, "skopeo delete --tls-verify=false docker://%s", p.at(":"+tag)), tag != ""
}
