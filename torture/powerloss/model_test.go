package powerloss

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The operations of the tests, short.
func create(p string) Op             { return Op{Kind: Create, Path: p} }
func mkdir(p string) Op              { return Op{Kind: Mkdir, Path: p} }
func write(p, s string, at int64) Op { return Op{Kind: Write, Path: p, Data: []byte(s), Offset: at} }
func truncate(p string, n int64) Op  { return Op{Kind: Truncate, Path: p, Offset: n} }
func sync(p string) Op               { return Op{Kind: Sync, Path: p} }
func syncDir(p string) Op            { return Op{Kind: SyncDir, Path: p} }
func rename(from, to string) Op      { return Op{Kind: Rename, Path: from, To: to} }
func remove(p string) Op             { return Op{Kind: Remove, Path: p} }

// durable returns ops after which a file is certain.
func durable(p, s string) []Op {
	return []Op{create(p), write(p, s, 0), sync(p), syncDir(filepath.Dir("/" + p)[1:])}
}

// text is an image in one line: "a=content dir/b=".
func (m Image) text() string {
	var parts []string
	for _, p := range slices.Sorted(maps.Keys(m.Files)) {
		parts = append(parts, p+"="+strings.ReplaceAll(string(m.Files[p]), "\x00", "0"))
	}
	return strings.Join(parts, " ")
}

// images returns all images that there may be after ops, in order.
func images(t *testing.T, ops ...Op) []string {
	t.Helper()
	d, err := After(ops)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, s := range d.States(rand.New(rand.NewPCG(1, 2)), 200) {
		found[d.Image(s).text()] = true
	}
	return slices.Sorted(maps.Keys(found))
}

func TestWhatSurvives(t *testing.T) {
	t.Parallel()
	dirs := []Op{mkdir("up"), mkdir("to"), syncDir("")}
	tests := []struct {
		name string
		ops  [][]Op
		want []string
	}{
		{"a new file without a sync", [][]Op{{create("f"), write("f", "ab", 0)}}, []string{"", "f=", "f=00", "f=ab"}},
		{"a sync of the file does not keep its name", [][]Op{{create("f"), write("f", "ab", 0), sync("f")}}, []string{"", "f=ab"}},
		{"a sync of the directory does not keep content", [][]Op{{create("f"), write("f", "ab", 0), syncDir("")}}, []string{"f=", "f=00", "f=ab"}},
		{"both syncs keep all", [][]Op{durable("f", "ab")}, []string{"f=ab"}},
		{"what is written after the sync", [][]Op{durable("f", "ab"), {write("f", "X", 0), write("f", "Y", 1)}}, []string{"f=Xb", "f=XY", "f=aY", "f=ab"}},
		{"a longer file may have zeros", [][]Op{durable("f", "a"), {write("f", "b", 1)}}, []string{"f=a", "f=a0", "f=ab"}},
		{"a cut", [][]Op{durable("f", "abc"), {truncate("f", 1)}}, []string{"f=a", "f=abc"}},
		{"a cut that is synced", [][]Op{durable("f", "abc"), {truncate("f", 1), sync("f")}}, []string{"f=a"}},
		{"a removal", [][]Op{durable("f", "a"), {remove("f")}}, []string{"", "f=a"}},
		{"a removal that is synced", [][]Op{durable("f", "a"), {remove("f"), syncDir("")}}, []string{""}},
		{"a rename over a file", [][]Op{durable("f", "old"), durable("g", "new"), {rename("g", "f")}}, []string{"f=new", "f=old g=new"}},
		{"a rename that is synced", [][]Op{durable("f", "old"), durable("g", "new"), {rename("g", "f"), syncDir("")}}, []string{"f=new"}},
		{
			"a rename before the sync of the file",
			[][]Op{durable("f", "old"), {create("g"), write("g", "n", 0), rename("g", "f"), syncDir("")}},
			[]string{"f=", "f=0", "f=n"},
		},
		{"a rename to another directory", [][]Op{dirs, durable("up/f", "a"), {rename("up/f", "to/g")}}, []string{"to/g=a", "to/g=a up/f=a", "up/f=a"}},
		{"its new name is synced", [][]Op{dirs, durable("up/f", "a"), {rename("up/f", "to/g"), syncDir("to")}}, []string{"to/g=a", "to/g=a up/f=a"}},
		{"its old name is synced", [][]Op{dirs, durable("up/f", "a"), {rename("up/f", "to/g"), syncDir("up")}}, []string{"to/g=a"}},
		{
			"the name of a file that was never certain",
			[][]Op{dirs, {create("up/f"), write("up/f", "a", 0), sync("up/f"), rename("up/f", "to/g"), syncDir("to")}},
			[]string{"to/g=a", "to/g=a up/f=a"},
		},
		{"a directory that was not synced", [][]Op{{mkdir("d")}, durable("d/f", "a")}, []string{"", "d/f=a"}},
		{"a name that is used again", [][]Op{durable("f", "1"), {remove("f")}, durable("f", "2")}, []string{"f=2"}},
		{
			"an old name that is used again",
			[][]Op{dirs, durable("up/f", "1"), {rename("up/f", "to/g"), syncDir("to")}, durable("up/f", "2")},
			[]string{"to/g=1 up/f=2"},
		},
		{
			"a rename over a name that was removed",
			[][]Op{dirs, durable("to/g", "1"), durable("up/f", "2"), {remove("to/g"), rename("up/f", "to/g"), syncDir("up")}},
			[]string{"to/g=2"},
		},
		{
			"a second name",
			[][]Op{durable("f", "a"), {{Kind: Link, Path: "f", To: "g"}, write("g", "b", 0)}},
			[]string{"f=a", "f=a g=a", "f=b", "f=b g=b"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			slices.Sort(tt.want)
			if got := images(t, slices.Concat(tt.ops...)...); !slices.Equal(got, tt.want) {
				t.Errorf("there may be\n%q, want\n%q", got, tt.want)
			}
		})
	}
}

func TestWritesAreTornAtSectors(t *testing.T) {
	t.Parallel()
	const size = 8200
	got := map[string]bool{}
	for _, image := range images(t, slices.Concat(durable("f", ""), []Op{write("f", strings.Repeat("x", size), 0)})...) {
		got[image] = true
	}
	for _, n := range []int{0, 512, 4096, 8192, size} {
		head := "f=" + strings.Repeat("x", n)
		if !got[head] {
			t.Errorf("the first %d bytes alone were not seen", n)
		}
	}
	for _, n := range []int{512, 4096, size} {
		tail := "f=" + strings.Repeat("0", n) + strings.Repeat("x", size-n)
		if !got[tail] {
			t.Errorf("all but the first %d bytes were not seen", n)
		}
	}
}

func TestRecordWithGaps(t *testing.T) {
	t.Parallel()
	for _, op := range []Op{
		write("f", "a", 0), truncate("f", 1), sync("f"), syncDir("d"), rename("f", "g"), remove("f"), create("d/f"),
		{Kind: Link, Path: "f", To: "g"},
		{Kind: -1},
	} {
		if _, err := After([]Op{op}); err == nil {
			t.Errorf("%s: no error, but there is nothing it could be about", op)
		}
	}
	if _, err := After([]Op{create("f"), create("f")}); err == nil {
		t.Error("a file is made twice, and there is no error")
	}
}

func TestImageIsWritten(t *testing.T) {
	t.Parallel()
	ops := slices.Concat([]Op{mkdir("d"), syncDir(""), mkdir("d/e"), syncDir("d")}, durable("d/f", "ab"))
	d, err := After(ops)
	if err != nil {
		t.Fatal(err)
	}
	image, dir := d.Image(d.Corners()[0]), t.TempDir()
	if err := image.Write(dir); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "d", "f")); err != nil || string(got) != "ab" {
		t.Errorf("the file has %q, %v", got, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "d", "e")); err != nil || !info.IsDir() {
		t.Errorf("the empty directory: %v", err)
	}
}

func TestSumTellsImagesApart(t *testing.T) {
	t.Parallel()
	sums := map[string]string{}
	for _, ops := range [][]Op{
		{}, durable("f", ""), durable("f", "a"), durable("g", "a"), {mkdir("d"), syncDir("")}, {mkdir("f"), syncDir("")},
	} {
		d, err := After(ops)
		if err != nil {
			t.Fatal(err)
		}
		sum, name := fmt.Sprintf("%x", d.Image(d.Corners()[0]).Sum()), fmt.Sprint(ops)
		if other, ok := sums[sum]; ok {
			t.Errorf("%s and %s have one sum", name, other)
		}
		sums[sum] = name
	}
}
