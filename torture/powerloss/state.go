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
	about string // what is particular about it
	op    *Op    // and which operation; nil: all
	fate  func(i int, c change) Fate
}

// String says what is particular about s.
func (s State) String() string {
	if s.op == nil {
		return s.about
	}
	return s.about + " " + s.op.String()
}

// sectors are the sizes, in bytes, that disks write in one step.
var sectors = []int{512, 4096}

// extremes is how many of the Corners come first in which all changes share a fate:
// none is there, and all are.
const extremes = 2

// Corners returns the states that are most unlike each other: those in which
// software that forgot a sync shows it. The extremes are the first.
func (d *Disk) Corners() []State {
	every := func(about string, names, content FateKind) State {
		return State{about, nil, func(_ int, c change) Fate {
			if c.file == nil {
				return Fate{Kind: names}
			}
			return Fate{Kind: content}
		}}
	}
	return []State{
		every("nothing that was not synced", Lost, Lost),
		every("everything", Kept, Kept),
		every("names without content", Kept, Lost),
		every("names and lengths without content", Kept, Zeros),
		every("content without names", Lost, Kept),
		every("both names of what was renamed", Both, Kept),
	}
}

// States returns, after the Corners, the states around each change that was not
// certain: all up to it, with the content in order or without; it alone; all but
// it; parts of it. Then come some that random chooses. The number of states grows
// with the number of changes, not with that of their subsets.
func (d *Disk) States(random *rand.Rand, some int) []State {
	states := d.Corners()
	for i, c := range d.pending {
		states = append(states, around(i, c)...)
	}
	for range some {
		states = append(states, anyState(random.Uint64()))
	}
	return states
}

// around returns the states in which change i is the last one, or the odd one
// out.
func around(i int, c change) []State {
	states := []State{
		upTo(i, c, "all up to", Fate{Kind: Kept}),
		odd(i, c, "all but", Fate{}, Kept),
		odd(i, c, "nothing but", Fate{Kind: Kept}, Lost),
	}
	switch {
	case c.file != nil:
		return append(states, torn(i, c)...)
	case c.crosses():
		states = append(states, odd(i, c, "both names after", Fate{Kind: Both}, Kept))
	}
	// A journal of names, and the content comes when it likes.
	return append(states, State{"names up to", &c.op, func(k int, c change) Fate {
		if k <= i && c.file == nil {
			return Fate{Kind: Kept}
		}
		return Fate{}
	}})
}

// torn returns the states in which sectors of the write i are missing.
func torn(i int, c change) (states []State) {
	size := len(c.op.Data)
	for _, sector := range sectors {
		if size <= sector {
			continue
		}
		last := (size - 1) / sector * sector
		for _, f := range []Fate{{Torn, 0, sector}, {Torn, 0, last}, {Torn, sector, size}} {
			what := fmt.Sprintf("only bytes %d to %d of", f.From, f.To)
			states = append(states, odd(i, c, what, f, Kept), upTo(i, c, "all before, and "+what, f))
		}
	}
	return states
}

// upTo is the state in which all before change i survived, nothing after it, and
// of it what fate says.
func upTo(i int, c change, about string, fate Fate) State {
	return State{about, &c.op, func(k int, _ change) Fate {
		switch {
		case k < i:
			return Fate{Kind: Kept}
		case k == i:
			return fate
		default:
			return Fate{}
		}
	}}
}

// odd is the state in which change i has one fate, and all others another.
func odd(i int, c change, about string, fate Fate, others FateKind) State {
	return State{about, &c.op, func(k int, _ change) Fate {
		if k == i {
			return fate
		}
		return Fate{Kind: others}
	}}
}

// anyState is a state by chance: each change has its own.
func anyState(seed uint64) State {
	return State{"what chance chose", nil, func(k int, c change) Fate {
		return c.anyFate(rand.New(rand.NewPCG(seed, uint64(k))))
	}}
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
