package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// server is a registry, or something beside which one is measured.
type server struct {
	name      string
	base      string // http://host:port
	guard     guard
	token     string // of a guard by tokens
	processes []*process
	dir       string // what it keeps
	content   string // what a registry of others serves instead of its own; "" for that
	behind    *server
}

// innermost is the server that keeps the content, and guards nothing if another one
// stands before it.
func (s *server) innermost() *server {
	if s.behind == nil {
		return s
	}
	return s.behind.innermost()
}

// own reports whether it is a "moorgate serve".
func (s *server) own() bool {
	return len(s.processes) > 0 && slices.Contains(s.processes[0].cmd.Args, "serve") && filepath.Base(s.processes[0].cmd.Path) == "moorgate"
}

func (s *server) stop() {
	for _, p := range s.processes {
		p.stop()
	}
}

func (s *server) client() *client { return newClient(s.base, s.header()) }

// run starts one more program of the server, and waits until it listens on addr.
func (s *server) run(addr, dir string, env []string, name string, args ...string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // nginx reads it as another user
		return err
	}
	p, err := startProcess(dir, env, name, args...)
	if err != nil {
		return err
	}
	s.processes = append(s.processes, p)
	s.base = "http://" + addr
	return p.await(addr)
}

// kind is a way to start a server in a directory of its own.
type kind struct {
	name  string
	start func(b *bench, s *server) error
	ours  bool
	store bool // the content is in a "moorgate serve"
	plain bool // a limit: it serves files, and nobody can push
}

// kinds are all that is measured. What stands behind something else guards
// nothing itself.
func kinds() []kind {
	return []kind{
		{name: "moorgate", start: (*bench).moorgate, ours: true, store: true},
		{name: "moorgate proxy + registry 2.8", start: (*bench).gateBeforeRegistry, ours: true},
		{name: "moorgate proxy + moorgate", start: (*bench).gateBeforeMoorgate, ours: true, store: true},
		{name: "registry 2.8", start: (*bench).registry2},
		{name: "nginx + registry 2.8", start: (*bench).nginxBeforeRegistry},
		{name: "distribution 3", start: (*bench).distribution3},
		{name: "nginx, files", start: (*bench).nginxFiles, plain: true},
		{name: "net/http, memory", start: (*bench).bareHandler, plain: true},
	}
}

// moorgate is "moorgate serve".
func (b *bench) moorgate(s *server) error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	args := []string{"serve", "--listen", addr, "--data", filepath.Join(s.dir, "data")}
	return s.run(addr, s.dir, nil, b.program("moorgate"), append(args, b.gateFlags(s)...)...)
}

func (b *bench) gateFlags(s *server) []string {
	if s.guard == 0 {
		return []string{"--open"}
	}
	return []string{"--htpasswd", b.htpasswd(max(s.guard, 5))}
}

func (b *bench) gateBeforeRegistry(s *server) error { return b.gate(s, (*bench).registry2) }
func (b *bench) gateBeforeMoorgate(s *server) error { return b.gate(s, (*bench).moorgate) }

// gate is "moorgate proxy" in front of another server.
func (b *bench) gate(s *server, behind func(*bench, *server) error) error {
	inner, err := b.inner(s, behind)
	if err != nil {
		return err
	}
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	dir := filepath.Join(s.dir, "gate")
	args := []string{"proxy", "--upstream", inner.base, "--listen", addr, "--data", filepath.Join(dir, "data")}
	return s.run(addr, dir, nil, b.program("moorgate"), append(args, b.gateFlags(s)...)...)
}

// inner starts what stands behind a server.
func (b *bench) inner(s *server, start func(*bench, *server) error) (*server, error) {
	inner := &server{dir: filepath.Join(s.dir, "behind"), content: s.content}
	s.behind = inner
	err := start(b, inner)
	s.processes = append(s.processes, inner.processes...)
	return inner, err
}

func (b *bench) registry2(s *server) error { return b.distributionLike(s, "docker-registry") }
func (b *bench) distribution3(s *server) error {
	return b.distributionLike(s, b.program("distribution"))
}

// distributionLike is a registry 2.x or 3.x as it comes: files, and a memory for
// descriptors.
func (b *bench) distributionLike(s *server, program string) error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	content := s.content
	if content == "" {
		content = filepath.Join(s.dir, "content")
	}
	config := fmt.Sprintf(`version: 0.1
http: {addr: %q, secret: not one}
storage:
  filesystem: {rootdirectory: %q}
  cache: {blobdescriptor: inmemory}
  delete: {enabled: true}
`, addr, content)
	if s.guard > 0 {
		config += fmt.Sprintf("auth: {htpasswd: {realm: bench, path: %q}}\n", b.htpasswd(s.guard))
	}
	file := filepath.Join(s.dir, "config.yml")
	if err := errors.Join(os.MkdirAll(s.dir, 0o755), os.WriteFile(file, []byte(config), 0o644)); err != nil { //nolint:gosec // no secret
		return err
	}
	// As it comes it sends traces to a collector that is not there.
	return s.run(addr, s.dir, []string{"OTEL_TRACES_EXPORTER=none"}, program, "serve", file)
}

// bareHandler is this program as a server that has the content in memory.
func (b *bench) bareHandler(s *server) error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return s.run(addr, s.dir, nil, self, "-bare", addr, "-files", b.files)
}
