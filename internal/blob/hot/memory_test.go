package hot

import (
	"fmt"
	"testing"

	"github.com/moorgate/moorgate/internal/oci"
)

// fill keeps n contents of size bytes, and checks the bound after each.
func fill(t *testing.T, m *memory, n, size int) (digests []oci.Digest) {
	t.Helper()
	for i := range n {
		d := oci.SHA256.FromString(fmt.Sprint(size, i))
		_, version, _ := m.get(d)
		m.keep(d, make([]byte, size), version)
		digests = append(digests, d)
		total := 0
		for at := m.order.Front(); at != nil; at = at.Next() {
			total += at.Value.(*entry).weight()
		}
		if total != m.size || total > m.limit || len(m.kept) != m.order.Len() {
			t.Fatalf("%d contents of %d bytes, %d in the index, counted as %d: the bound is %d", m.order.Len(), total, len(m.kept), m.size, m.limit)
		}
	}
	return digests
}

func has(m *memory, d oci.Digest) bool {
	_, _, ok := m.get(d)
	return ok
}

func TestBound(t *testing.T) {
	t.Parallel()
	m := newMemory(1 << 20)
	for _, size := range []int{1000, 0, maxContent, 7, 100_000, maxContent} {
		fill(t, m, 3000/(1+size/1000), size)
	}
	m = newMemory(maxTotal)
	digests := fill(t, m, 300, maxContent)
	if n, want := len(m.kept), maxTotal/(maxContent+overhead); n != want || !has(m, digests[299]) {
		t.Errorf("%d of the largest are kept, want %d, the last one among them", n, want)
	}
}

func TestWhatWasNotAskedForGoesFirst(t *testing.T) {
	t.Parallel()
	const size = 1000
	m := newMemory(10 * (size + overhead))
	old := fill(t, m, 10, size)
	for _, d := range old[:5] {
		if !has(m, d) {
			t.Errorf("%s is gone before the bound", d)
		}
	}
	fill(t, m, 5, size+1)
	for i, d := range old[1:] { // the new ones are larger by a little: one more goes
		if _, ok := m.kept[d]; ok != (i+1 < 5) {
			t.Errorf("number %d is kept: %v", i+1, ok)
		}
	}
}

func TestKeepingAgainCountsOnce(t *testing.T) {
	t.Parallel()
	m := newMemory(1 << 20)
	fill(t, m, 1, 1000)
	fill(t, m, 1, 1000) // it was there
	d := oci.SHA256.FromString("x")
	for range 2 { // two who read it at the same time
		m.keep(d, make([]byte, 10), 0)
	}
	if m.size != 1010+2*overhead {
		t.Errorf("counted as %d bytes", m.size)
	}
	m.drop(d)
	m.drop(d)
	if m.size != 1000+overhead || has(m, d) {
		t.Errorf("after a drop: %d bytes", m.size)
	}
}
