package app

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"text/template"

	"github.com/moorgate/moorgate/internal/config"
)

// greeting is what a new user sees: all that is needed for a first push.
//
//nolint:gochecknoglobals // a text, never written
var greeting = template.Must(template.New("greeting").Parse(`
{{if .Gate}}The gate in front of your registry is open at {{.URL}}, with its own data in {{.Data}}.
{{else}}Your private registry is ready at {{.URL}}, its data in {{.Data}}.
{{end}}It has one user; the password is shown only this once:

  user:     {{.User.Name}}
  password: {{.User.Password}}

Try it:

  docker login {{.Host}} -u {{.User.Name}}
  docker tag IMAGE {{.Host}}/IMAGE
  docker push {{.Host}}/IMAGE

More users, or another password:

  moorgate passwd add {{.User.File}} NAME

`))

// greet tells a new user what to do, and everybody what is dangerous.
func (s *Server) greet(out io.Writer, first *firstUser) {
	if s.cfg.Open {
		s.log.Warn("this registry is open: whoever can reach it may push, pull and delete everything", "listen", s.cfg.Listen)
	}
	if first == nil {
		return
	}
	err := greeting.Execute(out, map[string]any{"URL": s.URL(), "Host": s.host(), "Data": s.cfg.Data, "User": first, "Gate": s.role == config.Proxy})
	if err != nil {
		s.log.Error("cannot show the password of the first user: set it by moorgate passwd add", "file", first.File, "err", err)
	}
}

// URL is where clients on this machine find the server.
func (s *Server) URL() string {
	scheme := "http"
	if s.cfg.TLS.On() {
		scheme = "https"
	}
	return scheme + "://" + s.host()
}

// host is the address that clients use: the name of the machine where the server
// listens on all addresses.
func (s *Server) host() string {
	addr := s.listener.Addr().String()
	ap, err := netip.ParseAddrPort(addr)
	if err != nil || !ap.Addr().IsUnspecified() {
		return addr
	}
	name, err := os.Hostname()
	if err != nil {
		name = "localhost"
	}
	return net.JoinHostPort(name, fmt.Sprint(ap.Port()))
}
