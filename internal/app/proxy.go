package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/moorgate/moorgate/internal/atomicfile"
	"github.com/moorgate/moorgate/internal/config"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/proxy"
	"github.com/moorgate/moorgate/internal/upstream"
	"github.com/moorgate/moorgate/internal/wire"
)

// Proxy opens the gate in front of the registries of others. The caller runs the
// server, or closes it.
func Proxy(ctx context.Context, src Source, log *slog.Logger, out io.Writer) (*Server, error) {
	s := newServer(config.Proxy, src, log)
	var store meta.Store
	var handler *proxy.Handler
	var next gate.Handler
	return s.open(
		func() (err error) { store, err = s.openData(ctx, "tokens.db"); return err },
		func() (err error) { handler, err = s.openUpstreams(); next = s.called(handler); return err },
		s.openTLS,
		func() error { return s.listen(ctx) },
		func() error {
			return s.openDoors(ctx, doors{
				next: next, sessions: handler, store: store, out: out, guard: s.refuseAncient,
				ready: func(ctx context.Context) error { return errors.Join(ready(store)(ctx), handler.Ready(ctx)) },
			})
		},
	)
}

// openUpstreams makes the handler that forwards. The registries may be down.
func (s *Server) openUpstreams() (*proxy.Handler, error) {
	key, err := uploadKey(filepath.Join(s.cfg.Data, "upload.key"))
	if err != nil {
		return nil, err
	}
	sealer, err := proxy.NewSealer(key)
	if err != nil {
		return nil, err
	}
	sealer.Expiry = s.cfg.Limits.UploadExpiry
	h := &proxy.Handler{Sealer: sealer, Log: s.log}
	for _, u := range s.cfg.Upstreams {
		if u.Password, err = upstreamPassword(u.Config); err != nil {
			return nil, err
		}
		up, err := upstream.New(u.Config)
		if err != nil {
			return nil, err
		}
		s.later(up)
		h.Upstreams = append(h.Upstreams, proxy.Route{Prefix: u.Prefix, Upstream: up, PassCredentials: u.PassCredentials})
	}
	return h, nil
}

// called puts before a handler what gives each request the name of this server, if
// it has one (url): whatever a client calls it, upstreams learn that name.
func (s *Server) called(next gate.Handler) gate.Handler {
	at, err := url.Parse(s.cfg.URL)
	if err != nil || at.Host == "" {
		return next
	}
	return named{next, at.Host}
}

type named struct {
	gate.Handler
	host string
}

func (n named) ServeOCI(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	r = r.WithContext(r.Context()) // a copy
	r.Host = n.host
	return n.Handler.ServeOCI(w, r, c)
}

// maxSecret bounds a file with one password, in bytes.
const maxSecret = 64 << 10

// upstreamPassword reads the password of the gateway at a registry. A line break
// at the end of the file is not part of it.
func upstreamPassword(c upstream.Config) (string, error) {
	if c.PasswordFile == "" {
		return c.Password, nil
	}
	text, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("cannot read the password for the upstream %s: %w", c.URL, err)
	}
	if len(text) > maxSecret {
		return "", fmt.Errorf("the password file %s for the upstream %s is larger than %d bytes", c.PasswordFile, c.URL, maxSecret)
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" {
		return "", fmt.Errorf("the password file %s for the upstream %s is empty: write the password into it", c.PasswordFile, c.URL)
	}
	return password, nil
}

// keySize is that of the key that seals upload sessions, in bytes.
const keySize = 32

// uploadKey reads the key that seals upload sessions, and makes it at the first
// start: sessions go on over a restart.
func uploadKey(file string) ([]byte, error) {
	key, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, keySize)
		_, _ = rand.Read(key) // never fails: it ends the process instead
		return key, atomicfile.Write(file, key, 0o600)
	}
	if err == nil && len(key) != keySize {
		return nil, fmt.Errorf("the key of upload sessions in %s has %d bytes, not %d: remove it, and unfinished uploads begin anew", file, len(key), keySize)
	}
	return key, err
}

// ancient are clients that cannot speak to a registry behind a gate: docker
// before 1.5.0-dev sends no proper user agent with its ping, and later requests
// in a form of long ago. This is the list of the well-known nginx recipe.
var ancient = regexp.MustCompile(`^(docker/1\.(3|4|5)|Go )`)

// ancientDev are the builds of docker 1.5 that came after.
var ancientDev = regexp.MustCompile(`^docker/1\.5\.[0-9]-dev`)

// refuseAncient answers 404 to clients that only know the API before this one.
func (s *Server) refuseAncient(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agent := r.UserAgent()
		if ancient.MatchString(agent) && !ancientDev.MatchString(agent) {
			w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
			wire.Error(w, r, s.log, oci.Errorf(oci.NotFound, "this registry needs docker 1.6 or newer"))
			return
		}
		next.ServeHTTP(w, r)
	})
}
