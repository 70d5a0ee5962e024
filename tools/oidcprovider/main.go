// Command oidcprovider is a provider of OpenID Connect for tests, on the library of
// zitadel/oidc: discovery, published keys, the device flow (RFC 8628), refresh tokens
// and revocation, for one public client. All is in memory.
//
// Two things are not of the standard, so that tests need no browser and no CI system:
// POST /test/token signs claims, and POST /test/rotate makes another signing key.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/text/language"

	"github.com/zitadel/oidc/v3/example/server/storage"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "oidcprovider:", err)
		os.Exit(1)
	}
}

func run() error {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	issuer := flag.String("issuer", "", "URL of the issuer; \"\" is the address that is listened on")
	cert := flag.String("tls-cert", "", "file with a certificate; \"\" is http")
	key := flag.String("tls-key", "", "file with its key")
	client := flag.String("client", "moorgate", "identifier of the public client")
	people := people{}
	flag.Var(people, "user", "somebody who can sign in, as NAME:PASSWORD:GROUP,GROUP; may be given again")
	flag.Parse()

	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", *listen)
	if err != nil {
		return err
	}
	scheme := "http://"
	if *cert != "" {
		scheme = "https://"
	}
	if *issuer == "" {
		*issuer = scheme + listener.Addr().String()
	}
	storage.RegisterClients(storage.NativeClient(*client))
	store := &store{Storage: storage.NewStorage(people), people: people, issuer: *issuer}
	store.rotate(false)
	handler, err := newHandler(store)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	fmt.Println("issuer", *issuer) // tests wait for this line
	if *cert != "" {
		return server.ServeTLS(listener, *cert, *key)
	}
	return server.Serve(listener)
}

// newHandler puts the pages of people and tests before the endpoints of the library.
func newHandler(s *store) (http.Handler, error) {
	config := &op.Config{
		GrantTypeRefreshToken: true,
		CodeMethodS256:        true,
		SupportedUILocales:    []language.Tag{language.English},
		SupportedScopes:       []string{"openid", "profile", "email", "groups", "offline_access"},
		DeviceAuthorization: op.DeviceAuthorizationConfig{
			Lifetime: 5 * time.Minute, PollInterval: time.Second, UserFormPath: "/device", UserCode: op.UserCodeBase20,
		},
	}
	if _, err := rand.Read(config.CryptoKey[:]); err != nil {
		return nil, err
	}
	options := []op.Option{}
	if strings.HasPrefix(s.issuer, "http://") {
		options = append(options, op.WithAllowInsecure())
	}
	provider, err := op.NewProvider(config, s, op.StaticIssuer(s.issuer), options...)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /device", s.showDevice)
	mux.HandleFunc("POST /device", s.decideDevice)
	mux.HandleFunc("POST /test/token", s.signClaims)
	mux.HandleFunc("POST /test/rotate", func(_ http.ResponseWriter, r *http.Request) { s.rotate(r.FormValue("keep") != "") })
	mux.Handle("/", provider)
	return mux, nil
}

// people are the users, and their groups. It is a storage.UserStore and a flag.Value.
type people map[string]person

type person struct {
	storage.User

	groups []string
}

// String is for the flag package.
func (p people) String() string { return "" }

// Set adds NAME:PASSWORD:GROUPS.
func (p people) Set(text string) error {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) != 3 || parts[0] == "" {
		return errors.New("want NAME:PASSWORD:GROUP,GROUP")
	}
	user := storage.User{ID: parts[0], Username: parts[0], Password: parts[1], FirstName: parts[0], LastName: "Example", Email: parts[0] + "@example.org", EmailVerified: true}
	p[parts[0]] = person{User: user, groups: strings.FieldsFunc(parts[2], func(r rune) bool { return r == ',' })}
	return nil
}

// GetUserByID returns nil for somebody unknown.
func (p people) GetUserByID(id string) *storage.User {
	user, ok := p[id]
	if !ok {
		return nil
	}
	return &user.User
}

// GetUserByUsername is GetUserByID: a name is an identifier.
func (p people) GetUserByUsername(name string) *storage.User { return p.GetUserByID(name) }

// ExampleClientID is of no use here.
func (p people) ExampleClientID() string { return storage.ServiceUserID }
