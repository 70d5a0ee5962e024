package config

// Parse reads a configuration over the defaults and returns all that is wrong
// with it for a role; "" is the one that the content tells.
func Parse(text []byte, role Role) (Config, []Problem) {
	f := parse(text)
	return f.Config, f.Problems(role)
}

// Read reads a file over the defaults. The error lists all mistakes of form.
func Read(name string) (Config, error) {
	f, err := Load(name)
	if err != nil {
		return Config{}, err
	}
	return f.Config, f.FormError()
}
