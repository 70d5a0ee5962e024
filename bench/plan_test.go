package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRotatedBeginsEachRoundWithTheNext(t *testing.T) {
	t.Parallel()
	list := []string{"a", "b", "c"}
	for round, want := range []string{"abc", "bca", "cab", "abc"} {
		if got := strings.Join(rotated(list, round), ""); got != want {
			t.Errorf("round %d: got %s, want %s", round, got, want)
		}
	}
	if got := rotated([]string(nil), 3); len(got) != 0 {
		t.Errorf("got %v of nothing", got)
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, only, servers string
		want                []string
	}{
		{"a title", "^manifest GET by tag, no auth", "", []string{
			"manifest GET by tag, no auth: moorgate, moorgate proxy + moorgate, moorgate proxy + registry 2.8, registry 2.8, nginx + registry 2.8, distribution 3, nginx, files, net/http, memory",
		}},
		{"tokens are ours, and files ask for nobody", "^manifest HEAD by digest, (token|bcrypt 5)", "", []string{
			"manifest HEAD by digest, bcrypt 5: moorgate, moorgate proxy + moorgate, moorgate proxy + registry 2.8, registry 2.8, nginx + registry 2.8, distribution 3",
			"manifest HEAD by digest, token: moorgate, moorgate proxy + moorgate, moorgate proxy + registry 2.8",
		}},
		{"files cannot be pushed to", "push, one piece, no auth", "nginx|memory", []string{
			"512 MiB push, one piece, no auth: nginx + registry 2.8, net/http, memory",
		}},
		{"registries of others have no referrers", "among 10,000", "", []string{
			"100 referrers among 10,000, no auth: moorgate, moorgate proxy + moorgate",
		}},
		{"a scenario that no server is left for", "all pages|token issued, bcrypt 5", "distribution", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(options{only: regexp.MustCompile(c.only), servers: regexp.MustCompile(c.servers)}, io.Discard)
			var got []string
			for _, task := range b.plan(scenarios(), kinds()) {
				var names []string
				for _, k := range task.kinds {
					names = append(names, k.name)
				}
				got = append(got, task.title()+": "+strings.Join(names, ", "))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// TestEveryTitleIsOne keeps two tables from being mistaken for each other.
func TestEveryTitleIsOne(t *testing.T) {
	t.Parallel()
	b := newBench(options{only: regexp.MustCompile(""), servers: regexp.MustCompile("")}, io.Discard)
	seen := map[string]bool{}
	for _, task := range b.plan(scenarios(), kinds()) {
		if seen[task.title()] {
			t.Errorf("two tables are called %q", task.title())
		}
		seen[task.title()] = true
	}
}

func TestProgressGuessesWhatIsLeft(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		done int
		want string
	}{{0, ""}, {10, ", about 1m30s left"}, {50, ", about 10s left"}, {100, ", about 0s left"}} {
		p := &progress{total: 100, done: c.done}
		if got := p.left(10 * time.Second); got != c.want {
			t.Errorf("%d of 100 done in 10 s: got %q, want %q", c.done, got, c.want)
		}
	}
}

func TestNumbersAreShort(t *testing.T) {
	t.Parallel()
	got := fmt.Sprint([]string{
		number(0.0314), number(3.14159), number(31.4159), number(3141.59), short(0), short(1234), short(12.34e6), short(1.2345e9),
		milliseconds(0), milliseconds(56_789), milliseconds(1.16e9), mebibytes(0), mebibytes(5 * mib / 2), percent(0.125),
	})
	if want := "[0.031 3.14 31.4 3142 – 1µs 12.3ms 1.23s – 0.057 ms 1160 ms – 2.50 MiB 12 %]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
