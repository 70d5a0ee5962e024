package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// The user of all servers that ask for one.
const (
	userName = "bench"
	password = "a password of the bench"
)

// guard is how a server asks who is there: the cost of the bcrypt hash in its
// password file; 0 if it asks for nobody.
type guard int

func (g guard) String() string {
	if g == 0 {
		return "no auth"
	}
	return fmt.Sprintf("bcrypt %d", int(g))
}

// header is what clients send.
func (g guard) header() http.Header {
	if g == 0 {
		return nil
	}
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(userName+":"+password))}}
}

// server is a registry, or something beside which one is measured.
type server struct {
	name      string
	base      string // http://host:port
	guard     guard
	processes []*process
	dir       string // what it keeps
}

func (s *server) stop() {
	for _, p := range s.processes {
		p.stop()
	}
}

func (s *server) client() *client { return newClient(s.base, s.guard.header()) }

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
	plain bool // a limit: it serves files, and nobody can push
}

// kinds are all that is measured. What stands behind something else guards
// nothing itself.
func kinds() []kind {
	return []kind{
		{name: "moorgate", start: (*bench).moorgate, ours: true},
		{name: "moorgate proxy + registry 2.8", start: (*bench).gateBeforeRegistry, ours: true},
		{name: "moorgate proxy + moorgate", start: (*bench).gateBeforeMoorgate, ours: true},
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
	return []string{"--htpasswd", b.htpasswd(s.guard)}
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
	inner := &server{dir: filepath.Join(s.dir, "behind")}
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
	config := fmt.Sprintf(`version: 0.1
http: {addr: %q, secret: not one}
storage:
  filesystem: {rootdirectory: %q}
  cache: {blobdescriptor: inmemory}
  delete: {enabled: true}
`, addr, filepath.Join(s.dir, "content"))
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

// nginxBeforeRegistry is the well-known recipe.
func (b *bench) nginxBeforeRegistry(s *server) error {
	inner, err := b.inner(s, (*bench).registry2)
	if err != nil {
		return err
	}
	return b.nginx(s, func(addr string) string {
		auth := ""
		if s.guard > 0 {
			auth = fmt.Sprintf("auth_basic \"Registry realm\"; auth_basic_user_file %q;", b.htpasswd(s.guard))
		}
		return fmt.Sprintf(`
  upstream docker-registry { server %s; }
  map $upstream_http_docker_distribution_api_version $docker_distribution_api_version { '' 'registry/2.0'; }
  server {
    listen %s;
    client_max_body_size 0;
    chunked_transfer_encoding on;
    location /v2/ {
      if ($http_user_agent ~ "^(docker\/1\.(3|4|5(?!\.[0-9]-dev))|Go ).*$" ) { return 404; }
      %s
      add_header 'Docker-Distribution-Api-Version' $docker_distribution_api_version always;
      proxy_pass http://docker-registry;
      proxy_set_header Host $http_host;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_read_timeout 900;
    }
  }`, strings.TrimPrefix(inner.base, "http://"), addr, auth)
	})
}

// nginxFiles serves the files of the content as they are.
func (b *bench) nginxFiles(s *server) error {
	return b.nginx(s, func(addr string) string {
		return fmt.Sprintf("\n  server { listen %s; root %q; sendfile on; tcp_nopush on; default_type application/octet-stream; }", addr, b.files)
	})
}

// nginx runs a configuration in the way of Debian's package.
func (b *bench) nginx(s *server, http func(addr string) string) error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	dir := filepath.Join(s.dir, "nginx")
	config := fmt.Sprintf(`user root;
worker_processes auto;
daemon off;
pid %[1]s/pid;
error_log %[1]s/error.log;
events { worker_connections 768; }
http {
  access_log %[1]s/access.log;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  keepalive_requests 1000000;%[2]s
}
`, dir, http(addr))
	file := filepath.Join(dir, "nginx.conf")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(file, []byte(config), 0o644)); err != nil { //nolint:gosec // no secret
		return err
	}
	return s.run(addr, dir, nil, "nginx", "-c", file)
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

// htpasswd returns the password file for a guard.
func (b *bench) htpasswd(g guard) string {
	return filepath.Join(b.dir, fmt.Sprintf("htpasswd.%d", int(g)))
}

// writeHtpasswd makes the password files of all guards.
func (b *bench) writeHtpasswd(list ...guard) error {
	for _, g := range list {
		hash, err := bcrypt.GenerateFromPassword([]byte(password), int(g))
		if err != nil {
			return err
		}
		line := userName + ":" + strings.Replace(string(hash), "$2a$", "$2y$", 1) + "\n" // as htpasswd(1) writes it
		if err := os.WriteFile(b.htpasswd(g), []byte(line), 0o644); err != nil {         //nolint:gosec // nginx reads it as another user; it opens nothing else
			return err
		}
	}
	return nil
}
