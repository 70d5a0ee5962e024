package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFile bounds a configuration file, in bytes.
const maxFile = 4 << 20

// Read reads a file over the defaults. The error lists all mistakes in it, a
// line each. What flags and environment can still mend is left to Validate.
func Read(file string) (Config, error) {
	data, err := readFile(file)
	if err != nil {
		return Config{}, err
	}
	c, d := decode(data)
	return c, Problems(file, d.problems)
}

// Check returns all mistakes in a file, or an error if it cannot be read.
func Check(file string) ([]Problem, error) {
	data, err := readFile(file)
	if err != nil {
		return nil, err
	}
	_, problems := Parse(data)
	return problems, nil
}

func readFile(file string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	return data, nil
}

// Problems joins problems into one error, or nil. The text begins with the name
// of the file, unless that is "".
func Problems(file string, problems []Problem) error {
	if file != "" {
		file += ": "
	}
	var list []error
	for _, p := range problems {
		list = append(list, errors.New(file+p.String()))
	}
	return errors.Join(list...)
}

// Parse reads a configuration over the defaults and returns all that is wrong
// with it: syntax, unknown keys, wrong types, and what Validate says.
func Parse(data []byte) (Config, []Problem) {
	c, d := decode(data)
	if len(d.problems) > 0 {
		return c, d.problems
	}
	problems := c.Validate()
	for i := range problems {
		problems[i].Line = d.line(problems[i].Path)
	}
	return c, problems
}

// decode reads a configuration over the defaults.
func decode(data []byte) (Config, *decoder) {
	c, d := Default(), &decoder{lines: map[string]int{}}
	if len(data) > maxFile {
		d.problem(nil, "file", "larger than %d bytes", maxFile)
		return c, d
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		d.problems = append(d.problems, syntaxProblem(err))
		return c, d
	}
	for i, doc := range file.Docs {
		if i > 0 {
			d.problem(doc.Body, "file", "has more than one document")
			break
		}
		d.decode(doc.Body, "", reflect.ValueOf(&c).Elem())
	}
	return c, d
}

func syntaxProblem(err error) Problem {
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) && syntax.Token != nil {
		return Problem{Line: syntax.Token.Position.Line, Path: "syntax", Message: syntax.Message}
	}
	message, _, _ := strings.Cut(err.Error(), "\n")
	return Problem{Path: "syntax", Message: message}
}

// decoder walks the file beside the types of Config, so that it can report every
// mistake, and remembers where each value stands.
type decoder struct {
	problems []Problem
	lines    map[string]int
}

// line finds where a value stands, or the nearest that holds it.
func (d *decoder) line(path string) int {
	for path != "" {
		if n := d.lines[path]; n > 0 {
			return n
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return 0
}

func (d *decoder) problem(n ast.Node, path, format string, args ...any) {
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
	if n == nil || n.Type() == ast.NullType || n.Type() == ast.CommentType {
		return // nothing said: the default holds
	}
	if d.lines[path] == 0 { // an entry of a list; keys have theirs already
		d.lines[path] = lineOf(n)
	}
	switch {
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.decode(n, path, v.Elem())
	case v.Kind() == reflect.Struct && !isText(v):
		d.decodeStruct(n, path, v)
	case v.Kind() == reflect.Slice:
		d.decodeList(n, path, v)
	default:
		d.decodeValue(n, path, v)
	}
}

// isText reports whether the value reads itself from text.
func isText(v reflect.Value) bool {
	_, ok := v.Addr().Interface().(interface{ UnmarshalText([]byte) error })
	return ok
}

func (d *decoder) decodeStruct(n ast.Node, path string, v reflect.Value) {
	m, ok := n.(ast.MapNode)
	if !ok {
		d.problem(n, orFile(path), "is not a mapping of keys to values")
		return
	}
	seen := map[string]bool{}
	for it := m.MapRange(); it.Next(); {
		key := it.Key().String()
		at := strings.TrimPrefix(path+"."+key, ".")
		field, ok := fieldOf(v, key)
		switch {
		case !ok:
			d.problem(it.Key(), at, "no such key; known here: %s", strings.Join(keysOf(v), ", "))
		case seen[key]:
			d.problem(it.Key(), at, "given twice")
		default:
			seen[key] = true
			d.lines[at] = lineOf(it.Key())
			d.decode(it.Value(), at, field)
		}
	}
}

func orFile(path string) string {
	if path == "" {
		return "file"
	}
	return path
}

func fieldOf(v reflect.Value, key string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == key {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func keysOf(v reflect.Value) []string {
	keys := make([]string, v.NumField())
	for i := range keys {
		keys[i] = v.Type().Field(i).Tag.Get("yaml")
	}
	return keys
}

func (d *decoder) decodeList(n ast.Node, path string, v reflect.Value) {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		d.problem(n, path, "is not a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(list.Values), len(list.Values)))
	for i, item := range list.Values {
		d.decode(item, fmt.Sprintf("%s[%d]", path, i), v.Index(i))
	}
}

func (d *decoder) decodeValue(n ast.Node, path string, v reflect.Value) {
	if err := yaml.NodeToValue(n, v.Addr().Interface(), yaml.Strict()); err != nil {
		d.problem(n, path, "%s", plain(err))
	}
}

// plain words an error of the YAML library in one line.
func plain(err error) string {
	var typed *yaml.TypeError
	if errors.As(err, &typed) {
		return fmt.Sprintf("cannot be a %s, it has to be a %s", typed.SrcType, typed.DstType)
	}
	message, _, _ := strings.Cut(err.Error(), "\n")
	return message
}
