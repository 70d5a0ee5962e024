package e2e

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/testserver"
)

// ownRegistry is our own registry, open, as what stands behind the gateway.
const ownRegistry peerKind = "moorgate serve"

// upstreamKinds are what the gateway is tested with.
func upstreamKinds() []peerKind { return append(peerKinds(), ownRegistry) }

// startUpstream runs a registry without a login and returns its URL.
func startUpstream(t *testing.T, kind peerKind) string {
	t.Helper()
	if kind != ownRegistry {
		return "http://" + startPeer(t, kind, nil).Addr
	}
	config := filepath.Join(t.TempDir(), "upstream.yaml")
	writeFile(t, config, audited)
	own := testserver.Start(t, "--open", "--config", config)
	printLogAtFailure(t, own)
	return own.URL
}

// startGateway runs "moorgate proxy" in front of the registry at url as the
// recipe does: with TLS and a password file, for alice and admin.
func startGateway(t *testing.T, url string) *registry {
	t.Helper()
	dir := t.TempDir()
	reg := &registry{ca: filepath.Join(dir, "ca.crt"), password: rand.Text()}
	cert, key := writeCertificates(t, dir)
	users := people{"alice": reg.password, "admin": rand.Text()}.write(t, dir)
	config := filepath.Join(dir, "moorgate.yaml")
	writeFile(t, config, audited)
	reg.Server = testserver.StartAs(t, "proxy", "--config", config, "--upstream", url, "--tls-cert", cert, "--tls-key", key, "--htpasswd", users)
	printLogAtFailure(t, reg.Server)
	return reg
}

// TestGateway lets real clients do all that they can through the gateway.
func TestGateway(t *testing.T) {
	t.Parallel()
	for _, kind := range upstreamKinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			start := func() *registry { return startGateway(t, startUpstream(t, kind)) }
			t.Run("skopeo", func(t *testing.T) { skopeoLife(t, start()) })
			t.Run("podman", func(t *testing.T) { podmanLife(t, start()) })
			t.Run("docker", func(t *testing.T) { dockerLife(t, startEngine(t), start()) })
			if kind == ownRegistry {
				t.Run("crane", func(t *testing.T) { craneLife(t, start()) })
				t.Run("oras", func(t *testing.T) { orasLife(t, start()) })
				return
			}
			// These registries know no referrers, and not all of them delete tags.
			t.Run("crane", func(t *testing.T) { gatewayCrane(t, start()) })
			t.Run("oras", func(t *testing.T) { gatewayOras(t, start()) })
		})
	}
}

// gatewayCrane is what crane can do with each registry.
func gatewayCrane(t *testing.T, reg *registry) {
	m := reg.machine(t)
	images := newLayout(t)
	multi := images.multiArch(t, "hello from behind the gate\n")
	images.tag(t, multi, "multi")
	m.vars["INDEX"], m.vars["DIGEST"] = images.dir, multi.Digest.String()

	craneLogin(t, m, reg)
	m.run(t, "crane push --index $INDEX $REG/team/multi:v1")
	m.run(t, "crane pull --format oci $REG/team/multi:v1 index")
	images.sameBlobs(t, filepath.Join(m.home, "index"))
	m.run(t, "crane validate --remote $REG/team/multi:v1")
	m.run(t, "crane tag $REG/team/multi:v1 stable")
	tags := strings.Fields(m.run(t, "crane ls $REG/team/multi"))
	slices.Sort(tags) // registry 2.8 does not
	same(t, []string{"stable", "v1"}, tags)
	m.run(t, "crane copy $REG/team/multi:v1 $REG/other/multi:v1")
	reg.sawRequest(t, "method=POST", "path=/v2/other/multi/blobs/uploads/ ", "status=201")
	m.run(t, "crane validate --remote $REG/other/multi:v1")
	same(t, "other/multi\nteam/multi", m.run(t, "crane catalog $REG"))
	m.run(t, "crane delete $REG/other/multi@$DIGEST")
	m.refused(t, "MANIFEST_UNKNOWN", "crane manifest $REG/other/multi@$DIGEST")
	m.run(t, "crane validate --remote $REG/team/multi:v1")
}

// gatewayOras is what oras can do with each registry.
func gatewayOras(t *testing.T, reg *registry) {
	m := reg.machine(t)
	data := writeNoise(t, filepath.Join(m.home, "data.bin"), 3<<20)
	m.vars["BLOB"] = data.String()
	m.write(t, "sbom.json", `{"made": "of nothing"}`)

	orasLogin(t, m, reg)
	m.run(t, "oras push --artifact-type application/vnd.example.report $REG/team/report:v1 data.bin")
	m.run(t, "oras pull --output pulled $REG/team/report:v1")
	sameFile(t, filepath.Join(m.home, "data.bin"), filepath.Join(m.home, "pulled", "data.bin"))
	m.run(t, "oras attach --artifact-type application/vnd.example.sbom $REG/team/report:v1 sbom.json:application/json")
	same(t, 1, len(orasDiscover(t, m, "oras discover --format json $REG/team/report:v1")))
	m.run(t, "oras cp --recursive $REG/team/report:v1 $REG/mirror/report:v1")
	same(t, 1, len(orasDiscover(t, m, "oras discover --format json $REG/mirror/report:v1")))
	m.run(t, "oras tag $REG/mirror/report:v1 stable")
	same(t, m.run(t, "oras resolve $REG/team/report:v1"), m.run(t, "oras resolve $REG/mirror/report:stable"))
	same(t, "mirror/report\nteam/report", m.run(t, "oras repo ls $REG"))
	m.run(t, "oras manifest delete --force $REG/mirror/report:v1")
	m.refused(t, "not found", "oras resolve $REG/mirror/report:v1")
	m.run(t, "oras blob delete --force $REG/mirror/report@$BLOB")
	m.refused(t, "not found", "oras blob fetch --output gone.bin $REG/mirror/report@$BLOB")
	m.run(t, "oras blob fetch --output still.bin $REG/team/report@$BLOB")
	m.run(t, "oras logout $REG")
	m.refused(t, "credential", "oras repo tags $REG/team/report")
}

// A layer of 1 GiB goes through the gateway both ways, and stays neither in its
// memory nor on its disk.
func TestGatewayBigLayer(t *testing.T) {
	reg := startGateway(t, startUpstream(t, registry3))
	m := reg.machine(t)
	craneLogin(t, m, reg)
	images := newLayout(t)
	images.tag(t, images.big(t, 1<<30), "big")
	m.vars["BIG"] = images.dir

	m.run(t, "crane push $BIG $REG/team/big:v1")
	m.run(t, "crane pull --format oci $REG/team/big:v1 pulled")
	images.sameBlobs(t, filepath.Join(m.home, "pulled"))
	const most = 128 << 10
	if got := peakMemory(t, reg.Process.Pid); got > most {
		t.Errorf("the gateway has used %d KiB of memory, want at most %d", got, most)
	}
	if got := diskUse(t, reg.DataDir); got > 1<<20 {
		t.Errorf("the gateway has %d bytes on disk", got)
	}
}

var highWaterMark = regexp.MustCompile(`VmHWM:\s*(\d+) kB`)

// peakMemory returns the most memory that a process ever had, in KiB.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	found := highWaterMark.FindSubmatch(readFile(t, fmt.Sprintf("/proc/%d/status", pid)))
	if found == nil {
		t.Fatal("the kernel does not tell how much memory the process had")
	}
	size, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// diskUse returns the size of all files in dir, in bytes.
func diskUse(t *testing.T, dir string) int64 {
	t.Helper()
	var size int64
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// Clients that know only the API before this one are told that there is nothing,
// as the recipe with nginx does.
func TestGatewayKeepsAncientClientsOut(t *testing.T) {
	t.Parallel()
	reg := startGateway(t, startUpstream(t, registry2))
	client := httpsClient(t, reg.ca)
	for agent, status := range map[string]int{
		"docker/1.3.3 go/go1.3.3 kernel/3.16.0 os/linux arch/amd64":          http.StatusNotFound,
		"docker/1.4.1 go/go1.3.3":                                            http.StatusNotFound,
		"docker/1.5.0 go/go1.4.1":                                            http.StatusNotFound,
		"Go 1.1 package http":                                                http.StatusNotFound,
		"docker/1.5.0-dev go/go1.4.1":                                        http.StatusUnauthorized,
		"docker/1.6.0 go/go1.4.2":                                            http.StatusUnauthorized,
		"docker/20.10.24+dfsg1 go/go1.19.8 kernel/6.1.0 os/linux arch/amd64": http.StatusUnauthorized,
		"docker/28.0.1 UpstreamClient(Go-http-client/1.1)":                   http.StatusUnauthorized,
		"Go-http-client/1.1":                                                 http.StatusUnauthorized,
	} {
		req := newRequest(t, http.MethodGet, reg.URL+"/v2/")
		req.Header.Set("User-Agent", agent)
		wantStatus(t, client, req, status)
	}
	reg.sawRequest(t, `agent="Go 1.1 package http"`, "status=404")
}
