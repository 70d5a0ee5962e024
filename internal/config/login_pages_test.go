package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"github.com/moorgate/moorgate/internal/config"
)

var yamlBlocks = regexp.MustCompile("(?s)```yaml\n(.*?)```\n")

// TestLoginPages loads each configuration that a page about an identity source
// shows, and those of the page about the audit.
func TestLoginPages(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../docs/login/*.md")
	if err != nil || len(pages) < 2 {
		t.Fatalf("pages %q, %v", pages, err)
	}
	pages = append(pages, "../../docs/audit.md", "../../docs/recipes/credential-helper.md", "../../docs/recipes/kubernetes.md")
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		blocks := yamlBlocks.FindAllSubmatch(text, -1)
		if len(blocks) == 0 && filepath.Base(page) != "README.md" {
			t.Errorf("%s shows no configuration", page)
		}
		for _, block := range blocks {
			for _, p := range loadBlock(t, block[1]).Problems(config.Serve) {
				t.Errorf("%s: %s\n%s", page, p, block[1])
			}
		}
	}
}

func loadBlock(t *testing.T, text []byte) *config.File {
	t.Helper()
	file := filepath.Join(t.TempDir(), "moorgate.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestEachSourceHasAPage: it is called like the key of the source, and shows it.
func TestEachSourceHasAPage(t *testing.T) {
	t.Parallel()
	kinds := 0
	for field := range reflect.TypeFor[config.Login]().Fields() {
		key := field.Tag.Get("yaml")
		if key == "name" {
			continue
		}
		kinds++
		text, err := os.ReadFile("../../docs/login/" + key + ".md")
		if err != nil {
			t.Errorf("the source %s has no page: %v", key, err)
			continue
		}
		shows := func(block [][]byte) bool {
			sets := func(l config.Login) bool { return !reflect.ValueOf(l).FieldByIndex(field.Index).IsNil() }
			return slices.ContainsFunc(loadBlock(t, block[1]).Config.Login, sets)
		}
		if !slices.ContainsFunc(yamlBlocks.FindAllSubmatch(text, -1), shows) {
			t.Errorf("the page of the source %s does not show it", key)
		}
	}
	if kinds < 7 {
		t.Errorf("config.Login has %d kinds", kinds)
	}
}
