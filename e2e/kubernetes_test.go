package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/moorgate/moorgate/internal/authn/oidctest"
)

// TestKubernetes uses what Kubernetes would send to a registry: the answer of the
// credential provider, and a Secret for imagePullSecrets. There is no cluster here; a
// real provider of OpenID Connect signs as its API server does.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	cluster, people := oidctest.Start(t), newPeople()
	config := fmt.Sprintf(`
login:
  - name: cluster
    oidc:
      issuer: %s
      ca: %s
      audience: registry.example.com
      require: 'claims.sub.startsWith("system:serviceaccount:")'
      user: claims.sub
      groups: '["namespace:" + claims["kubernetes.io"].namespace]'
  - htpasswd: {file: %s}
access:
  rules:
    - {who: user:alice, may: [pull, push], repos: "**"}
    - {who: "group:namespace:team", may: pull, repos: "team/**"}
`, cluster.Issuer, cluster.CA, people.write(t, t.TempDir()))
	reg := startConfigured(t, config)
	reg.password = people["alice"]
	m := reg.machine(t)
	trustForContainers(t, m, reg)
	images := newLayout(t)
	image := images.image(t, "amd64", "hello from a pod\n")
	images.tag(t, image, "v1")
	m.vars["OCI"] = images.dir
	for _, repo := range []string{"team", "other"} {
		m.vars["REPO"], m.vars["CREDS"] = repo, "alice:"+reg.password
		m.run(t, "skopeo copy --dest-creds $CREDS oci:$OCI:v1 docker://$REG/$REPO/app:v1")
	}

	m.vars["DATA"] = reg.DataDir
	key := m.run(t, "moorgate key create --data $DATA --name cluster --may pull:** --expires 1d")

	t.Run("service account tokens", func(t *testing.T) {
		token := cluster.Token(t, map[string]any{
			"sub": "system:serviceaccount:team:app", "aud": []string{"registry.example.com"},
			"kubernetes.io": map[string]any{"namespace": "team", "serviceaccount": map[string]any{"name": "app", "uid": "1"}},
		})
		m.vars["CREDS"] = kubeletCredentials(t, m, "moorgate kubelet-credentials --registry $REG", map[string]any{"serviceAccountToken": token})
		m.run(t, "skopeo copy --src-creds $CREDS docker://$REG/team/app:v1 oci:pulled:v1")
		images.sameImage(t, image.Digest, filepath.Join(m.home, "pulled"))
		m.refused(t, "name unknown", "skopeo inspect --creds $CREDS docker://$REG/other/app:v1")
		reg.sawRequest(t, "user=system:serviceaccount:team:app", "path=/v2/team/app/manifests/v1")
	})
	t.Run("a key", func(t *testing.T) {
		m.vars["KEY"] = m.write(t, "node.key", key+"\n")
		m.vars["CREDS"] = kubeletCredentials(t, m, "moorgate kubelet-credentials --registry $REG --user cluster --key-file $KEY", nil)
		m.run(t, "skopeo inspect --creds $CREDS docker://$REG/other/app:v1")
		m.run(t, "chmod 644 $KEY")
		m.refused(t, "others can read the key", "moorgate kubelet-credentials --registry $REG --user cluster --key-file $KEY")
	})
	t.Run("imagePullSecrets", func(t *testing.T) {
		// What "kubectl create secret docker-registry" puts into .dockerconfigjson.
		secret, err := json.Marshal(map[string]any{"auths": map[string]any{reg.Addr: map[string]string{
			"username": "cluster", "password": key,
			"auth": base64.StdEncoding.EncodeToString([]byte("cluster:" + key)),
		}}})
		if err != nil {
			t.Fatal(err)
		}
		m.vars["SECRET"] = m.write(t, "dockerconfig.json", string(secret))
		m.run(t, "skopeo inspect --authfile $SECRET docker://$REG/team/app:v1")
	})
}

// kubeletCredentials asks the provider as the kubelet does, and returns name and
// password as skopeo takes them.
func kubeletCredentials(t *testing.T, m *machine, command string, more map[string]any) string {
	t.Helper()
	request := map[string]any{
		"apiVersion": "credentialprovider.kubelet.k8s.io/v1", "kind": "CredentialProviderRequest", "image": m.vars["REG"] + "/team/app",
	}
	for name, value := range more {
		request[name] = value
	}
	text, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	var response struct {
		Auth map[string]struct{ Username, Password string }
	}
	fromJSON(t, []byte(m.runWith(t, string(text), command)), &response)
	auth, ok := response.Auth[m.vars["REG"]]
	if !ok || len(response.Auth) != 1 {
		t.Fatalf("credentials for %d registries, want those for %s", len(response.Auth), m.vars["REG"])
	}
	return auth.Username + ":" + auth.Password
}
