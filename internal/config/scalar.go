package config

import (
	"encoding"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
)

// isText reports whether the value reads itself from text.
func isText(v reflect.Value) bool {
	_, ok := v.Addr().Interface().(encoding.TextUnmarshaler)
	return ok
}

// isScalar reports whether values of the type are written as one word.
func isScalar(t reflect.Type) bool {
	return t.Kind() == reflect.String || reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// scalarText returns a value that is neither a list nor a mapping, as it is
// written, without its quotes.
func scalarText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	case *ast.MappingNode:
		text, _, ok := unsplit(n)
		return text, ok
	default:
		return "", false
	}
}

// unsplit returns one word with a colon, such as user:alice, and where it begins
// in the file. The YAML library takes it for a mapping if it stands in a list
// inside braces; without a space after the colon it is none (YAML 1.2, section
// 7.3.3).
func unsplit(n ast.Node) (text string, offset int, ok bool) {
	m, isMap := n.(*ast.MappingNode)
	if !isMap {
		t := n.GetToken()
		text, ok = scalarText(n)
		return text, t.Position.Offset, ok && strings.TrimSpace(t.Origin) == t.Value // not quoted
	}
	if len(m.Values) != 1 || m.Start != nil && m.Start.Value == "{" {
		return "", 0, false
	}
	pair := m.Values[0]
	key, begins, okKey := unsplit(pair.Key)
	value, follows, okValue := unsplit(pair.Value)
	colon := pair.Start.Position.Offset
	near := begins+utf8.RuneCountInString(key) == colon && colon+1 == follows
	return key + ":" + value, begins, okKey && okValue && near
}

// decodeScalar sets what is written as one word.
func (d *decoder) decodeScalar(n ast.Node, path string, v reflect.Value) {
	text, ok := scalarText(n)
	if !ok {
		d.problem(n, path, "has to be one value, not %s", shapeOf(n))
		return
	}
	if wrong := setScalar(n, text, v); wrong != "" {
		d.problem(n, path, "%s", wrong)
	}
}

func shapeOf(n ast.Node) string {
	switch n.Type() {
	case ast.SequenceType:
		return "a list"
	case ast.TagType:
		return "one with a tag"
	default:
		return "a mapping"
	}
}

// setScalar returns what is wrong with the text, or "".
func setScalar(n ast.Node, text string, v reflect.Value) string {
	switch p := v.Addr().Interface().(type) {
	case encoding.TextUnmarshaler:
		if err := p.UnmarshalText([]byte(text)); err != nil {
			return err.Error()
		}
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return strconv.Quote(text) + " is not a duration, such as 90s, 15m or 24h"
		}
		*p = d
	case *bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			return strconv.Quote(text) + " has to be true or false"
		}
		*p = b.Value
	case *int:
		i, err := strconv.Atoi(strings.ReplaceAll(text, "_", ""))
		if err != nil {
			return strconv.Quote(text) + " is not a whole number"
		}
		*p = i
	case *string:
		*p = text
	default:
		panic("config: no way to read a " + v.Type().String())
	}
	return ""
}
