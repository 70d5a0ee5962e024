package gate

import (
	"errors"
	"fmt"
	"net/http"
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
	if scope := scopeParameter(request); scope != "" {
		parameters = append(parameters, fmt.Sprintf("scope=%q", scope))
	}
	for _, why := range []error{errInvalidToken, errInsufficientScope} {
		if errors.Is(err, why) {
			parameters = append(parameters, fmt.Sprintf("error=%q", why.Error()))
		}
	}
	return "Bearer " + strings.Join(parameters, ",")
}

// scopeParameter is what a token must grant for the request.
func scopeParameter(request *route.Request) string {
	if request == nil || request.Kind == route.Ping {
		return ""
	}
	scopes := request.Scopes()
	grant := access.GrantFor(scopes[0])
	if scopes[0].Action == access.Push {
		grant.Actions = []string{"pull", "push"} // who pushes asks first what is there
	}
	list := []string{grant.String()}
	if request.Mount != "" && request.From != "" {
		list = append(list, access.GrantFor(access.Scope{Action: access.Pull, Repo: request.From}).String())
	}
	return strings.Join(list, " ")
}
