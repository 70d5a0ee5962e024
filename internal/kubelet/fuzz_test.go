package kubelet_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzAnswer looks for a request that gets credentials for another registry than ours,
// or an answer that is no JSON.
func FuzzAnswer(f *testing.F) {
	files, err := filepath.Glob("testdata/*/request.json")
	if err != nil || len(files) == 0 {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		var out bytes.Buffer
		if err := provider(t, "registry.example.com:5043").Answer(bytes.NewReader(request), &out); err != nil {
			if out.Len() > 0 {
				t.Errorf("an error, and %s", &out)
			}
			return
		}
		var answer struct{ Auth map[string]any }
		if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		for host := range answer.Auth {
			if !strings.EqualFold(host, "registry.example.com:5043") {
				t.Errorf("credentials for %q", host)
			}
		}
	})
}
