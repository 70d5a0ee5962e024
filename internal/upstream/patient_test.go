package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// drip is a RoundTripper, and the body of its answers: one byte after the other,
// each after a pause; after the last pause it waits for the end of the request.
type drip struct {
	pauses []time.Duration
	ctx    context.Context //nolint:containedctx // that of the request
	closed bool
}

func (d *drip) RoundTrip(r *http.Request) (*http.Response, error) {
	d.ctx = r.Context()
	return &http.Response{StatusCode: http.StatusOK, Body: d}, nil
}

func (d *drip) Read(p []byte) (int, error) {
	if len(d.pauses) == 0 {
		<-d.ctx.Done()
		return 0, d.ctx.Err()
	}
	select {
	case <-time.After(d.pauses[0]):
		d.pauses = d.pauses[1:]
		return copy(p, "x"), nil
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
}

func (d *drip) Close() error { d.closed = true; return nil }

func TestPatience(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pauses []time.Duration
		want   int // bytes
		wait   time.Duration
	}{
		"slow, but not too slow": {[]time.Duration{59 * time.Second, 59 * time.Second}, 2, 178 * time.Second},
		"stalls at once":         {nil, 0, time.Minute},
		"stalls in the middle":   {[]time.Duration{time.Second, 2 * time.Minute}, 1, 61 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := &drip{pauses: c.pauses}
				begun := time.Now()
				resp, err := patient{d, time.Minute}.RoundTrip(&http.Request{})
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				if !errors.Is(err, ErrTimeout) || len(body) != c.want || time.Since(begun) != c.wait {
					t.Errorf("%d bytes, %v, after %s", len(body), err, time.Since(begun))
				}
				if resp.Body.Close() != nil || !d.closed || d.ctx.Err() == nil {
					t.Error("the body is not closed")
				}
			})
		})
	}
}

// Only the registry is waited for: a client may take its time.
func TestASlowReaderIsNoStall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		resp, err := patient{&drip{pauses: make([]time.Duration, 3)}, time.Minute}.RoundTrip((&http.Request{}).WithContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for range 3 {
			<-time.After(time.Hour)
			if n, err := resp.Body.Read(make([]byte, 1)); n != 1 || err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
		}
	})
}

// An error of the body itself stays what it is.
func TestTheClientGoesAwayWhileABodyIsRead(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := patient{&drip{}, time.Minute}.RoundTrip((&http.Request{}).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	cancel()
	if _, err := resp.Body.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) || errors.Is(err, ErrTimeout) {
		t.Error(err)
	}
}
