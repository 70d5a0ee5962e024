package main

import (
	"github.com/spf13/pflag"

	"github.com/moorgate/moorgate/internal/config"
)

// settings are the flags of the commands that run a server. Not every command
// has all of them.
type settings struct {
	role                    config.Role
	config, listen, data    string
	htpasswd, upstream      string
	tlsCert, tlsKey         string
	tlsSelfSigned, openGate bool
}

// register adds the flags that all roles have.
func (s *settings) register(flags *pflag.FlagSet) {
	s.registerData(flags)
	flags.StringVar(&s.listen, "listen", "", "`HOST:PORT` to listen on (default 127.0.0.1:5000)")
	flags.StringVar(&s.htpasswd, "htpasswd", "", "password `FILE` of the users")
	flags.StringVar(&s.tlsCert, "tls-cert", "", "certificate `FILE`, with its chain")
	flags.StringVar(&s.tlsKey, "tls-key", "", "key `FILE` of the certificate")
	flags.BoolVar(&s.tlsSelfSigned, "tls-self-signed", false, "make a certificate and keep it in the data directory")
}

// registerData adds the flags that find the data directory.
func (s *settings) registerData(flags *pflag.FlagSet) {
	flags.StringVar(&s.config, "config", "", "configuration `FILE`")
	flags.StringVar(&s.data, "data", "", "`DIR` for all data (default ./moorgate-data)")
}

func (s *settings) registerOpen(flags *pflag.FlagSet) {
	flags.BoolVar(&s.openGate, "open", false, "ask for no login: everybody may do everything")
}

// load joins file, environment and flags. What is wrong with the result is the
// caller's to ask.
func (s *settings) load(flags *pflag.FlagSet, env func(string) (string, bool)) (*config.File, error) {
	f := config.NoFile()
	if s.config != "" {
		var err error
		if f, err = config.Load(s.config); err != nil {
			return nil, err
		}
	}
	if flags.Changed("upstream") { // before the environment, which may have its password
		u := config.Upstream{}
		u.URL = s.upstream
		f.Config.Upstreams = []config.Upstream{u}
		f.Replaced("upstreams")
	}
	if err := f.ApplyEnv(env); err != nil {
		return nil, err
	}
	s.apply(flags, f)
	return f, nil
}

// apply sets what the flags say.
func (s *settings) apply(flags *pflag.FlagSet, f *config.File) {
	cfg := &f.Config
	given := func(flag, path string) bool {
		if flags.Changed(flag) {
			f.Replaced(path)
			return true
		}
		return false
	}
	if given("listen", "listen") {
		cfg.Listen = s.listen
	}
	if given("data", "data") {
		cfg.Data = s.data
	}
	if given("htpasswd", "login") {
		cfg.Login = []config.Login{{Htpasswd: &config.Htpasswd{File: s.htpasswd}}}
	}
	if given("tls-cert", "tls") || given("tls-key", "tls") {
		cfg.TLS = config.TLS{Cert: s.tlsCert, Key: s.tlsKey}
	}
	if given("tls-self-signed", "tls.self_signed") {
		cfg.TLS.SelfSigned = s.tlsSelfSigned
	}
	if given("open", "open") {
		cfg.Open = s.openGate
	}
}

// read is load for a server: the configuration is valid, or that is an error.
func (s *settings) read(flags *pflag.FlagSet, env func(string) (string, bool)) (config.Config, []config.Problem, error) {
	f, err := s.load(flags, env)
	if err != nil {
		return config.Config{}, nil, err
	}
	problems := f.Problems(s.role)
	return f.Config, config.Warnings(problems), config.Problems(s.config, problems)
}
