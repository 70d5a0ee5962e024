package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/testserver"
)

// TestMain lets the program of the test be the bare handler, as bench itself can.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-bare" {
		main()
		return
	}
	os.Exit(m.Run())
}

// tinyBench measures a little of what it is asked for, with its own client alone.
func tinyBench(t *testing.T, only, servers string) (*bench, *bytes.Buffer) {
	t.Helper()
	var said bytes.Buffer
	b := newBench(options{
		rounds: 2, long: 20 * time.Millisecond, bin: filepath.Dir(testserver.Binary(t)), under: t.TempDir(),
		out: filepath.Join(t.TempDir(), "RESULTS.md"), only: regexp.MustCompile(only), servers: regexp.MustCompile(servers),
	}, &said)
	b.largeSize = 3 << 20
	return b, &said
}

func TestRunMeasuresAndReports(t *testing.T) {
	t.Parallel()
	only := []string{
		getByTag + ", no auth", getByTag + ", bcrypt 5", "manifest HEAD by digest, token", "manifest GET by tag, TLS, no auth", "100 KiB blob GET, no auth",
		"1 MiB of a 512 MiB blob GET, no auth", pushChunks + ", no auth", pushImages + ", no auth", "the same layers pushed again, no auth",
		"mount from another repository, no auth", "token issued, bcrypt 5", tagsAmongFew + ", no auth", memoryIdle + ", no auth",
	}
	b, said := tinyBench(t, "^("+strings.Join(only, "|")+")$", "^(moorgate|net/http, memory)$")
	var out bytes.Buffer
	if err := b.all(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s\n%s", err, said, &out)
	}
	text, err := os.ReadFile(b.out)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "Incomplete") || strings.Contains(string(text), "Failed") {
		t.Errorf("got\n%s", text)
	}
	for _, title := range only {
		_, table, ok := strings.Cut(string(text), "\n## "+title+"\n")
		table, _, _ = strings.Cut(table, "\n## ")
		if !ok || !regexp.MustCompile(`(?m)^\| moorgate \| [0-9.]*[1-9][0-9.]* \| [0-9]+ % \| 1\.00 \|`).MatchString(table) {
			t.Errorf("%s: got\n%s", title, table)
		}
		if !strings.Contains(said.String(), title) {
			t.Errorf("nobody was told that it is the turn of %s", title)
		}
	}
	if left, err := os.ReadDir(b.under); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestServerThatFailsDoesNotLoseTheOthers(t *testing.T) {
	t.Parallel()
	b, said := tinyBench(t, "^"+getByTag+", no auth$", "^(moorgate|moorgate proxy . moorgate|distribution 3)$")
	bin := t.TempDir() // without distribution
	if err := copyFile(filepath.Join(bin, "moorgate"), filepath.Join(b.bin, "moorgate"), 0o755); err != nil {
		t.Fatal(err)
	}
	b.bin = bin
	var out bytes.Buffer
	if err := b.all(t.Context(), &out); err == nil {
		t.Error("a run in which something failed is no error")
	}
	text, err := os.ReadFile(b.out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"## Failed\n\n- " + getByTag + ", no auth: distribution 3: `start ", "| distribution 3 | failed |", "| moorgate | ", "| moorgate proxy + moorgate | "} {
		if !strings.Contains(string(text), want) {
			t.Errorf("got\n%s\nwant %q", text, want)
		}
	}
	if !strings.Contains(said.String(), "FAILED: "+getByTag) {
		t.Errorf("nobody was told: %s", said)
	}
}

func TestRunThatIsCutOffSaysSo(t *testing.T) {
	t.Parallel()
	b, _ := tinyBench(t, "^"+getByTag+", no auth$", "^net/http, memory$")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.all(ctx, &bytes.Buffer{}); err == nil {
		t.Error("it was cut off, and says nothing")
	}
	if text, err := os.ReadFile(b.out); err != nil || !strings.Contains(string(text), "**Incomplete") {
		t.Errorf("got %v\n%s", err, text)
	}
}

func TestLargeStoreIsThereWhenTheServerStarts(t *testing.T) {
	t.Parallel()
	b, _ := tinyBench(t, "", "")
	b.dir = t.TempDir()
	if err := b.copyPrograms([]*task{{kinds: kinds()[:1]}}); err != nil {
		t.Fatal(err)
	}
	tags, repositories, referrers := manyTags(300), manyRepositories(), manyReferrers()
	repositories.count, repositories.last = 300, func() string { return "many/r000150" }
	referrers.count = 1_200 // more than a page has if nobody says how many
	referrers.last = func() string { return "" }
	for _, l := range []*large{tags, repositories, referrers} {
		t.Run(l.name, func(t *testing.T) {
			last := l.last
			s := &server{dir: filepath.Join(b.dir, fmt.Sprint(b.next()))}
			t.Cleanup(s.end)
			if err := b.fill(t.Context(), l, kinds()[0], s); err != nil {
				t.Fatal(err)
			}
			if err := b.moorgate(s); err != nil {
				t.Fatal(err)
			}
			if err := l.check(t.Context(), s); err != nil {
				t.Error(err)
			}
			if _, err := l.walk(b, t.Context(), s); (l == referrers) != (err == nil) {
				t.Errorf("all pages: %v", err)
			}
			l.last = func() string { return "zzz" } // there is nothing behind it
			if err := l.check(t.Context(), s); l != referrers && err == nil {
				t.Error("a page of nothing is taken for a full one")
			}
			l.last = last
			if _, err := b.starts(t.Context(), s); err != nil {
				t.Error(err)
			}
			if err := l.check(t.Context(), s); err != nil {
				t.Errorf("after another start: %v", err)
			}
		})
	}
}

func TestRunRefusesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-run", "("}, {"-servers", "["}, {"-rounds", "0"}, {"-time", "1500ms"}, {"-time", "0"}, {"-nothing"}, {"-run", "no such thing"},
	} {
		var out bytes.Buffer
		if err := run(t.Context(), args, &out, &out); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
