package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/testserver"
)

// startRuledGateway runs "moorgate proxy" with accessRules in front of the
// registry at url. Since the rules let nobody in for something, clients are
// asked for tokens, which the gateway gives out itself.
func startRuledGateway(t *testing.T, url string) *delegated {
	t.Helper()
	dir := t.TempDir()
	s := &tokenServer{ca: filepath.Join(dir, "ca.crt"), people: newPeople(), detour: startDetour(t)}
	s.cert, s.key = writeCertificates(t, dir)
	file := filepath.Join(dir, "gateway.yaml")
	writeFile(t, file, fmt.Sprintf(audited+"login: [{htpasswd: {file: %s}}]\nupstreams: [{url: %q}]\n%s", s.people.write(t, dir), url, accessRules))
	s.Server = testserver.StartAs(t, "proxy", "--config", file, "--tls-cert", s.cert, "--tls-key", s.key)
	printLogAtFailure(t, s.Server)
	return &delegated{peer: &peer{Addr: s.Addr}, trusts: s, service: "moorgate"}
}

// TestGatewayRights lets real clients meet rights for each repository, and
// nobody pull what is public. What a user may not even read is not there; what
// they may read and not change is denied; who has no name is asked to sign in.
func TestGatewayRights(t *testing.T) {
	t.Parallel()
	for _, kind := range upstreamKinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			reg := startRuledGateway(t, startUpstream(t, kind))
			t.Run("crane", func(t *testing.T) { rightsCrane(t, reg) })
			t.Run("skopeo", func(t *testing.T) { rightsSkopeo(t, reg) })
			if kind == registry2 { // it is the gateway that decides, so one of them will do
				t.Run("docker", func(t *testing.T) { rightsDocker(t, startEngine(t), reg) })
				t.Run("oras", func(t *testing.T) { rightsOras(t, reg) })
			}
		})
	}
}

func rightsCrane(t *testing.T, reg *delegated) {
	images := newLayout(t)
	image := images.image(t, "amd64", "hello from behind the rules\n")
	images.tag(t, image, "v1")
	alice, bob, root, nobody := reg.craneUser(t, "alice"), reg.craneUser(t, "bob"), reg.craneUser(t, "root"), reg.craneUser(t, "")
	for _, m := range []*machine{alice, bob, root, nobody} {
		m.vars["IMAGE"], m.vars["DIGEST"] = images.dir, image.Digest.String()
	}
	wrong := reg.machine(t)
	wrong.runWith(t, wrongPassword, "crane auth login --username alice --password-stdin $REG")
	wrong.refused(t, "UNAUTHORIZED", "crane ls $REG/public/crane")

	alice.run(t, "crane push $IMAGE $REG/team/crane:v1")
	alice.run(t, "crane pull --format oci $REG/team/crane:v1 image")
	images.sameBlobs(t, filepath.Join(alice.home, "image"))
	bob.run(t, "crane push $IMAGE $REG/bob/crane:v1")
	root.run(t, "crane push $IMAGE $REG/public/crane:v1")

	alice.refused(t, "NAME_UNKNOWN", "crane push $IMAGE $REG/bob/other:v1")
	alice.refused(t, "DENIED", "crane push $IMAGE $REG/public/crane:v2")
	alice.refused(t, "NAME_UNKNOWN", "crane manifest $REG/bob/crane:v1")
	alice.refused(t, "NAME_UNKNOWN", "crane copy $REG/bob/crane:v1 $REG/team/stolen:v1")
	bob.refused(t, "NAME_UNKNOWN", "crane ls $REG/team/crane")
	bob.refused(t, "DENIED", "crane delete $REG/bob/crane@$DIGEST")

	nobody.run(t, "crane validate --remote $REG/public/crane:v1")
	nobody.refused(t, "UNAUTHORIZED", "crane push $IMAGE $REG/public/crane:v2")
	nobody.refused(t, "UNAUTHORIZED", "crane manifest $REG/team/crane:v1")

	alice.run(t, "crane copy $REG/team/crane:v1 $REG/team/copy:v1")
	alice.run(t, "crane validate --remote $REG/team/copy:v1")
	same(t, "v1", alice.run(t, "crane ls $REG/team/copy"))
	same(t, "public/crane\nteam/copy\nteam/crane", alice.run(t, "crane catalog $REG"))
	same(t, "bob/crane\npublic/crane", bob.run(t, "crane catalog $REG"))
	same(t, "public/crane", nobody.run(t, "crane catalog $REG"))
	alice.run(t, "crane delete $REG/team/copy@$DIGEST")
	alice.refused(t, "MANIFEST_UNKNOWN", "crane manifest $REG/team/copy@$DIGEST")
}

func rightsSkopeo(t *testing.T, reg *delegated) {
	images := newLayout(t)
	image := images.image(t, "amd64", "hello from behind the rules\n")
	images.tag(t, image, "v1")
	m, nobody := reg.machine(t), reg.machine(t)
	m.vars["OCI"], nobody.vars["OCI"] = images.dir, images.dir
	login := func(user string) {
		m.runWith(t, reg.trusts.people[user], "skopeo login --username "+user+" --password-stdin $REG")
	}
	m.refusedWith(t, wrongPassword, "invalid username/password", "skopeo login --username alice --password-stdin $REG")
	login("root")
	m.run(t, "skopeo copy oci:$OCI:v1 docker://$REG/public/skopeo:v1")
	login("bob")
	m.run(t, "skopeo copy oci:$OCI:v1 docker://$REG/bob/skopeo:v1")
	login("alice")
	m.run(t, "skopeo copy oci:$OCI:v1 docker://$REG/team/skopeo:v1")
	m.run(t, "skopeo copy docker://$REG/team/skopeo:v1 oci:back:v1")
	images.sameImage(t, image.Digest, filepath.Join(m.home, "back"))
	m.refused(t, "name unknown", "skopeo inspect docker://$REG/bob/skopeo:v1")
	m.refused(t, "name unknown", "skopeo copy oci:$OCI:v1 docker://$REG/bob/skopeo:v2")
	m.refused(t, "denied", "skopeo copy oci:$OCI:v1 docker://$REG/public/skopeo:v2")
	nobody.run(t, "skopeo copy docker://$REG/public/skopeo:v1 oci:back:v1")
	images.sameImage(t, image.Digest, filepath.Join(nobody.home, "back"))
	nobody.refused(t, "denied", "skopeo copy oci:$OCI:v1 docker://$REG/public/skopeo:v2")
	nobody.refused(t, "denied", "skopeo inspect docker://$REG/team/skopeo:v1")
	m.run(t, "skopeo delete docker://$REG/team/skopeo:v1")
	m.refused(t, "manifest unknown", "skopeo inspect docker://$REG/team/skopeo:v1")
}

func rightsOras(t *testing.T, reg *delegated) {
	alice, nobody := reg.machine(t), reg.machine(t)
	alice.write(t, "report.txt", "all is well\n")
	nobody.write(t, "report.txt", "all is well\n")
	alice.refusedWith(t, wrongPassword, "unauthorized", "oras login --username alice --password-stdin $REG")
	alice.runWith(t, reg.trusts.people["root"], "oras login --username root --password-stdin $REG")
	alice.run(t, "oras push $REG/public/report:v1 report.txt")
	alice.runWith(t, reg.trusts.people["alice"], "oras login --username alice --password-stdin $REG")
	alice.run(t, "oras push $REG/team/report:v1 report.txt")
	alice.refused(t, "denied", "oras push $REG/public/report:v2 report.txt")
	alice.refused(t, "name unknown", "oras push $REG/bob/report:v1 report.txt")
	alice.run(t, "oras pull --output pulled $REG/team/report:v1")
	sameFile(t, filepath.Join(alice.home, "report.txt"), filepath.Join(alice.home, "pulled", "report.txt"))
	nobody.run(t, "oras pull --output pulled $REG/public/report:v1")
	nobody.refused(t, "unauthorized", "oras push $REG/public/report:v2 report.txt")
	nobody.refused(t, "unauthorized", "oras pull --output other $REG/team/report:v1")
}

func rightsDocker(t *testing.T, engine *engine, reg *delegated) {
	at := reg.as(t, "alice")
	engine.trust(t, at.Addr, at)
	m := engine.machine(t, at)
	for _, name := range []string{"team/docker:v1", "team/mounted:v1", "bob/docker:v1", "public/docker:v1"} {
		dockerBuild(t, m, name, "hello from behind the rules to "+name+"\n")
	}
	m.refusedWith(t, wrongPassword, "unauthorized", "docker login --username alice --password-stdin $REG")
	dockerLogin(t, m, reg, "alice")
	dockerPush(t, m, "team/docker:v1")
	m.run(t, "docker image rm $REG/team/docker:v1")
	same(t, "hello from behind the rules to team/docker:v1", m.run(t, "docker run --rm --network none --quiet $REG/team/docker:v1"))
	if out := m.run(t, "docker push $REG/team/mounted:v1"); !strings.Contains(out, "Mounted from team/docker") {
		t.Errorf("nothing was mounted:\n%s", out)
	}
	m.refused(t, "name unknown", "docker push $REG/bob/docker:v1")
	m.refused(t, "denied", "docker push $REG/public/docker:v1")
	m.refused(t, "unknown", "docker pull $REG/bob/docker:v1")

	// The engine still knows that the first layer is in team/docker.
	dockerLogin(t, m, reg, "bob")
	if out := m.run(t, "docker push $REG/bob/docker:v1"); strings.Contains(out, "Mounted") || strings.Count(out, "Pushed") != 2 {
		t.Errorf("it was not all pushed:\n%s", out)
	}
	dockerLogin(t, m, reg, "root")
	dockerPush(t, m, "public/docker:v1")
	m.run(t, "docker logout $REG")
	m.run(t, "docker image rm $REG/public/docker:v1")
	same(t, "hello from behind the rules to public/docker:v1", m.run(t, "docker run --rm --network none --quiet $REG/public/docker:v1"))
	m.refused(t, "denied: requested access to the resource is denied", "docker push $REG/public/docker:v1")
	m.refused(t, "pull access denied", "docker pull $REG/team/docker:v1")
}
