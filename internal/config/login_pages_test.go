package config_test

import (
	"os"
	"path/filepath"
	"regexp"
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
			file := filepath.Join(t.TempDir(), "moorgate.yaml")
			if err := os.WriteFile(file, block[1], 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := config.Load(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range f.Problems(config.Serve) {
				t.Errorf("%s: %s\n%s", page, p, block[1])
			}
		}
	}
}
