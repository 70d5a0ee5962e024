package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// kind is a way to start a server in a directory of its own.
type kind struct {
	name  string
	start func(b *bench, s *server) error
	ours  bool
	store bool  // the content is in a "moorgate serve"
	limit limit // it is no registry

	program string // of this repository, that it needs; "" for none
}

// limit is how something that is no registry does the same work: as little of it
// as there can be.
type limit string

const (
	limitFiles  limit = "files"
	limitMemory limit = "memory" // takes what is pushed, too, and forgets it
)

// Servers that the summary looks for.
const (
	moorgate      = "moorgate"
	registry2     = "registry 2.8"
	nginxRegistry = "nginx + registry 2.8"
	distribution3 = "distribution 3"
	nginxFiles    = "nginx, files"
	bareHandler   = "net/http, memory"
)

// kinds are all that is measured. What stands behind something else guards
// nothing itself.
func kinds() []kind {
	return []kind{
		{name: moorgate, start: (*bench).moorgate, ours: true, program: ourProgram, store: true},
		{name: "moorgate proxy + moorgate", start: (*bench).gateBeforeMoorgate, ours: true, program: ourProgram, store: true},
		{name: "moorgate proxy + registry 2.8", start: (*bench).gateBeforeRegistry, ours: true, program: ourProgram},
		{name: registry2, start: (*bench).registry2},
		{name: nginxRegistry, start: (*bench).nginxBeforeRegistry},
		{name: distribution3, start: (*bench).distribution3, program: theirProgram},
		{name: nginxFiles, start: (*bench).nginxFiles, limit: limitFiles},
		{name: bareHandler, start: (*bench).bareHandler, limit: limitMemory, program: thisProgram},
	}
}

// moorgate is "moorgate serve".
func (b *bench) moorgate(s *server) error {
	args := []string{"serve", "--listen", anyAddr, "--data", s.dataDir()}
	return s.run(&process{dir: filepath.Join(s.dir, "serve"), path: b.program(ourProgram), args: append(args, b.gateFlags(s)...)})
}

func (b *bench) gateFlags(s *server) []string {
	var flags []string
	if s.tls != nil {
		flags = append(flags, "--tls-cert", b.certificate().Cert, "--tls-key", b.certificate().Key)
	}
	if s.guard == 0 {
		return append(flags, "--open")
	}
	return append(flags, "--htpasswd", b.htpasswd(max(s.guard, lightGuard)))
}

func (b *bench) gateBeforeRegistry(s *server) error { return b.gate(s, (*bench).registry2) }
func (b *bench) gateBeforeMoorgate(s *server) error { return b.gate(s, (*bench).moorgate) }

// gate is "moorgate proxy" in front of another server.
func (b *bench) gate(s *server, behind func(*bench, *server) error) error {
	inner, err := b.inner(s, behind)
	if err != nil {
		return err
	}
	dir := filepath.Join(s.dir, "gate")
	args := []string{"proxy", "--upstream", inner.base, "--listen", anyAddr, "--data", filepath.Join(dir, "data")}
	return s.run(&process{dir: dir, path: b.program(ourProgram), args: append(args, b.gateFlags(s)...)})
}

func (b *bench) registry2(s *server) error { return b.distributionLike(s, "docker-registry") }
func (b *bench) distribution3(s *server) error {
	return b.distributionLike(s, b.program(theirProgram))
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
	secure := ""
	if s.tls != nil {
		secure = fmt.Sprintf(", tls: {certificate: %q, key: %q}", b.certificate().Cert, b.certificate().Key)
	}
	config := fmt.Sprintf(`version: 0.1
http: {addr: %q, secret: not one%s}
storage:
  filesystem: {rootdirectory: %q}
  cache: {blobdescriptor: inmemory}
  delete: {enabled: true}
`, addr, secure, content)
	if s.guard > 0 {
		config += fmt.Sprintf("auth: {htpasswd: {realm: bench, path: %q}}\n", b.htpasswd(s.guard))
	}
	file := filepath.Join(s.dir, "config.yml")
	if err := errors.Join(os.MkdirAll(s.dir, 0o755), os.WriteFile(file, []byte(config), 0o644)); err != nil { //nolint:gosec // no secret
		return err
	}
	return s.run(&process{
		dir: filepath.Join(s.dir, "registry"), path: program, args: []string{"serve", file}, addr: addr,
		env: []string{"OTEL_TRACES_EXPORTER=none"}, // as it comes it sends traces to a collector that is not there
	})
}

// bareHandler is this program as a server that has the content in memory.
func (b *bench) bareHandler(s *server) error {
	args := []string{"-bare", "-files", b.files}
	if s.tls != nil {
		args = append(args, "-cert", b.certificate().Cert, "-key", b.certificate().Key)
	}
	return s.run(&process{dir: s.dir, path: b.program(thisProgram), args: args})
}
