package access

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
)

const (
	wildcards = "*?[]{}"

	maxGlob         = 512 // bytes
	maxAlternatives = 4   // groups in {} in one component: matching takes time exponential in them
)

// checkGlob checks a glob of repositories. It is stricter than doublestar, which
// takes some mistakes for patterns that match nothing.
func checkGlob(text string) error {
	switch {
	case text == "":
		return errors.New(`it is empty: write "**" for all repositories`)
	case len(text) > maxGlob:
		return fmt.Errorf("it has %d characters, at most %d are allowed", len(text), maxGlob)
	case strings.HasPrefix(text, "/"), strings.HasSuffix(text, "/"):
		return errors.New("repository names neither begin nor end with a slash")
	}
	for part := range strings.SplitSeq(text, "/") {
		if part == "" {
			return errors.New("it has two slashes in a row, and no repository name has")
		}
		if part == "**" {
			continue
		}
		if err := checkPattern(part, nameLetter, true); err != nil {
			return err
		}
	}
	return nil
}

// checkTagGlob checks a glob of tags.
func checkTagGlob(text string) error {
	switch {
	case text == "":
		return errors.New("it is empty: leave tags out for all tags")
	case strings.Contains(text, "/"):
		return errors.New("tags have no slash: repositories go into repos")
	}
	return checkPattern(text, tagLetter, false)
}

// nameLetter says what one component of a repository name consists of.
func nameLetter(c rune) error {
	switch {
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		return nil
	case 'A' <= c && c <= 'Z':
		return errors.New("repository names have no upper-case letters")
	case c == ':', c == '@':
		return fmt.Errorf("repository names have no %q: write neither host nor tag, tags go into tags", c)
	}
	return fmt.Errorf("repository names have no %q", c)
}

func tagLetter(c rune) error {
	if 'A' <= c && c <= 'Z' || c != ':' && c != '@' && nameLetter(c) == nil {
		return nil
	}
	return fmt.Errorf("tags have no %q", c)
}

// userLetter says what the name of a user or a group consists of: nearly
// anything, but nothing that was surely meant in another way.
func userLetter(c rune) error {
	if !unicode.IsGraphic(c) || unicode.IsSpace(c) || strings.ContainsRune("\"'`,;\\", c) || c == unicode.ReplacementChar {
		return fmt.Errorf("names have no %q", c)
	}
	return nil
}

// checkPattern checks one component of a glob, whose literal characters letter
// accepts, and which may name the caller if vars.
func checkPattern(text string, letter func(rune) error, vars bool) error {
	if len(text) > maxGlob {
		return fmt.Errorf("it has %d characters, at most %d are allowed", len(text), maxGlob)
	}
	plain := text
	if vars {
		plain = strings.ReplaceAll(text, callerVar, "u")
		if strings.Count(withoutClasses(text), callerVar) != strings.Count(text, callerVar) {
			return fmt.Errorf("%s cannot stand inside []", callerVar)
		}
	}
	switch {
	case strings.Contains(plain, "${"):
		return fmt.Errorf("there is no variable but %s, and only in repos", callerVar)
	case strings.Contains(plain, "**") && vars:
		return errors.New("** must stand alone between slashes; inside a component write *")
	case strings.Contains(plain, "**"):
		return errors.New("write * for any characters")
	}
	if err := checkLetters(plain, letter); err != nil {
		return err
	}
	if !doublestar.ValidatePattern(plain) {
		return errors.New("it is not a valid pattern")
	}
	return nil
}

// withoutClasses drops all [...].
func withoutClasses(text string) string {
	for {
		before, rest, found := strings.Cut(text, "[")
		if !found {
			return text
		}
		_, after, closed := strings.Cut(rest, "]")
		if !closed {
			return text
		}
		text = before + after
	}
}

// checkLetters checks what is outside and inside of [] and {}.
func checkLetters(text string, letter func(rune) error) error {
	open, groups := 0, 0
	for text != "" {
		c, size := utf8.DecodeRuneInString(text)
		rest := text[size:]
		var err error
		switch c {
		case '*', '?':
		case '[':
			rest, err = checkClass(rest, letter)
		case ']':
			err = errors.New("] has no [")
		case '{':
			open, groups = open+1, groups+1
		case '}':
			open--
		case ',':
			if open == 0 {
				err = errors.New("a comma stands only inside {}: write another glob into the list")
			}
		default:
			err = letter(c)
		}
		switch {
		case err != nil:
			return err
		case open > 1, open < 0, groups > maxAlternatives:
			return fmt.Errorf("{} must be in pairs, at most %d of them, and not inside one another", maxAlternatives)
		}
		text = rest
	}
	if open != 0 {
		return errors.New("{ has no }, or has a slash before it")
	}
	return nil
}

// checkClass checks what follows "[", and returns what follows its "]".
func checkClass(text string, letter func(rune) error) (string, error) {
	inside, rest, closed := strings.Cut(text, "]")
	if !closed {
		return "", errors.New("[ has no ], or has a slash before it")
	}
	if inside != "" && (inside[0] == '!' || inside[0] == '^') {
		inside = inside[1:]
	}
	chars := []rune(inside)
	for i := 0; i < len(chars); i++ {
		if chars[i] == '-' || strings.ContainsRune(wildcards, chars[i]) {
			return "", fmt.Errorf("[] cannot have %q there", chars[i])
		}
		if err := letter(chars[i]); err != nil {
			return "", err
		}
		if i+2 < len(chars) && chars[i+1] == '-' {
			if chars[i+2] < chars[i] || letter(chars[i+2]) != nil {
				return "", fmt.Errorf("%s is not a range", string(chars[i:i+3]))
			}
			i += 2
		}
	}
	if len(chars) == 0 {
		return "", errors.New("[] is empty")
	}
	return rest, nil
}

// beginning is the text before the first wildcard.
func beginning(pattern string) string {
	if i := strings.IndexAny(pattern, wildcards); i >= 0 {
		return pattern[:i]
	}
	return pattern
}

// isPattern reports whether text has a wildcard in it.
func isPattern(text string) bool { return strings.ContainsAny(text, wildcards) }
