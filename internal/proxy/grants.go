package proxy

import (
	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/route"
)

// grantsFor returns what the gateway needs in the upstream for a request.
func grantsFor(q *route.Request) []access.Grant {
	switch q.Kind {
	case route.Ping:
		return nil
	case route.Catalog:
		return []access.Grant{access.GrantFor(access.Scope{Action: access.List})}
	case route.UploadStart:
		grants := inRepo(q.Repo, access.Pull, access.Push)
		if q.From != "" {
			grants = append(grants, inRepo(q.From, access.Pull)...)
		}
		return grants
	case route.UploadAppend, route.UploadFinish, route.UploadStatus, route.ManifestPut:
		return inRepo(q.Repo, access.Pull, access.Push)
	case route.UploadCancel: // to distribution a deletion
		return inRepo(q.Repo, access.Pull, access.Push, access.Delete)
	case route.BlobDelete, route.ManifestDelete:
		return inRepo(q.Repo, access.Pull, access.Delete)
	default:
		return inRepo(q.Repo, access.Pull)
	}
}

func inRepo(repo string, actions ...access.Action) []access.Grant {
	grant := access.Grant{Type: access.RepositoryType, Name: repo}
	for _, a := range actions {
		grant.Actions = append(grant.Actions, access.GrantFor(access.Scope{Action: a, Repo: repo}).Actions...)
	}
	return []access.Grant{grant}
}
