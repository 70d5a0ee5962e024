package main

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestReadWrk(t *testing.T) {
	t.Parallel()
	const head = "Running 1s test @ http://127.0.0.1:1/\n  1 threads and 16 connections\n"
	const latency = "  Latency Distribution\n     50%  280.00us\n     90%  600.00us\n     99%    1.20ms\n"
	const rate = "  50000 requests in 1.00s, 60.00MB read\nRequests/sec:  49873.12\nTransfer/sec:     59.84MB\n"
	for _, c := range []struct {
		name, out string
		rate      float64
		p99       time.Duration
		err       string
	}{
		{"all is well", head + latency + rate, 49873.12, 1200 * time.Microsecond, ""},
		{"seconds", head + strings.Replace(latency, "1.20ms", "2.05s", 1) + rate, 49873.12, 2050 * time.Millisecond, ""},
		{"no latency", head + rate, 49873.12, 0, ""},
		{"refused", head + latency + "  Non-2xx or 3xx responses: 12\n" + rate, 0, 0, "Non-2xx or 3xx responses: 12"},
		{"cut off", head + latency + "  Socket errors: connect 0, read 3, write 0, timeout 0\n" + rate, 0, 0, "Socket errors: connect 0, read 3"},
		{"something else", "unable to connect to 127.0.0.1:1\n", 0, 0, "no rate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rate, p99, err := readWrk(c.out)
			if rate != c.rate || p99 != c.p99 || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %v, %v, %v; want %v, %v, %q", rate, p99, err, c.rate, c.p99, c.err)
			}
		})
	}
}

func TestReadSyncsCountsEachCallOnce(t *testing.T) {
	t.Parallel()
	const trace = `4711  fsync(12)                         = 0
4712  fdatasync(7 <unfinished ...>
4711  fsync(13)                         = -1 EIO (Input/output error)
4712  <... fdatasync resumed>)          = 0
4713  sync_file_range(9, 0, 8388608, SYNC_FILE_RANGE_WRITE) = 0
4713  syncfs(3)                         = 0
4711  --- SIGURG {si_signo=SIGURG, si_code=SI_TKILL, si_pid=4711, si_uid=0} ---
12    sync()                            = 0
4712  +++ exited with 0 +++
`
	got, err := readSyncs(strings.NewReader(trace))
	if got != 5 || err != nil {
		t.Errorf("got %d, %v; want 5", got, err)
	}
}

func TestNextPage(t *testing.T) {
	t.Parallel()
	for link, want := range map[string]string{
		`</v2/a/referrers/sha256:0?n=100&last=b>; rel="next"`: "/v2/a/referrers/sha256:0?n=100&last=b",
		`</v2/_catalog?last=b>;rel=next`:                      "/v2/_catalog?last=b",
		`</v2/_catalog?last=b>; rel="prev"`:                   "",
		"":                                                    "",
	} {
		if got := nextPage(http.Header{"Link": {link}}); got != want {
			t.Errorf("%s: got %q, want %q", link, got, want)
		}
	}
}

func TestOneMiB(t *testing.T) {
	t.Parallel()
	if from, to := oneMiB("bytes=3145728-4194303"); from != 3<<20 || to != 4<<20 {
		t.Errorf("got %d, %d", from, to)
	}
}

func TestSlowAnswersGetFewConnections(t *testing.T) {
	t.Parallel()
	for took, want := range map[time.Duration]int{time.Millisecond: connections, 60 * time.Millisecond: slowConnections, time.Second: lastConnections} {
		if got := connectionsFor(took); got != want {
			t.Errorf("%s: got %d connections, want %d", took, got, want)
		}
	}
}
