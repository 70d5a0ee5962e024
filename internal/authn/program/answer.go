package program

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// result is the verdict of an answer.
type result string

const (
	resultOK          result = "ok"
	resultWrong       result = "wrong"       // the user is known, and the password is another
	resultUnknown     result = "unknown"     // there is no such user
	resultUnsupported result = "unsupported" // the program has no such operation
	resultError       result = "error"       // it cannot tell now
)

// Bounds of what is taken from an answer.
const (
	maxGroups = 1000
	maxGroup  = 255 // bytes of a name
	maxStamp  = 255 // bytes
	maxDepth  = 8   // of claims
)

// answer is what a program says.
type answer struct {
	version int
	result  result
	user    string
	groups  []string
	claims  map[string]any
	stamp   string
	message string
}

// parseAnswer reads an answer: one JSON object that every reader reads in the same
// way, with nothing in it that is not in the contract. A misspelt "groups" must not
// let somebody in whom a rule denies by a group.
func parseAnswer(text []byte) (answer, error) {
	a := answer{version: Version}
	if len(bytes.TrimSpace(text)) == 0 {
		return a, errors.New("it has answered nothing: the answer is a JSON object")
	}
	if err := checkJSON(text); err != nil {
		return a, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return a, &Fault{What: "its answer is not a JSON object", Said: err.Error()}
	}
	for name, value := range members {
		if err := a.set(name, value); err != nil {
			return a, err
		}
	}
	return a, a.check()
}

func (a *answer) set(name string, value json.RawMessage) error {
	into, known := map[string]any{
		"version": &a.version, "result": &a.result, "user": &a.user, "groups": &a.groups,
		"claims": &a.claims, "stamp": &a.stamp, "message": &a.message,
	}[name]
	if !known {
		return &Fault{What: "its answer has a member that the contract does not know", Said: name}
	}
	if string(value) == "null" {
		return fmt.Errorf("its answer has null as %q: leave it out, or say what it is", name)
	}
	if err := json.Unmarshal(value, into); err != nil {
		return &Fault{What: fmt.Sprintf("its answer has something else as %q than the contract says", name), Said: err.Error()}
	}
	return nil
}

// check bounds what an answer says. Groups are sorted, each once.
func (a *answer) check() error {
	switch {
	case a.version != Version:
		return fmt.Errorf("its answer is of version %d of the contract; this is version %d", a.version, Version)
	case a.result == "":
		return errors.New(`its answer has no "result"`)
	case len(a.groups) > maxGroups:
		return fmt.Errorf("it says that somebody is in more than %d groups", maxGroups)
	case len(a.stamp) > maxStamp:
		return fmt.Errorf("its stamp has more than %d bytes: a hash is shorter", maxStamp)
	case len(a.claims) > maxGroups:
		return fmt.Errorf("its answer has more than %d claims", maxGroups)
	}
	for _, group := range a.groups {
		if group == "" || len(group) > maxGroup || !isPlain(group) {
			return fmt.Errorf("it names a group that cannot be one: empty, longer than %d bytes, or with control characters", maxGroup)
		}
	}
	slices.Sort(a.groups)
	a.groups = slices.Compact(a.groups)
	return nil
}

// checkJSON sees to it that there is one JSON value in which no member is given
// twice, and nothing is nested too deep.
func checkJSON(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := checkValue(dec, 0); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something behind its answer: it is one JSON object, and what is for the log goes to standard error")
	}
	return nil
}

func checkValue(dec *json.Decoder, depth int) error {
	t, err := dec.Token()
	if err != nil {
		return &Fault{What: "its answer is not JSON", Said: err.Error()}
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	if depth >= maxDepth {
		return fmt.Errorf("its answer is nested more than %d deep", maxDepth)
	}
	seen := map[string]bool{}
	for dec.More() {
		if delim == '{' {
			if err := checkName(dec, seen); err != nil {
				return err
			}
		}
		if err := checkValue(dec, depth+1); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil { // the closing bracket
		return &Fault{What: "its answer is not JSON", Said: err.Error()}
	}
	return nil
}

func checkName(dec *json.Decoder, seen map[string]bool) error {
	t, err := dec.Token()
	if err != nil {
		return &Fault{What: "its answer is not JSON", Said: err.Error()}
	}
	name, _ := t.(string) // the decoder takes nothing else here
	if seen[name] {
		return &Fault{What: "its answer has a member twice", Said: name}
	}
	seen[name] = true
	return nil
}
