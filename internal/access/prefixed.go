package access

import "slices"

// prefixed finds patterns by the literal text that they begin with: of many
// patterns only those are tried whose beginning fits.
type prefixed[T any] struct {
	lengths []int // of the beginnings, ascending
	byText  map[string][]T
}

func (p *prefixed[T]) add(beginning string, v T) {
	if p.byText == nil {
		p.byText = map[string][]T{}
	}
	if i, found := slices.BinarySearch(p.lengths, len(beginning)); !found {
		p.lengths = slices.Insert(p.lengths, i, len(beginning))
	}
	p.byText[beginning] = append(p.byText[beginning], v)
}

// with returns what begins with the first n bytes of s, for n of p.lengths.
func (p *prefixed[T]) with(s string, n int) []T {
	if n > len(s) {
		return nil
	}
	return p.byText[s[:n]]
}
