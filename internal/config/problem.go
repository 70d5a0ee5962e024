package config

import (
	"errors"
	"fmt"
	"strings"
)

// Problem is one mistake in a configuration.
type Problem struct {
	Line    int    `json:"line"`    // in the file; 0 if it does not stand there
	Path    string `json:"path"`    // such as "tls.cert"
	Message string `json:"message"` // what is wrong, and what to do
	Warning bool   `json:"warning"` // it works, but not as its author can mean it
}

func (p Problem) String() string {
	var line, warning string
	if p.Line > 0 {
		line = fmt.Sprintf("line %d: ", p.Line)
	}
	if p.Warning {
		warning = "warning: "
	}
	return line + warning + p.Path + ": " + p.Message
}

// Problems joins the mistakes among problems into one error, or nil if there are
// only warnings. The text of what stands in the file begins with its name.
func Problems(file string, problems []Problem) error {
	var list []error
	for _, p := range problems {
		switch {
		case p.Warning:
		case file == "" || p.Line == 0:
			list = append(list, errors.New(p.String()))
		default:
			list = append(list, errors.New(file+": "+p.String()))
		}
	}
	return errors.Join(list...)
}

// Warnings returns those of the problems with which a server can run.
func Warnings(problems []Problem) (list []Problem) {
	for _, p := range problems {
		if p.Warning {
			list = append(list, p)
		}
	}
	return list
}

// within reports whether path is that of a setting, or of a part of it. All are
// part of "".
func within(path, setting string) bool {
	rest, ok := strings.CutPrefix(path, setting)
	return ok && (setting == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}
