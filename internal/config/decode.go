package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// decoder walks the file beside the types of Config, so that it can report every
// mistake, and remembers where each value stands.
type decoder struct {
	problems []Problem
	lines    map[string]int
	unknown  []string // what holds a key that is not known, as paths
}

func (d *decoder) problem(n ast.Node, path, format string, args ...any) {
	if path == "" {
		path = "file" // what stands at the top has no path
	}
	d.problems = append(d.problems, Problem{Line: lineOf(n), Path: path, Message: fmt.Sprintf(format, args...)})
}

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 0
	}
	return n.GetToken().Position.Line
}

// decode sets v, which stands at path, from a node.
func (d *decoder) decode(n ast.Node, path string, v reflect.Value) {
	if anchor, ok := n.(*ast.AnchorNode); ok {
		n = anchor.Value
	}
	if n == nil || n.Type() == ast.NullType || n.Type() == ast.CommentType {
		return // nothing said: the default holds
	}
	if d.lines[path] == 0 { // an entry of a list; keys have theirs already
		d.lines[path] = lineOf(n)
	}
	switch {
	case n.Type() == ast.AliasType:
		d.problem(n, path, `a value that begins with * needs quotes, such as "*"`)
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		setDefaults(v.Elem())
		d.decode(n, path, v.Elem())
	case v.Kind() == reflect.Struct && !isText(v):
		d.decodeStruct(n, path, v)
	case v.Kind() == reflect.Slice:
		d.decodeList(n, path, v)
	case v.Kind() == reflect.Map:
		d.decodeMap(n, path, v)
	default:
		d.decodeScalar(n, path, v)
	}
}

// mapping returns the keys and values of a node, and reports keys that are given
// twice; the first counts.
func (d *decoder) mapping(n ast.Node, path string) (entries []entry, ok bool) {
	m, ok := n.(ast.MapNode)
	if !ok {
		if path == "" {
			path = "file"
		}
		d.problem(n, path, "is not a mapping of keys to values")
		return nil, false
	}
	seen := map[string]bool{}
	for it := m.MapRange(); it.Next(); {
		e := entry{key: keyOf(it.Key()), node: it.Key(), value: it.Value()}
		e.path = strings.TrimPrefix(path+"."+e.key, ".")
		if seen[e.key] {
			d.problem(e.node, e.path, "given twice")
			continue
		}
		seen[e.key] = true
		entries = append(entries, e)
	}
	return entries, true
}

// entry is a key with its value.
type entry struct {
	key, path   string
	node, value ast.Node
}

// keyOf returns a key without its quotes.
func keyOf(n ast.MapKeyNode) string {
	if explicit, ok := n.(*ast.MappingKeyNode); ok && explicit.Value != nil {
		return explicit.Value.GetToken().Value
	}
	return n.GetToken().Value
}

func (d *decoder) decodeStruct(n ast.Node, path string, v reflect.Value) {
	entries, _ := d.mapping(n, path)
	for _, e := range entries {
		field, ok := fieldOf(v, e.key)
		if !ok {
			d.problem(e.node, e.path, "no such key; known here: %s", strings.Join(keysOf(v.Type()), ", "))
			d.unknown = append(d.unknown, path)
			continue
		}
		d.lines[e.path] = lineOf(e.node)
		if within(e.path, policyKey) && saysNothing(e.value, strings.HasPrefix(e.path, policyKey+".rules[")) {
			d.problem(e.node, e.path, "is empty: %s", emptyPolicy(e.path))
			continue
		}
		d.decode(e.value, e.path, field)
	}
}

// policyKey holds the policy. In it a key with nothing behind it is not the
// default: it would let in more than a file in which the key is not there at all
// was written for, such as one whose rules are commented out.
const policyKey = "access"

func saysNothing(n ast.Node, inRule bool) bool {
	if anchor, ok := n.(*ast.AnchorNode); ok {
		n = anchor.Value
	}
	switch n := n.(type) {
	case nil, *ast.NullNode, *ast.CommentNode:
		return true
	case *ast.SequenceNode:
		return inRule && len(n.Values) == 0
	default:
		text, ok := scalarText(n)
		return inRule && ok && text == ""
	}
}

func emptyPolicy(path string) string {
	if path == policyKey {
		return "write access: {} to allow nothing, or remove the key to let whoever is signed in do everything"
	}
	return "write what it is to be, or remove the key"
}

func fieldOf(v reflect.Value, key string) (reflect.Value, bool) {
	for i := range v.NumField() {
		switch f := v.Type().Field(i); {
		case f.Anonymous:
			if found, ok := fieldOf(v.Field(i), key); ok {
				return found, true
			}
		case f.Tag.Get("yaml") == key && key != "-":
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// keysOf returns the keys of a struct, those of embedded structs included.
func keysOf(t reflect.Type) (keys []string) {
	for i := range t.NumField() {
		switch f := t.Field(i); {
		case f.Anonymous:
			keys = append(keys, keysOf(f.Type)...)
		case f.Tag.Get("yaml") != "-":
			keys = append(keys, f.Tag.Get("yaml"))
		}
	}
	return keys
}

// decodeList sets a list. One value may stand for a list of one, where that
// cannot be mistaken for something else.
func (d *decoder) decodeList(n ast.Node, path string, v reflect.Value) {
	items := []ast.Node{n}
	if list, ok := n.(*ast.SequenceNode); ok {
		items = list.Values
	} else if _, ok := scalarText(n); !ok || !isScalar(v.Type().Elem()) {
		d.problem(n, path, "is not a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	for i, item := range items {
		at := fmt.Sprintf("%s[%d]", path, i)
		if item.Type() == ast.NullType {
			d.problem(item, at, "is empty")
			continue
		}
		setDefaults(v.Index(i))
		d.decode(item, at, v.Index(i))
	}
}

// setDefaults sets what holds where the file says nothing, if v has defaults.
func setDefaults(v reflect.Value) {
	if e, ok := v.Addr().Interface().(interface{ setDefaults() }); ok {
		e.setDefaults()
	}
}

// decodeMap sets a map from names to lists.
func (d *decoder) decodeMap(n ast.Node, path string, v reflect.Value) {
	entries, ok := d.mapping(n, path)
	if !ok {
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, e := range entries {
		d.lines[e.path] = lineOf(e.node)
		value := reflect.New(v.Type().Elem()).Elem()
		d.decode(e.value, e.path, value)
		v.SetMapIndex(reflect.ValueOf(e.key), value)
	}
}
