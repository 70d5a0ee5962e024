package gate

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/route"
)

// challenge tells a client how to sign in: by password (RFC 7617), or by a token
// from the token server (RFC 6750, section 3; Docker token specification). Only
// one of them: docker tries all that it is told, and fails if one of them does.
func (g *Gate) challenge(r *http.Request, request *route.Request, err error) string {
	var server TokenServer
	useTokens := false
	if g.TokenServer != nil {
		server, useTokens = g.TokenServer(r)
	}
	if !useTokens {
		return fmt.Sprintf(`Basic realm=%q, charset="UTF-8"`, g.Realm)
	}
	parameters := []string{fmt.Sprintf("realm=%q", server.Realm), fmt.Sprintf("service=%q", server.Service)}
	var insufficient *insufficientScope
	lacks := errors.As(err, &insufficient)
	scopes := scopesOf(request)
	if lacks && !covers(scopes, insufficient.lacks) {
		scopes = append(scopes, insufficient.lacks)
	}
	if len(scopes) > 0 {
		parameters = append(parameters, fmt.Sprintf("scope=%q", join(scopes)))
	}
	switch {
	case lacks:
		parameters = append(parameters, fmt.Sprintf("error=%q", insufficient.Error()))
	case errors.Is(err, errInvalidToken):
		parameters = append(parameters, fmt.Sprintf("error=%q", errInvalidToken.Error()))
	}
	return "Bearer " + strings.Join(parameters, ",")
}

// scopesOf is what a token must grant for the request to begin, and for the mount
// that it asks for.
func scopesOf(request *route.Request) []access.Grant {
	if request == nil || request.Kind == route.Ping {
		return nil
	}
	scope := request.Scopes()[0]
	grant := access.GrantFor(scope)
	if scope.Action == access.Push {
		grant.Actions = []string{"pull", "push"} // who pushes asks first what is there
	}
	list := []access.Grant{grant}
	if request.Mount != "" && request.From != "" {
		list = append(list, access.GrantFor(access.Scope{Action: access.Pull, Repo: request.From}))
	}
	return list
}

// covers reports whether one of list grants the one action of need.
func covers(list []access.Grant, need access.Grant) bool {
	return slices.ContainsFunc(list, func(g access.Grant) bool {
		return g.Type == need.Type && g.Name == need.Name && slices.Contains(g.Actions, need.Actions[0])
	})
}

func join(list []access.Grant) string {
	texts := make([]string, len(list))
	for i, g := range list {
		texts[i] = g.String()
	}
	return strings.Join(texts, " ")
}
