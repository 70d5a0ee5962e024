package trail

import (
	"fmt"
	"time"
)

// Config says where records go. Without an output there is no trail.
type Config struct {
	File     File   `yaml:"file"`
	Stdout   bool   `yaml:"stdout"`   // to standard output
	Syslog   Syslog `yaml:"syslog"`   //
	Pulls    bool   `yaml:"pulls"`    // what is read is recorded too
	Required bool   `yaml:"required"` // while the file takes no records, nothing may be changed
}

// File is a file of records, and how it is rotated.
type File struct {
	Path     string        `yaml:"path"`     // "": none
	MaxSize  Size          `yaml:"max_size"` // it is rotated before it grows beyond that; 0: never
	Keep     int           `yaml:"keep"`     // files that have been rotated; 0: all
	MaxAge   time.Duration `yaml:"max_age"`  // of files that have been rotated; 0: any
	Compress bool          `yaml:"compress"` // files that have been rotated
}

// Syslog is a syslog server.
type Syslog struct {
	Address  string `yaml:"address"`  // unix:///PATH, udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT; "": none
	CA       string `yaml:"ca"`       // PEM file of the authority of its certificate; "": those of the machine
	Facility string `yaml:"facility"` // such as "authpriv"
	Tag      string `yaml:"tag"`      // the name of the program in its messages
}

// Default is what holds where a configuration says nothing.
func Default() Config {
	return Config{
		File:   File{MaxSize: 100 << 20, Keep: 10, Compress: true},
		Syslog: Syslog{Facility: "authpriv", Tag: "moorgate"},
	}
}

// On reports whether there is an output.
func (c Config) On() bool { return c.File.Path != "" || c.Stdout || c.Syslog.Address != "" }

// minSize is the least size of a file that is rotated: far more than a line.
const minSize = 64 << 10

// Check reports what is wrong, by key. It looks at nothing but c.
func (c Config) Check(report func(key, problem string)) {
	c.checkFile(report)
	c.checkSyslog(report)
	if c.Required && c.File.Path == "" {
		report("required", "only a file tells whether a record is written: name one in audit.file.path")
	}
	if c.Pulls && !c.On() {
		report("pulls", "there is nowhere to record them: name audit.file.path or audit.syslog.address, or set audit.stdout")
	}
}

func (c Config) checkFile(report func(key, problem string)) {
	if c.File.Path == "" && c.File != Default().File {
		report("file.path", "name the file")
	}
	if c.File.MaxSize != 0 && c.File.MaxSize < minSize {
		report("file.max_size", fmt.Sprintf("%s is too little, at least %s, or 0 for a file that others rotate", c.File.MaxSize, Size(minSize)))
	}
	if c.File.Keep < 0 {
		report("file.keep", "a number of files, or 0 to keep all")
	}
	if c.File.MaxAge < 0 {
		report("file.max_age", "how long rotated files are kept, or 0 for as long as there are not too many")
	}
}

func (c Config) checkSyslog(report func(key, problem string)) {
	to := c.Syslog
	if to.Address == "" {
		if to != Default().Syslog {
			report("syslog.address", "name the server")
		}
		return
	}
	at, err := parseEndpoint(to.Address)
	if err != nil {
		report("syslog.address", err.Error())
	}
	if err == nil && to.CA != "" && at.scheme != "tls" {
		report("syslog.ca", "only a tls:// address takes an authority")
	}
	if _, ok := facilities[to.Facility]; !ok {
		report("syslog.facility", fmt.Sprintf("%q is no facility, such as authpriv, daemon or local0", to.Facility))
	}
	if !tagForm.MatchString(to.Tag) {
		report("syslog.tag", fmt.Sprintf("%q cannot be a name: at most 32 letters, digits, '.', '_' and '-'", to.Tag))
	}
}
