package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// maxDepth bounds the nesting of a manifest's JSON.
const maxDepth = 32

// fieldNames are the fields that readers look for. encoding/json takes them in
// any case, other readers only as they stand here.
var fieldNames = []string{ //nolint:gochecknoglobals // a lookup table, never written
	"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests",
	"subject", "annotations", "digest", "size", "data",
}

// respelled returns the field that encoding/json would take key for though it is
// spelled otherwise, or "". Its folding is that of Unicode: to it a long s (U+017F) is an s.
func respelled(key string) string {
	for _, name := range fieldNames {
		if key != name && strings.EqualFold(key, name) {
			return name
		}
	}
	return ""
}

// checkJSON sees to it that every JSON reader reads body in the same way: one
// object, no field twice, no known field in another spelling, no deep nesting.
// It returns the names of the outermost fields.
// The error is of kind ManifestInvalid.
func checkJSON(body []byte) (map[string]bool, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	fields := map[string]bool{}
	if err := expectObject(dec); err != nil {
		return nil, err
	}
	if err := checkObject(dec, fields, 1, false); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, Errorf(ManifestInvalid, "there is something behind the manifest's JSON")
	}
	return fields, nil
}

func expectObject(dec *json.Decoder) error {
	t, err := dec.Token()
	if err != nil {
		return Errorf(ManifestInvalid, "manifest is not valid JSON: %v", err)
	}
	if t != json.Delim('{') {
		return Errorf(ManifestInvalid, "manifest is not a JSON object")
	}
	return nil
}

// checkObject reads an object whose brace was read, up to its end. The keys of
// a free object, such as annotations, are nobody's field names.
func checkObject(dec *json.Decoder, seen map[string]bool, depth int, free bool) error {
	for {
		t, err := dec.Token()
		if err != nil {
			return Errorf(ManifestInvalid, "manifest is not valid JSON: %v", err)
		}
		key, ok := t.(string)
		if !ok { // the closing brace
			return nil
		}
		if seen[key] {
			return Errorf(ManifestInvalid, "manifest has the field %s twice", quote(key))
		}
		seen[key] = true
		if name := respelled(key); name != "" && !free {
			return Errorf(ManifestInvalid, "manifest has a field %s: it is spelled %s", quote(key), name)
		}
		if err := checkValue(dec, depth, key == "annotations"); err != nil {
			return err
		}
	}
}

// checkValue reads one value.
func checkValue(dec *json.Decoder, depth int, free bool) error {
	t, err := dec.Token()
	if err != nil {
		return Errorf(ManifestInvalid, "manifest is not valid JSON: %v", err)
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	if depth >= maxDepth {
		return Errorf(ManifestInvalid, "manifest is nested over %d deep", maxDepth)
	}
	if delim == '{' {
		return checkObject(dec, map[string]bool{}, depth+1, free)
	}
	for dec.More() {
		if err := checkValue(dec, depth+1, false); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil { // the closing bracket
		return Errorf(ManifestInvalid, "manifest is not valid JSON: %v", err)
	}
	return nil
}
