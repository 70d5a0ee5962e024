// Package internal_test holds the rules of who may import whom.
package internal_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/moorgate/moorgate/"

// mayImport has a row for each package of the module: the packages of the
// module that it may import. It may also import all that those may. Names are
// relative to internal/, or to the module where there is no such package.
//
// A new package fails the test until it has a row, and so does a row without a
// package. Files of tests may import what they like.
var mayImport = map[string][]string{
	// Vocabulary: no input or output, no users of it known.
	"oci":    {},
	"access": {"oci"},
	"route":  {"access"},
	"reqctx": {},

	// Tools around one thing of the operating system.
	"atomicfile": {},
	"datadir":    {},
	"filewatch":  {},
	"certs":      {"atomicfile"},
	"loglines":   {},
	"loopback":   {},
	"process":    {},

	// What it takes to be slow to those who guess.
	"lockout": {},

	// Contracts, and below each the back ends, which see only their contract.
	"blob":              {"oci"},
	"blob/disk":         {"blob"},
	"blob/hot":          {"blob"},
	"blob/blobtest":     {"blob"},
	"meta":              {"blob"},
	"meta/sqlmeta":      {"meta"},
	"meta/metatest":     {"meta"},
	"meta/hot":          {"meta"},
	"authn":             {"access"},
	"authn/htpasswd":    {"authn", "atomicfile"},
	"authn/authntest":   {"authn"},
	"audit":             {"access"},
	"audit/trail":       {"audit", "atomicfile"},
	"token":             {"authn", "atomicfile", "loopback"},
	"refresh":           {"authn", "meta"},
	"session":           {"token"},
	"meta/postgrestest": {},
	"authn/ldap":        {"authn", "loopback"},
	"authn/clientcert":  {"authn"},
	"authn/certtest":    {},
	"authn/front":       {"authn"},
	"authn/ldaptest":    {"certs"},
	"authn/oidc":        {"token"},
	"authn/oidctest":    {"certs"},
	"authn/keys":        {"authn", "meta"},
	"authn/program":     {"authn"},
	"authn/command":     {"authn/program"},
	"authn/webhook":     {"authn/program", "loopback"},
	"authn/programtest": {"certs"},

	// The operations: no HTTP, no users.
	"registry": {"meta"},
	"gc":       {"meta"},

	// The way of a request: no storage before distapi.
	"middleware": {"reqctx"},
	"wire":       {"oci", "reqctx"},
	"login":      {"authn", "audit", "lockout", "oci", "reqctx"},
	"gate":       {"route", "login", "wire"},
	"distapi":    {"gate", "registry"},
	"upstream":   {"access", "loopback"},
	"proxy":      {"gate", "upstream"},
	"tokenapi":   {"login", "session", "refresh", "wire"},
	"control":    {"token", "refresh", "authn/keys", "audit", "wire", "process", "lockout"},
	"metrics":    {"authn", "lockout"},

	// Only here is everything known.
	"config": {
		"audit/trail", "blob/disk", "meta/sqlmeta", "upstream", "session",
		"authn/htpasswd", "authn/ldap", "authn/oidc", "authn/clientcert", "authn/front", "authn/command", "authn/webhook",
	},
	"app": {
		"meta/hot", "blob/hot", "config", "distapi", "proxy", "tokenapi", "control", "metrics", "middleware", "gc", "certs", "datadir", "filewatch",
	},
	"cmd/moorgate": {"app", "loglines", "credhelper", "kubelet"},

	// What runs on the machines of users and on nodes: nothing of a server is in it.
	"client":     {"loopback"},
	"deviceflow": {"client"},
	"keyring":    {"atomicfile"},
	"credhelper": {"deviceflow", "keyring"},
	"kubelet":    {},

	// Samples for others, which know nothing of us.
	"examples/login-program": {},

	// For tests.
	"internal":   {},
	"testserver": {},
	"e2e":        {},
	"bench":      {"certs", "meta/sqlmeta"},

	// Tests that take as long as one lets them, and what they share.
	"torture/client":    {},
	"torture/crash":     {},
	"torture/limits":    {},
	"torture/soak":      {},
	"torture/world":     {"torture/client"},
	"torture/aftermath": {"blob/disk", "meta/sqlmeta", "gc"},
	"torture/faultfs":   {},
	"torture/faults":    {},
	"torture/powerloss": {},
}

// onlyIn has packages of the standard library that belong to some packages.
var onlyIn = map[string][]string{
	"database/sql": {"meta/sqlmeta"},
	"net/http": {
		"route", "middleware", "wire", "login", "gate", "distapi", "upstream", "proxy", "tokenapi", "control", "token",
		"authn/webhook", "authn/oidctest", "app", "client", "deviceflow", "credhelper",
		"examples/login-program", "bench", "torture/client", "torture/world",
	},
	"testing": {
		"blob/blobtest", "meta/metatest", "authn/authntest", "testserver", "torture/client", "torture/faultfs",
		"meta/postgrestest", "authn/ldaptest", "authn/oidctest", "authn/certtest", "authn/programtest",
	},
}

func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	imports := readImports(t, "..")
	for _, pkg := range slices.Sorted(maps.Keys(imports)) {
		if _, ok := mayImport[pkg]; !ok {
			t.Errorf("package %s has no row in mayImport: who is it for, and what does it need?", pkg)
			continue
		}
		allowed := reachable(pkg)
		for _, imp := range imports[pkg] {
			if name, ours := strings.CutPrefix(imp, module); ours && !allowed[shortName(name)] {
				t.Errorf("package %s imports %s, which its row in mayImport does not allow", pkg, shortName(name))
			}
			if owners, ok := onlyIn[imp]; ok && !slices.Contains(owners, pkg) {
				t.Errorf("package %s imports %s, which belongs to %v", pkg, imp, owners)
			}
		}
	}
}

func TestEveryRowHasAPackage(t *testing.T) {
	t.Parallel()
	imports := readImports(t, "..")
	for pkg, row := range mayImport {
		if _, ok := imports[pkg]; !ok {
			t.Errorf("mayImport has a row for %s, which is not there", pkg)
		}
		for _, imp := range row {
			if _, ok := mayImport[imp]; !ok {
				t.Errorf("mayImport lets %s import %s, which has no row", pkg, imp)
			}
		}
	}
}

// reachable returns what pkg may import, directly or because it may import
// something that may.
func reachable(pkg string) map[string]bool {
	seen := map[string]bool{}
	var visit func(string)
	visit = func(p string) {
		for _, imp := range mayImport[p] {
			if !seen[imp] {
				seen[imp] = true
				visit(imp)
			}
		}
	}
	visit(pkg)
	return seen
}

// readImports returns the packages below root, and what each imports in files
// that are not of tests.
func readImports(t *testing.T, root string) map[string][]string {
	t.Helper()
	imports := map[string][]string{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && file != root && otherTree(file):
			return fs.SkipDir
		case filepath.Ext(file) != ".go":
			return nil
		}
		dir, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		pkg := shortName(filepath.ToSlash(dir))
		imports[pkg] = append(imports[pkg], importsOf(t, file)...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return imports
}

func importsOf(t *testing.T, file string) []string {
	t.Helper()
	if strings.HasSuffix(file, "_test.go") {
		return nil
	}
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var imports []string
	for _, spec := range f.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		imports = append(imports, imp)
	}
	return imports
}

// otherTree reports whether the folder holds nothing of this module: another
// module, data of a test, or what starts with a dot.
func otherTree(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	name := filepath.Base(dir)
	return err == nil || name == "testdata" || strings.HasPrefix(name, ".")
}

// shortName turns a path below the module into the name of its row.
func shortName(dir string) string {
	return strings.TrimPrefix(path.Clean(dir), "internal/")
}
