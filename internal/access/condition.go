package access

import (
	"errors"
	"fmt"
	"net/netip"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/ext"
)

// Bounds of a condition. The cost is about one for each step and each element of
// a list that is looked at; what costs more is an error.
const (
	maxCondition = 4096 // characters
	maxNodes     = 2000 // of its syntax tree
	maxNesting   = 50
	maxCost      = 20000
)

// condition is a CEL expression that says true or false.
type condition struct {
	program  cel.Program
	tagAsked bool // its value depends on the tag
}

// conditions compiles CEL. The zero value is ready.
type conditions struct{ env *cel.Env }

// compile returns nil for no text.
func (c *conditions) compile(text string) (*condition, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no condition is no mistake
	}
	if c.env == nil {
		env, err := newEnvironment(withFacts())
		if err != nil {
			return nil, err
		}
		c.env = env
	}
	checked, issues := c.env.Compile(text)
	if issues.Err() != nil {
		return nil, firstIssue(issues)
	}
	if !checked.OutputType().IsExactType(cel.BoolType) {
		return nil, fmt.Errorf("it is %s, and must be true or false: compare it with something", checked.OutputType())
	}
	program, err := c.env.Program(checked, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, errors.New(oneLine(err.Error()))
	}
	return &condition{program: program, tagAsked: mentions(checked, "tag")}, nil
}

// newEnvironment returns CEL with what is the same for all expressions, and more.
func newEnvironment(more ...cel.EnvOption) (*cel.Env, error) {
	return cel.NewEnv(append([]cel.EnvOption{
		cel.ParserExpressionSizeLimit(maxCondition),
		cel.ParserRecursionLimit(maxNesting),
		cel.ExpressionNodeLimit(maxNodes),
		cel.DefaultUTCTimeZone(true),
		ext.Network(),
		cel.ASTValidators(
			cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(),
			addressLiterals{},
		),
	}, more...)...)
}

// firstIssue is the first mistake that CEL found, on one line.
func firstIssue(issues *cel.Issues) error {
	all := issues.Errors()
	if len(all) == 0 {
		return errors.New(oneLine(issues.Err().Error()))
	}
	e, more := all[0], ""
	if len(all) > 1 {
		more = fmt.Sprintf(" (and %d more)", len(all)-1)
	}
	place := fmt.Sprintf("column %d", e.Location.Column()+1)
	if e.Location.Line() > 1 {
		place = fmt.Sprintf("line %d, %s", e.Location.Line(), place)
	}
	return fmt.Errorf("%s: %s%s", place, oneLine(e.Message), more)
}

// mentions reports whether a variable is used. A variable of the same name that
// exists() or the like brings in counts too: that errs on the safe side.
func mentions(checked *cel.Ast, variable string) bool {
	for _, ref := range checked.NativeRep().ReferenceMap() {
		if ref.Name == variable {
			return true
		}
	}
	return false
}

// addressLiterals finds addresses and ranges that cannot be read where they are
// arguments of a member function: the network library checks ip() and cidr().
type addressLiterals struct{}

// Name returns the name of the check, as CEL wants it.
func (addressLiterals) Name() string { return "moorgate.addresses" }

// Validate reports what containsIP() and containsCIDR() would not take.
func (addressLiterals) Validate(_ *cel.Env, _ cel.ValidatorConfig, tree *ast.AST, issues *cel.Issues) {
	check := func(function, what string, ok func(string) bool) {
		for _, call := range ast.MatchDescendants(ast.NavigateAST(tree), ast.FunctionMatcher(function)) {
			for _, arg := range call.AsCall().Args() {
				if arg.Kind() != ast.LiteralKind {
					continue
				}
				if text, isString := arg.AsLiteral().Value().(string); isString && !ok(text) {
					issues.ReportErrorAtID(arg.ID(), "%q is not %s", cut(text), what)
				}
			}
		}
	}
	isAddress := func(s string) bool {
		a, err := netip.ParseAddr(s)
		return err == nil && a.Zone() == "" && !a.Is4In6()
	}
	isRange := func(s string) bool {
		p, err := netip.ParsePrefix(s)
		return err == nil && !p.Addr().Is4In6()
	}
	check("containsIP", "an IP address", isAddress)
	check("containsCIDR", `a range of addresses such as "10.0.0.0/8"`, isRange)
}
