package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

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
    listen %s%s
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
  }`, strings.TrimPrefix(inner.base, "http://"), addr, b.nginxTLS(s), auth)
	})
}

// nginxFiles serves the files of the content as they are.
func (b *bench) nginxFiles(s *server) error {
	return b.nginx(s, func(addr string) string {
		return fmt.Sprintf("\n  server { listen %s%s root %q; sendfile on; tcp_nopush on; default_type application/octet-stream; }", addr, b.nginxTLS(s), b.files)
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
	return s.run(&process{dir: dir, path: "nginx", args: []string{"-c", file}, addr: addr})
}

// nginxTLS is the rest of a line that begins with "listen".
func (b *bench) nginxTLS(s *server) string {
	if s.tls == nil {
		return ";"
	}
	return fmt.Sprintf(" ssl; ssl_certificate %q; ssl_certificate_key %q;", b.certificate().Cert, b.certificate().Key)
}
