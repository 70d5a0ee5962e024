package command

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Config says which program is run for a login.
type Config struct {
	Command    []string      `yaml:"command"`     // the program, with its arguments; no shell stands between
	Env        []string      `yaml:"env"`         // names of variables of our environment that it may see
	Directory  string        `yaml:"directory"`   // where it runs
	Timeout    time.Duration `yaml:"timeout"`     // for an answer; then it is ended, with all that it has started
	MaxRunning int           `yaml:"max_running"` // at the same time; who comes then waits
	Cache      time.Duration `yaml:"cache"`       // how long a verified password is remembered, with its groups; 0: not at all
}

// Default is the configuration of a program of which nothing is said.
func Default() Config {
	return Config{Directory: "/", Timeout: 5 * time.Second, MaxRunning: 8, Cache: time.Minute}
}

// Bounds of the configuration.
const (
	minTimeout = 100 * time.Millisecond
	maxTimeout = time.Minute // clients give up, too
	maxRunning = 1000
)

// variable is what may stand in Env.
var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// ours begins the names of variables that are settings of ours, secrets among them.
const ours = "MOORGATE_"

// Check reports all that is wrong with the values themselves: the key, and what
// to do about it.
func (c Config) Check(report func(key, problem string)) {
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			report(key, fmt.Sprintf(format, args...))
		}
	}
	check(len(c.Command) > 0, "command", "say which program to run, such as /usr/local/bin/moorgate-login")
	for i, word := range c.Command {
		check(i > 0 || filepath.IsAbs(word), "command", "%q is not the whole path of a program, such as /usr/local/bin/moorgate-login; its arguments are entries of their own", word)
		check(!strings.ContainsRune(word, 0), fmt.Sprintf("command[%d]", i), "has a zero byte in it")
	}
	for i, name := range c.Env {
		key := fmt.Sprintf("env[%d]", i)
		check(variable.MatchString(name), key, "%q is not the name of a variable: only names stand here, and their values in the environment of this server", name)
		check(!strings.HasPrefix(strings.ToUpper(name), ours), key, "%s is a setting of this server, and may be a secret of it", name)
	}
	check(filepath.IsAbs(c.Directory), "directory", "%q is not a whole path, such as /var/lib/moorgate", c.Directory)
	check(c.Timeout >= minTimeout && c.Timeout <= maxTimeout, "timeout", "%s is not between %s and %s", c.Timeout, minTimeout, maxTimeout)
	check(c.MaxRunning >= 1 && c.MaxRunning <= maxRunning, "max_running", "%d is not between 1 and %d", c.MaxRunning, maxRunning)
	check(c.Cache >= 0, "cache", "a duration, or 0s for no memory")
}
