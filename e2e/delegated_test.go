package e2e

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// TestDelegated lets real clients work with registries of others, as they come,
// that trust the tokens of "moorgate token".
func TestDelegated(t *testing.T) {
	t.Parallel()
	server := startTokenServer(t, "ES256", "two certificate", "three certificate", "three-jwks jwks")
	for _, c := range []struct {
		kind          peerKind
		service, keys string
	}{
		{registry2, "two", "certificate"},
		{registry3, "three", "certificate"},
		{registry3, "three-jwks", "jwks"},
	} {
		t.Run(string(c.kind)+" with "+c.keys, func(t *testing.T) {
			t.Parallel()
			reg := server.startTrusting(t, c.kind, c.service, c.keys)
			t.Run("crane", func(t *testing.T) { delegatedCrane(t, reg) })
			t.Run("skopeo", func(t *testing.T) { delegatedSkopeo(t, reg) })
			t.Run("docker", func(t *testing.T) { delegatedDocker(t, startEngine(t), reg) })
		})
	}
}

// craneUser returns a machine on which user is logged in; "" is nobody.
func (d *delegated) craneUser(t *testing.T, user string) *machine {
	t.Helper()
	m := d.machine(t)
	if user != "" {
		m.runWith(t, d.trusts.people[user], "crane auth login --username "+user+" --password-stdin $REG")
	}
	return m
}

func delegatedCrane(t *testing.T, reg *delegated) {
	images := newLayout(t)
	image := images.image(t, "amd64", "hello from a token\n")
	images.tag(t, image, "v1")
	alice, bob, root, nobody := reg.craneUser(t, "alice"), reg.craneUser(t, "bob"), reg.craneUser(t, "root"), reg.craneUser(t, "")
	for _, m := range []*machine{alice, bob, root, nobody} {
		m.vars["IMAGE"], m.vars["DIGEST"] = images.dir, image.Digest.String()
	}

	t.Run("a wrong password is refused", func(t *testing.T) {
		m := reg.machine(t)
		m.vars["IMAGE"] = images.dir
		// crane stores a password unseen; the token server refuses it.
		m.runWith(t, wrongPassword, "crane auth login --username alice --password-stdin $REG")
		m.refused(t, "UNAUTHORIZED", "crane push $IMAGE $REG/team/crane:v1")
		m.refused(t, "UNAUTHORIZED", "crane manifest $REG/public/crane:v1")
	})
	t.Run("pushes and pulls where it may", func(t *testing.T) {
		alice.run(t, "crane push $IMAGE $REG/team/crane:v1")
		alice.run(t, "crane pull --format oci $REG/team/crane:v1 image")
		images.sameBlobs(t, filepath.Join(alice.home, "image"))
		same(t, "v1", alice.run(t, "crane ls $REG/team/crane"))
		bob.run(t, "crane push $IMAGE $REG/bob/crane:v1")
	})
	t.Run("does neither where it may not", func(t *testing.T) {
		alice.refused(t, "UNAUTHORIZED", "crane push $IMAGE $REG/bob/other:v1")
		alice.refused(t, "UNAUTHORIZED", "crane manifest $REG/bob/crane:v1")
		alice.refused(t, "UNAUTHORIZED", "crane push $IMAGE $REG/public/crane:v1")
		bob.refused(t, "UNAUTHORIZED", "crane ls $REG/team/crane")
		bob.refused(t, "UNAUTHORIZED", "crane delete $REG/bob/crane@$DIGEST")
	})
	t.Run("nobody pulls what is public, and pushes nothing", func(t *testing.T) {
		root.run(t, "crane push $IMAGE $REG/public/crane:v1")
		nobody.run(t, "crane pull --format oci $REG/public/crane:v1 image")
		images.sameBlobs(t, filepath.Join(nobody.home, "image"))
		bob.run(t, "crane validate --remote $REG/public/crane:v1")
		nobody.refused(t, "UNAUTHORIZED", "crane push $IMAGE $REG/public/crane:v2")
		nobody.refused(t, "UNAUTHORIZED", "crane manifest $REG/team/crane:v1")
	})
	t.Run("copies, mounting from what it may read", func(t *testing.T) {
		alice.run(t, "crane copy $REG/team/crane:v1 $REG/team/copy:v1")
		alice.run(t, "crane validate --remote $REG/team/copy:v1")
		reg.sawRequest(t, `"POST /v2/team/copy/blobs/uploads/?from=team%2Fcrane&mount=sha256`, ` 201 `)
		alice.refused(t, "UNAUTHORIZED", "crane copy $REG/bob/crane:v1 $REG/team/stolen:v1")
	})
	t.Run("a mount from what it may not read is refused", func(t *testing.T) {
		token := reg.token(t, "alice", "repository:team/stolen:pull,push", "repository:bob/crane:pull")
		mount := "/v2/team/stolen/blobs/uploads/?from=bob/crane&mount=" + images.manifestOf(t, image).Layers[0].Digest.String()
		reg.with(t, token, http.StatusUnauthorized, http.MethodPost, mount)
		reg.with(t, token, http.StatusAccepted, http.MethodPost, "/v2/team/stolen/blobs/uploads/")
	})
	t.Run("the catalog is for whoever administers", func(t *testing.T) {
		if all := root.run(t, "crane catalog $REG"); !strings.Contains(all, "bob/crane\n") || !strings.Contains(all, "team/crane") {
			t.Errorf("the catalog is %q", all)
		}
		alice.refused(t, "UNAUTHORIZED", "crane catalog $REG")
	})
	t.Run("deletes where it may", func(t *testing.T) {
		alice.run(t, "crane delete $REG/team/copy@$DIGEST")
		alice.refused(t, "MANIFEST_UNKNOWN", "crane manifest $REG/team/copy@$DIGEST")
	})
}

func delegatedSkopeo(t *testing.T, reg *delegated) {
	images := newLayout(t)
	image := images.image(t, "amd64", "hello from a token\n")
	images.tag(t, image, "v1")
	m, nobody := reg.machine(t), reg.machine(t)
	m.vars["OCI"], nobody.vars["OCI"] = images.dir, images.dir
	login := func(t *testing.T, user string) {
		t.Helper()
		m.runWith(t, reg.trusts.people[user], "skopeo login --username "+user+" --password-stdin $REG")
	}

	t.Run("a wrong password is refused", func(t *testing.T) {
		m.refusedWith(t, wrongPassword, "invalid username/password", "skopeo login --username alice --password-stdin $REG")
	})
	t.Run("copies there and back where it may", func(t *testing.T) {
		login(t, "bob")
		m.run(t, "skopeo copy oci:$OCI:v1 docker://$REG/bob/skopeo:v1")
		m.run(t, "skopeo copy docker://$REG/bob/skopeo:v1 oci:back:v1")
		images.sameImage(t, image.Digest, filepath.Join(m.home, "back"))
		same(t, []string{"v1"}, skopeoTags(t, m, "$REG/bob/skopeo"))
		m.refused(t, "401 Unauthorized", "skopeo delete docker://$REG/bob/skopeo:v1")
	})
	t.Run("mounts nothing from what it may not read", func(t *testing.T) {
		login(t, "alice")
		m.refused(t, "denied", "skopeo inspect docker://$REG/bob/skopeo:v1")
		m.run(t, "skopeo copy oci:$OCI:v1 docker://$REG/team/skopeo:v1")
		reg.sawRequest(t, `"HEAD /v2/bob/skopeo/blobs/sha256:`, ` 401 `) // skopeo looks first
		reg.sawNoRequest(t, `"POST /v2/team/skopeo/blobs/uploads/?from=bob`)
	})
	t.Run("mounts from what it may read", func(t *testing.T) {
		m.run(t, "skopeo copy docker://$REG/team/skopeo:v1 docker://$REG/team/mounted:v1")
		reg.sawRequest(t, `"POST /v2/team/mounted/blobs/uploads/?from=team%2Fskopeo&mount=sha256`, ` 201 `)
		m.run(t, "skopeo inspect docker://$REG/team/mounted:v1")
		m.refused(t, "denied", "skopeo copy oci:$OCI:v1 docker://$REG/bob/skopeo:v2")
	})
	t.Run("nobody pulls what is public, and pushes nothing", func(t *testing.T) {
		login(t, "root")
		m.run(t, "skopeo copy oci:$OCI:v1 docker://$REG/public/skopeo:v1")
		nobody.run(t, "skopeo copy docker://$REG/public/skopeo:v1 oci:back:v1")
		images.sameImage(t, image.Digest, filepath.Join(nobody.home, "back"))
		nobody.refused(t, "denied", "skopeo copy oci:$OCI:v1 docker://$REG/public/skopeo:v2")
		nobody.refused(t, "denied", "skopeo inspect docker://$REG/team/skopeo:v1")
	})
	t.Run("deletes where it may", func(t *testing.T) {
		login(t, "alice")
		m.run(t, "skopeo delete docker://$REG/team/mounted:v1")
		m.refused(t, "manifest unknown", "skopeo inspect docker://$REG/team/mounted:v1")
	})
}
