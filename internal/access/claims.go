package access

import (
	"errors"
	"fmt"
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
)

// ClaimsExpression is a CEL expression over the claims of a token, by which an identity
// source makes an identity of one. It is bounded as conditions are. It may be used at
// once by many.
type ClaimsExpression struct {
	text    string
	program cel.Program
	asks    bool
}

// CompileClaims compiles an expression. Its only variable is claims, a map; the
// functions on strings of CEL's extension are there too. Which of Text, Texts and Truth
// is asked for must be known beforehand: T is string, []string or bool.
func CompileClaims[T string | []string | bool](text string) (*ClaimsExpression, error) {
	env, err := newEnvironment(cel.Variable("claims", cel.MapType(cel.StringType, cel.DynType)), ext.Strings())
	if err != nil {
		return nil, err
	}
	checked, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, firstIssue(issues)
	}
	if want := celType[T](); !mayBe(checked.OutputType(), want) {
		return nil, fmt.Errorf("it is %s, and must be %s", checked.OutputType(), want)
	}
	program, err := env.Program(checked, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, errors.New(oneLine(err.Error()))
	}
	return &ClaimsExpression{text: text, program: program, asks: mentions(checked, "claims")}, nil
}

func celType[T string | []string | bool]() *cel.Type {
	switch any(*new(T)).(type) {
	case string:
		return cel.StringType
	case []string:
		return cel.ListType(cel.StringType)
	default:
		return cel.BoolType
	}
}

// mayBe reports whether a value of this type can turn out to be what is wanted: of
// claims it is known only when they come.
func mayBe(t, want *cel.Type) bool {
	if t.Kind() == cel.ListKind && want.Kind() == cel.ListKind {
		return mayBe(t.Parameters()[0], want.Parameters()[0])
	}
	return t.Kind() == cel.DynKind || t.Kind() == cel.TypeParamKind || t.IsExactType(want)
}

// AsksClaims reports whether the value depends on the claims at all.
func (e *ClaimsExpression) AsksClaims() bool { return e.asks }

// String returns the text of the expression.
func (e *ClaimsExpression) String() string { return e.text }

// Text returns the value of an expression that was compiled for a string.
func (e *ClaimsExpression) Text(claims map[string]any) (string, error) {
	return evaluate[string](e, claims)
}

// Texts returns the value of an expression that was compiled for a list of strings.
func (e *ClaimsExpression) Texts(claims map[string]any) ([]string, error) {
	return evaluate[[]string](e, claims)
}

// Truth returns the value of an expression that was compiled for true or false.
func (e *ClaimsExpression) Truth(claims map[string]any) (bool, error) {
	return evaluate[bool](e, claims)
}

// evaluate returns the value for claims. The errors are on one line, of bounded length,
// and have no values of claims in them.
func evaluate[T string | []string | bool](e *ClaimsExpression, claims map[string]any) (value T, err error) {
	if claims == nil {
		claims = map[string]any{}
	}
	out, _, err := e.program.Eval(map[string]any{"claims": claims})
	if err != nil {
		return value, errors.New(cut(oneLine(err.Error())))
	}
	return convert[T](out)
}

func convert[T string | []string | bool](out ref.Val) (value T, err error) {
	want := celType[T]()
	if scalar := want.Kind() != cel.ListKind; scalar && out.Type() != want { // CEL makes texts of much
		return value, fmt.Errorf("it is %s, and must be %s", out.Type().TypeName(), want)
	}
	native, err := out.ConvertToNative(reflect.TypeFor[T]())
	if err != nil {
		return value, fmt.Errorf("it is %s with something else in it, and must be %s", out.Type().TypeName(), want)
	}
	value, ok := native.(T)
	if !ok {
		return value, fmt.Errorf("it is %s, and must be %s", out.Type().TypeName(), want)
	}
	return value, nil
}
