package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"

	"github.com/moorgate/moorgate/internal/access"
)

// maxFile bounds a configuration file, in bytes.
const maxFile = 4 << 20

// File is a configuration that was read over the defaults. It remembers where
// each setting stands, so that mistakes can be found.
type File struct {
	Config Config

	name string // "" if there is none
	text []byte
	d    decoder
}

// NoFile is the default configuration.
func NoFile() *File { return &File{Config: Default()} }

// Load reads a file over the defaults. What is wrong in it is found by Problems.
func Load(name string) (*File, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	f := parse(text)
	f.name = name
	return f, nil
}

func parse(text []byte) *File {
	f := &File{Config: Default(), text: text, d: decoder{lines: map[string]int{}}}
	d := &f.d
	if len(text) > maxFile {
		d.problem(nil, "file", "larger than %d bytes", maxFile)
		return f
	}
	file, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.problems = append(d.problems, f.syntaxProblem(err))
		return f
	}
	for i, doc := range file.Docs {
		if i > 0 {
			d.problem(doc.Body, "file", "has more than one document")
			break
		}
		d.decode(doc.Body, "", reflect.ValueOf(&f.Config).Elem())
	}
	return f
}

// bareStar finds a * that YAML takes for an alias.
var bareStar = regexp.MustCompile(`(^|[\s\[,])\*`)

func (f *File) syntaxProblem(err error) Problem {
	message, _, _ := strings.Cut(err.Error(), "\n")
	p := Problem{Path: "syntax", Message: message}
	var syntax *yaml.SyntaxError
	if !errors.As(err, &syntax) || syntax.Token == nil {
		return p
	}
	p.Line, p.Message = syntax.Token.Position.Line, syntax.Message
	lines := strings.Split(string(f.text), "\n")
	if p.Line > 0 && p.Line <= len(lines) && bareStar.MatchString(lines[p.Line-1]) {
		p.Message += `; a value that begins with * needs quotes, such as "*"`
	}
	return p
}

// Replaced tells that a setting no longer is that of the file.
func (f *File) Replaced(path string) {
	maps.DeleteFunc(f.d.lines, func(at string, _ int) bool { return within(at, path) })
}

// Problems returns all that is wrong for a role, with the lines of what stands
// in the file: its form, and what Validate says, but for what follows from
// mistakes of form.
func (f *File) Problems(role Role) []Problem {
	problems := slices.Clone(f.d.problems)
	if len(problems) > 0 && (problems[0].Path == "syntax" || problems[0].Path == "file") {
		return problems
	}
	for _, p := range f.Config.Validate(role) {
		if !f.follows(p) {
			p.Line = f.d.line(p.Path)
			problems = append(problems, p)
		}
	}
	return problems
}

// Policy compiles the policy of the file. The error lists the mistakes of form,
// and those of the access rules, with their lines; what else a server could not
// run with does not matter here.
func (f *File) Policy() (*access.Policy, error) {
	err := f.FormError()
	if err == nil {
		of := func(p Problem) bool { return !within(p.Path, policyKey) }
		err = Problems(f.name, slices.DeleteFunc(f.Problems(""), of))
	}
	if err != nil {
		return nil, err
	}
	policy, _ := f.Config.Policy() // its mistakes are among those above
	return policy, nil
}

// FormError is what is wrong with the form of the file, or nil: what no flag and
// no role can mend.
func (f *File) FormError() error { return Problems(f.name, f.d.problems) }

// Error is what is wrong for a role as one error, or nil if there are only
// warnings.
func (f *File) Error(role Role) error { return Problems(f.name, f.Problems(role)) }

// follows reports whether a mistake may be there only because something in the
// file could not be taken.
func (f *File) follows(p Problem) bool {
	for _, form := range f.d.problems {
		if within(p.Path, form.Path) || within(form.Path, p.Path) || p.Warning && within(form.Path, root(p.Path)) {
			return true
		}
	}
	if _, written := f.d.lines[p.Path]; written {
		return false
	}
	for _, holder := range f.d.unknown {
		if holder != "" && within(p.Path, holder) { // what is missing may be the key with the typing error
			return true
		}
	}
	return false
}

// root returns the key at the top of the file that holds path.
func root(path string) string {
	if i := strings.IndexAny(path, ".["); i >= 0 {
		return path[:i]
	}
	return path
}

// line finds where a value stands, or the nearest that holds it; 0 if it does
// not stand in the file.
func (d *decoder) line(path string) int {
	for path != "" {
		if n := d.lines[path]; n > 0 {
			return n
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return 0
}
