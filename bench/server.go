package main

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// server is a registry, or something beside which one is measured.
type server struct {
	name      string
	base      string // scheme://host:port
	guard     guard
	token     string      // of a guard by tokens
	tls       *tls.Config // for clients; nil without TLS
	processes []*process  // what clients see is the last one
	dir       string      // what it keeps
	content   string      // what a registry of others serves instead of its own; "" for that
	took      time.Duration
}

func (b *bench) newServer(t *task, k kind) *server {
	s := &server{name: k.name, guard: t.guard, dir: filepath.Join(b.dir, fmt.Sprint("server", b.next()))}
	if t.tls {
		s.tls = b.trust()
	}
	return s
}

// end stops a server and removes what it has kept.
func (s *server) end() {
	for _, p := range s.processes {
		p.stop()
	}
	_ = os.RemoveAll(s.dir) // at the end everything goes
}

func (s *server) client() *client { return newClient(s.base, s.header(), s.tls) }

func (s *server) scheme() string {
	if s.tls != nil {
		return "https://"
	}
	return "http://"
}

// run starts one more program of the server, which clients see from now on.
func (s *server) run(p *process) error {
	s.processes = append(s.processes, p)
	addr, err := p.start()
	s.base = s.scheme() + addr
	return err
}

// dataDir is that of a "moorgate serve".
func (s *server) dataDir() string { return filepath.Join(s.dir, "data") }

// inner starts what stands behind a server. It guards nothing, and speaks no TLS.
func (b *bench) inner(s *server, start func(*bench, *server) error) (*server, error) {
	inner := &server{dir: s.dir, content: s.content}
	err := start(b, inner)
	s.processes = append(s.processes, inner.processes...)
	return inner, err
}
