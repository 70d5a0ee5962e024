package e2e

import (
	"crypto/sha256"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestOras(t *testing.T) {
	t.Parallel()
	orasLife(t, startRegistry(t))
}

// orasLife is all that oras does with a registry.
func orasLife(t *testing.T, reg *registry) {
	m := reg.machine(t)
	m.write(t, "report.txt", "all is well\n")
	writeNoise(t, filepath.Join(m.home, "data.bin"), 3<<20)

	orasLogin(t, m, reg)
	t.Run("pushes and pulls an artifact", func(t *testing.T) {
		m.run(t, "oras push --artifact-type application/vnd.example.report --export-manifest pushed.json $REG/team/report:v1,latest report.txt:text/plain data.bin")
		m.run(t, "oras pull --output pulled $REG/team/report:v1")
		sameFile(t, filepath.Join(m.home, "report.txt"), filepath.Join(m.home, "pulled", "report.txt"))
		sameFile(t, filepath.Join(m.home, "data.bin"), filepath.Join(m.home, "pulled", "data.bin"))
		pushed := readFile(t, filepath.Join(m.home, "pushed.json"))
		sameBytes(t, pushed, m.bytes(t, "oras manifest fetch $REG/team/report:latest"))
		same(t, digest.FromBytes(pushed).String(), m.run(t, "oras resolve $REG/team/report:v1"))
	})
	t.Run("attaches and discovers", func(t *testing.T) { orasReferrers(t, m, reg) })
	t.Run("copies with all that refers to it", func(t *testing.T) {
		m.run(t, "oras cp --recursive $REG/team/report:v1 $REG/mirror/report:v1")
		same(t, 2, len(orasDiscover(t, m, "oras discover --format json $REG/mirror/report:v1")))
		m.run(t, "oras pull --output mirrored $REG/mirror/report:v1")
		sameFile(t, filepath.Join(m.home, "data.bin"), filepath.Join(m.home, "mirrored", "data.bin"))
	})
	t.Run("tags and lists", func(t *testing.T) {
		m.run(t, "oras tag $REG/team/report:v1 stable v1.0")
		same(t, "latest\nstable\nv1\nv1.0", m.run(t, "oras repo tags $REG/team/report"))
		same(t, "mirror/report\nteam/report", m.run(t, "oras repo ls $REG"))
	})
	t.Run("pushes, fetches and deletes a blob", func(t *testing.T) {
		m.vars["BLOB"] = fileDigest(t, filepath.Join(m.home, "data.bin")).String()
		m.run(t, "oras blob push $REG/team/blobs data.bin")
		m.run(t, "oras blob fetch --output fetched.bin $REG/team/blobs@$BLOB")
		sameFile(t, filepath.Join(m.home, "data.bin"), filepath.Join(m.home, "fetched.bin"))
		m.run(t, "oras blob delete --force $REG/team/blobs@$BLOB")
		m.refused(t, "not found", "oras blob fetch --output gone.bin $REG/team/blobs@$BLOB")
		m.run(t, "oras blob fetch --output still.bin $REG/team/report@$BLOB")
	})
	t.Run("makes an index", func(t *testing.T) {
		m.run(t, "oras manifest index create $REG/team/report:all v1")
		var index v1.Index
		fromJSON(t, m.bytes(t, "oras manifest fetch $REG/team/report:all"), &index)
		same(t, m.run(t, "oras resolve $REG/team/report:v1"), index.Manifests[0].Digest.String())
	})
	t.Run("backs up and restores a repository", func(t *testing.T) {
		m.run(t, "oras backup --include-referrers --output backup $REG/team/report:v1")
		m.run(t, "oras restore --input backup $REG/restored/report:v1")
		same(t, m.run(t, "oras resolve $REG/team/report:v1"), m.run(t, "oras resolve $REG/restored/report:v1"))
		same(t, 2, len(orasDiscover(t, m, "oras discover --format json $REG/restored/report:v1")))
	})
	t.Run("deletes a manifest", func(t *testing.T) {
		m.run(t, "oras manifest delete --force $REG/mirror/report:v1")
		m.refused(t, "not found", "oras resolve $REG/mirror/report:v1")
	})
	t.Run("logs out", func(t *testing.T) {
		m.run(t, "oras logout $REG")
		m.refused(t, "credential", "oras repo tags $REG/team/report")
	})
}

// A blob of 1 GiB goes up in one request and comes back whole.
func TestOrasBigBlob(t *testing.T) {
	reg := startRegistry(t)
	m := reg.machine(t)
	orasLogin(t, m, reg)
	big := writeNoise(t, filepath.Join(m.home, "big"), 1<<30)
	m.vars["BIG"] = big.String()

	m.run(t, "oras blob push $REG/team/big@$BIG big")
	hash := sha256.New()
	m.stream(t, nil, hash, "oras blob fetch --output - $REG/team/big@$BIG")
	same(t, big, digest.NewDigest(digest.SHA256, hash))
}

// orasReferrers attaches two files to an artifact and finds them by the
// referrers API.
func orasReferrers(t *testing.T, m *machine, reg *registry) {
	t.Helper()
	m.write(t, "sbom.json", `{"made": "of nothing"}`)
	m.write(t, "signature", "signed\n")
	m.run(t, "oras attach --artifact-type application/vnd.example.sbom $REG/team/report:v1 sbom.json:application/json")
	m.run(t, "oras attach --artifact-type application/vnd.example.signature $REG/team/report:v1 signature")
	same(t, 2, len(orasDiscover(t, m, "oras discover --format json $REG/team/report:v1")))
	reg.sawRequest(t, "method=GET", "path=/v2/team/report/referrers/sha256:", "status=200")

	found := orasDiscover(t, m, "oras discover --format json --artifact-type application/vnd.example.sbom $REG/team/report:v1")
	if len(found) != 1 {
		t.Fatalf("the filter finds %+v, want the sbom", found)
	}
	same(t, "application/vnd.example.sbom", found[0].ArtifactType)
	m.vars["SBOM"] = found[0].Digest.String()
	m.run(t, "oras pull --output attached $REG/team/report@$SBOM")
	sameFile(t, filepath.Join(m.home, "sbom.json"), filepath.Join(m.home, "attached", "sbom.json"))
	same(t, "latest\nv1", m.run(t, "oras repo tags $REG/team/report")) // no fallback tag
}

func orasDiscover(t *testing.T, m *machine, command string) []v1.Descriptor {
	t.Helper()
	var found struct{ Referrers []v1.Descriptor }
	fromJSON(t, m.bytes(t, command), &found)
	return found.Referrers
}

// orasLogin logs alice in on m, which has no session before, and makes m trust
// the registry.
func orasLogin(t *testing.T, m *machine, reg *registry) {
	t.Helper()
	m.refusedWith(t, reg.password, "x509", "oras login --username alice --password-stdin $REG")
	m.refused(t, "credential", "oras repo ls --ca-file $CA $REG")
	m.refusedWith(t, wrongPassword, "unauthorized", "oras login --ca-file $CA --username alice --password-stdin $REG")
	m.runWith(t, reg.password, "oras login --ca-file $CA --username alice --password-stdin $REG")
	m.env = append(m.env, "SSL_CERT_FILE="+reg.ca) // for --ca-file in each command that follows
}
