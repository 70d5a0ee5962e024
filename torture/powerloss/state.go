package powerloss

import (
	"fmt"
	"math/rand/v2"
)

// Fate is what became of one change.
type Fate struct {
	Kind     FateKind
	From, To int // Torn: the bytes of the write that survived
}

// FateKind says how much of a change survived.
type FateKind int

// The kinds of a Fate. What makes no sense for a change is Kept.
const (
	Lost FateKind = iota
	Kept
	Zeros // a write: the file has the length, and zeros where the write made it longer
	Torn  // a write: a part of it, and the length up to there
	Both  // a rename to another directory: the new name is there, and the old one too
)

// State is one way in which the power may have gone: a fate for each change of a
// Disk that was not certain.
type State struct {
	Name  string // what is particular about it
	Fates []Fate
}

// sectors are the sizes, in bytes, that disks write in one step.
var sectors = []int{512, 4096} //nolint:gochecknoglobals // a constant table

// Corners returns the states that are most unlike each other: those in which
// software that forgot a sync shows it.
func (d *Disk) Corners() []State {
	every := func(names, content Fate) []Fate {
		return d.fates(func(_ int, c change) Fate {
			if c.file == nil {
				return names
			}
			return content
		})
	}
	lost, kept := Fate{Kind: Lost}, Fate{Kind: Kept}
	return []State{
		{"nothing that was not synced", every(lost, lost)},
		{"everything", every(kept, kept)},
		{"names without content", every(kept, lost)},
		{"names and lengths without content", every(kept, Fate{Kind: Zeros})},
		{"content without names", every(lost, kept)},
		{"both names of what was renamed", every(Fate{Kind: Both}, kept)},
	}
}

// States returns, after the Corners, the states around each change that was not
// certain: all up to it, with the content in order or without; it alone; all but
// it; parts of it. Then come some that random chooses. The number of states grows
// with the number of changes, not with that of their subsets.
func (d *Disk) States(random *rand.Rand, some int) []State {
	states := d.Corners()
	for i, c := range d.pending {
		states = append(states, d.around(i, c)...)
		if c.file != nil {
			states = append(states, d.torn(i, c)...)
		} else if c.crosses() {
			states = append(states, d.one(i, "both names after ", Fate{Kind: Both}, Fate{Kind: Kept}))
		}
	}
	for range some {
		states = append(states, State{"random", d.fates(func(_ int, c change) Fate { return c.anyFate(random) })})
	}
	return states
}

// around returns the states in which change i is the last one, or the odd one
// out.
func (d *Disk) around(i int, c change) []State {
	kept := Fate{Kind: Kept}
	states := []State{
		{"all up to " + c.op.String(), d.fates(func(k int, _ change) Fate {
			if k <= i {
				return kept
			}
			return Fate{}
		})},
		d.one(i, "all but ", Fate{}, kept),
		d.one(i, "nothing but ", kept, Fate{}),
	}
	if c.file == nil { // a journal of names, and the content comes when it likes
		states = append(states, State{"names up to " + c.op.String(), d.fates(func(k int, c change) Fate {
			if k <= i && c.file == nil {
				return kept
			}
			return Fate{}
		})})
	}
	return states
}

// torn returns the states in which sectors of the write i are missing.
func (d *Disk) torn(i int, c change) (states []State) {
	size := len(c.op.Data)
	for _, sector := range sectors {
		if size <= sector {
			continue
		}
		last := (size - 1) / sector * sector
		for _, f := range []Fate{{Torn, 0, sector}, {Torn, 0, last}, {Torn, sector, size}} {
			what := fmt.Sprintf("only bytes %d to %d of ", f.From, f.To)
			states = append(states, d.one(i, what, f, Fate{Kind: Kept}), State{"up to " + what + c.op.String(), d.fates(func(k int, _ change) Fate {
				switch {
				case k < i:
					return Fate{Kind: Kept}
				case k == i:
					return f
				default:
					return Fate{}
				}
			})})
		}
	}
	return states
}

// one returns the state in which change i has one fate, and all others another.
func (d *Disk) one(i int, what string, fate, others Fate) State {
	return State{what + d.pending[i].op.String(), d.fates(func(k int, _ change) Fate {
		if k == i {
			return fate
		}
		return others
	})}
}

func (d *Disk) fates(choose func(int, change) Fate) []Fate {
	fates := make([]Fate, len(d.pending))
	for i, c := range d.pending {
		fates[i] = choose(i, c)
	}
	return fates
}

// crosses reports whether c renames between two directories.
func (c change) crosses() bool { return c.set != nil && c.unset != nil && c.set.dir != c.unset.dir }

func (c change) anyFate(random *rand.Rand) Fate {
	size := len(c.op.Data)
	switch n := random.IntN(8); {
	case n < 3:
		return Fate{Kind: Lost}
	case n == 3 && c.crosses():
		return Fate{Kind: Both}
	case n == 3 && size > 0:
		return Fate{Kind: Zeros}
	case n == 4 && size > sectors[0]:
		at := (1 + random.IntN((size-1)/sectors[0])) * sectors[0]
		if random.IntN(2) == 0 {
			return Fate{Torn, 0, at}
		}
		return Fate{Torn, at, size}
	default:
		return Fate{Kind: Kept}
	}
}
