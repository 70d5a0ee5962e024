package conformance

import (
	"bytes"
	"encoding/xml"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// suitePackage is the program of the suite, pinned as a tool in go.mod.
const suitePackage = "github.com/opencontainers/distribution-spec/conformance"

// suiteVersion is the version of the specification to test against: "dev" is
// the released one and all that was merged since.
const suiteVersion = "dev"

// switches are the environment variables that choose what the suite tests. A
// run sets each of them, and outcome.problems finds one that is missing here.
var switches = []string{
	"OCI_API_PING", "OCI_API_PULL", "OCI_API_PUSH", "OCI_API_REFERRER",
	"OCI_API_BLOBS_ATOMIC", "OCI_API_BLOBS_DELETE", "OCI_API_BLOBS_DIGEST_HEADER",
	"OCI_API_BLOBS_MOUNT_ANONYMOUS", "OCI_API_BLOBS_UPLOAD_CANCEL",
	"OCI_API_MANIFESTS_ATOMIC", "OCI_API_MANIFESTS_DELETE",
	"OCI_API_MANIFESTS_DIGEST_HEADER", "OCI_API_MANIFESTS_TAG_PARAM",
	"OCI_API_TAGS_ATOMIC", "OCI_API_TAGS_DELETE", "OCI_API_TAGS_LIST",
	"OCI_DATA_IMAGE", "OCI_DATA_INDEX", "OCI_DATA_INDEX_LIST", "OCI_DATA_SPARSE",
	"OCI_DATA_ARTIFACT", "OCI_DATA_ARTIFACT_LIST",
	"OCI_DATA_SUBJECT", "OCI_DATA_SUBJECT_LIST", "OCI_DATA_SUBJECT_MISSING",
	"OCI_DATA_DATA_FIELD", "OCI_DATA_NONDISTRIBUTABLE", "OCI_DATA_CUSTOM_FIELDS",
	"OCI_DATA_NO_LAYERS", "OCI_DATA_EMPTY_BLOB", "OCI_DATA_SHA512",
}

// buildSuite compiles the suite and returns the path of its program.
func buildSuite(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "oci-conformance")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, suitePackage).CombinedOutput()
	if err != nil {
		t.Fatalf("cannot build the suite: %v\n%s", err, out)
	}
	return path
}

// runSuite runs the suite with settings added to its environment, and leaves
// its reports in results/<name>, for people to read.
func runSuite(t *testing.T, program, name string, settings map[string]string) *outcome {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("results", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil { // a report of an earlier run must not count
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Dir = dir
	cmd.Env = suiteEnv(dir, settings)
	// A failed run exits with an error, which the reports say better. A run
	// that wrote no reports fails below.
	output, runErr := cmd.CombinedOutput()
	if err := os.WriteFile(filepath.Join(dir, "output.txt"), output, 0o644); err != nil {
		t.Fatal(err)
	}
	o, err := readOutcome(dir)
	if err != nil {
		t.Fatalf("the suite left no readable reports: %v\nit ended with: %v\n%s", err, runErr, output)
	}
	o.exit = runErr
	return o
}

func suiteEnv(dir string, settings map[string]string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "OCI_") })
	all := map[string]string{"OCI_VERSION": suiteVersion, "OCI_RESULTS_DIR": dir}
	for _, s := range switches {
		all[s] = "true"
	}
	maps.Copy(all, settings)
	for k, v := range all {
		env = append(env, k+"="+v)
	}
	return env
}

// outcome is what the suite reports of one run.
type outcome struct {
	exit    error // of the suite's process
	results results
	junit   junit
}

// results is results.yaml: the suite's configuration and its two tables.
type results struct {
	Config struct {
		Version string         `yaml:"version"`
		APIs    map[string]any `yaml:"apis"`
		Data    map[string]any `yaml:"data"`
	} `yaml:"config"`
	APIs map[string]string `yaml:"apis"`
	Data map[string]string `yaml:"data"`
}

// junit is junit.xml: the single tests.
type junit struct {
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Errors   int        `xml:"errors,attr"`
	Skipped  int        `xml:"skipped,attr"`
	Disabled int        `xml:"disabled,attr"`
	Cases    []testcase `xml:"testsuite>testcase"`
}

type testcase struct {
	Name   string `xml:"name,attr"`
	Status string `xml:"status,attr"`
	Errors string `xml:"system-out"`
	HTTP   string `xml:"system-err"` // requests and answers
}

func readOutcome(dir string) (*outcome, error) {
	o := &outcome{}
	b, err := os.ReadFile(filepath.Join(dir, "results.yaml"))
	if err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(b, &o.results); err != nil {
		return nil, err
	}
	b, err = os.ReadFile(filepath.Join(dir, "junit.xml"))
	if err != nil {
		return nil, err
	}
	return o, xml.NewDecoder(bytes.NewReader(b)).Decode(&o.junit)
}
