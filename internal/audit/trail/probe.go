package trail

// Finding is what came of trying an output.
type Finding struct {
	Output string // file, stdout or syslog
	Found  string // "" with an error
	Err    error
}

// Probe tries the outputs of a configuration without mistakes. It writes nothing
// and sends nothing.
func Probe(c Config) []Finding {
	var list []Finding
	if c.File.Path != "" {
		found, err := probeFile(c.File)
		list = append(list, Finding{"file", found, err})
	}
	if c.Syslog.Address != "" {
		found := ""
		s, err := newSyslog(c.Syslog)
		if err == nil {
			found, err = s.probe()
		}
		list = append(list, Finding{"syslog", found, err})
	}
	return list
}
