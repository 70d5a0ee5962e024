package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/config"
	"github.com/moorgate/moorgate/internal/oci"
)

// actions are the words that "can" knows.
var actions = []access.Action{access.Pull, access.Push, access.Overwrite, access.Delete, access.List, access.Admin} //nolint:gochecknoglobals // a table

// wholeRegistry stands for the registry itself where a repository is expected.
const wholeRegistry = "_catalog"

// canFlags are what is asked besides who, what and where.
type canFlags struct {
	config, client, agent, at string
	source, claims            string
	groups, key               []string
	robot, tls, asJSON        bool
}

func newCanCommand() *cobra.Command {
	var f canFlags
	cmd := &cobra.Command{
		Use:   "can WHO ACTION REPO[:TAG] --config FILE",
		Short: "Tell whether somebody may do something, and which rule decides",
		Long: `Tell whether somebody may do something, and which rule decides.

It asks the policy in the configuration file, as a server with that file would,
and needs none that runs. What a rule's condition may look at and cannot stand in
a file, such as the client's address, is given by flags.

WHO is a user name, or "anonymous". ACTION is pull, push (upload, create a tag),
overwrite (move a tag that is there), delete, list (see the repository in the
catalog) or admin. "_catalog" in place of a repository, or nothing, asks about the
registry as a whole.

With --key, WHO comes with a key that may no more than that, as "moorgate key create
--may" makes it; with --robot too, the key is that of a robot called WHO.

The exit code is 0 for yes, 1 for no, and 2 if the question or the file is wrong.`,
		Example: `  moorgate can alice push team/app:v1 --config policy.yaml
  moorgate can anonymous pull public/tool --config policy.yaml
  moorgate can bob delete team/app:v1 --config policy.yaml --group release --client 192.0.2.7
  moorgate can ci push team/app --config policy.yaml --source gitlab --claims '{"ref":"main"}'
  moorgate can alice push team/app --config policy.yaml --key pull:team/** --key pull,push:team/app
  moorgate can ci delete team/app --config policy.yaml --robot --key pull,push:team/app
  moorgate can alice list _catalog --config policy.yaml --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 && len(args) != 3 {
				return unanswered(errors.New("who may do what where? usage: moorgate can WHO ACTION REPO[:TAG] --config FILE"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return can(cmd, f, args) },
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return unanswered(fmt.Errorf("%w; see \"%s --help\"", err, cmd.CommandPath()))
	})
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "configuration `FILE` with the policy")
	flags.StringArrayVar(&f.groups, "group", nil, "a `GROUP` that WHO is in, besides those of the file; may be given several times")
	flags.StringVar(&f.source, "source", "", "the `NAME` of the source that knows WHO (default: that of the file, if it has only one)")
	flags.StringVar(&f.claims, "claims", "", "the claims of WHO's token, as a `JSON` object")
	flags.StringArrayVar(&f.key, "key", nil, "WHO comes with a key that may `ACTIONS:REPOSITORIES`; may be given several times")
	flags.BoolVar(&f.robot, "robot", false, "WHO is a robot, that is a key without a user; what it may is given by --key")
	flags.StringVar(&f.client, "client", "", "the `ADDR` of the client (default: not known)")
	flags.StringVar(&f.agent, "agent", "", "the User-`AGENT` of the client")
	flags.BoolVar(&f.tls, "tls", true, "the client speaks TLS")
	flags.StringVar(&f.at, "at", "", "the `TIME`, such as 2026-12-24T18:00:00Z (default: now)")
	flags.BoolVar(&f.asJSON, "json", false, "print the answer as JSON")
	return cmd
}

// unanswered ends "can" with the exit code of a question that has no answer.
func unanswered(err error) error { return exitError{code: 2, err: err} }

// canAnswer is the answer in JSON.
type canAnswer struct {
	Who     string        `json:"who"`
	Action  access.Action `json:"action"`
	Repo    string        `json:"repo"` // "" for the registry as a whole
	Tag     string        `json:"tag"`
	Allowed bool          `json:"allowed"`
	Rule    string        `json:"rule"`
}

func can(cmd *cobra.Command, f canFlags, args []string) error {
	question, err := f.question(args)
	if err != nil {
		return unanswered(err)
	}
	policy, sources, err := loadPolicy(f.config)
	if err != nil {
		return unanswered(err)
	}
	if err := errors.Join(f.vouch(&question.Who, sources), f.limit(&question.Who)); err != nil {
		return unanswered(err)
	}
	d := policy.Decide(question)
	if err := f.print(cmd, args[0], question.Scope, d); err != nil {
		return unanswered(err)
	}
	if !d.Allowed {
		return errSilent
	}
	return nil
}

func (f canFlags) print(cmd *cobra.Command, who string, s access.Scope, d access.Decision) error {
	if f.asJSON {
		return printJSON(cmd, canAnswer{Who: who, Action: s.Action, Repo: s.Repo, Tag: s.Tag, Allowed: d.Allowed, Rule: d.Rule})
	}
	word := "no"
	if d.Allowed {
		word = "yes"
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", word, d.Rule)
	return err
}

// loadPolicy reads the policy of a configuration file, of whatever role, and the
// names of its identity sources.
func loadPolicy(file string) (*access.Policy, []string, error) {
	if file == "" {
		return nil, nil, errors.New("which policy? give --config FILE")
	}
	f, err := config.Load(file)
	if err != nil {
		return nil, nil, err
	}
	policy, err := f.Policy()
	return policy, f.Config.Sources(), err
}

// vouch sets what the source of an identity says of it.
func (f canFlags) vouch(who *access.Identity, sources []string) error {
	if who.IsAnonymous() {
		if f.source != "" || f.claims != "" {
			return errors.New("nobody vouches for anonymous: remove --source and --claims")
		}
		return nil
	}
	if f.robot {
		if f.source != "" || f.claims != "" || len(f.groups) > 0 {
			return errors.New("a robot has no source, no groups and no claims: remove --source, --group and --claims")
		}
		who.Source = access.RobotSource
		return nil
	}
	switch {
	case f.source != "" && !slices.Contains(sources, f.source):
		return fmt.Errorf("--source: the file has no source %q; it has %s", f.source, strings.Join(sources, ", "))
	case f.source != "":
		who.Source = f.source
	case len(sources) == 1:
		who.Source = sources[0]
	}
	if f.claims == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(f.claims), &who.Claims); err != nil || who.Claims == nil {
		return fmt.Errorf("--claims: %q is no JSON object, such as {\"ref\": \"main\"}", f.claims)
	}
	return nil
}

// limit lets somebody come with a key.
func (f canFlags) limit(who *access.Identity) (err error) {
	switch {
	case len(f.key) == 0 && !f.robot:
		return nil
	case who.IsAnonymous():
		return errors.New("whoever comes with a key is not anonymous: remove --key and --robot")
	case len(f.key) == 0:
		return errors.New("--robot: say with --key what the robot may, such as --key pull,push:team/app")
	}
	name := ""
	if f.robot {
		name = who.User
	}
	if who.With, err = access.NewKey("", name, f.robot, f.key); err != nil {
		return fmt.Errorf("--key: %w", err)
	}
	return nil
}

func (f canFlags) question(args []string) (q access.Question, err error) {
	if q.Who, err = identity(args[0], f.groups); err != nil {
		return q, err
	}
	if q.Scope, err = scope(args[1], append(args, wholeRegistry)[2]); err != nil {
		return q, err
	}
	q.At = access.Circumstances{TLS: f.tls, Agent: f.agent, Time: time.Now()}
	if f.client != "" {
		if q.At.Client, err = netip.ParseAddr(f.client); err != nil {
			return q, fmt.Errorf("--client: %q is no address, such as 192.0.2.7", f.client)
		}
	}
	if f.at != "" {
		if q.At.Time, err = time.Parse(time.RFC3339, f.at); err != nil {
			return q, fmt.Errorf("--at: %q is no time, such as 2026-12-24T18:00:00Z", f.at)
		}
	}
	return q, nil
}

func identity(who string, groups []string) (access.Identity, error) {
	switch {
	case who == "anonymous" && len(groups) > 0:
		return access.Identity{}, errors.New("--group: anonymous is in no group")
	case who == "anonymous":
		return access.Anonymous(), nil
	case who == "", strings.HasPrefix(who, "user:"), strings.HasPrefix(who, "group:"): // as rules have it
		return access.Identity{}, fmt.Errorf("%q is no user name; write the name alone, or anonymous", who)
	default:
		return access.Identity{User: who, Groups: groups}, nil
	}
}

func scope(action, resource string) (access.Scope, error) {
	s := access.Scope{Action: access.Action(action)}
	known := false
	names := make([]string, len(actions))
	for i, a := range actions {
		names[i] = string(a)
		known = known || s.Action == a
	}
	switch {
	case !known:
		return s, fmt.Errorf("there is no action %q; choose one of %s", action, strings.Join(names, ", "))
	case resource == wholeRegistry && s.Action != access.List && s.Action != access.Admin:
		return s, fmt.Errorf("%s which repository? only list and admin are about the registry as a whole", action)
	case resource == wholeRegistry:
		return s, nil
	}
	err := place(&s, resource)
	return s, err
}

// place sets repository and tag of REPO, REPO:TAG or REPO@DIGEST; a digest stands
// for no tag.
func place(s *access.Scope, resource string) error {
	resource, digest, hasDigest := strings.Cut(resource, "@")
	if hasDigest {
		if _, err := oci.ParseDigest(digest); err != nil {
			return err
		}
	}
	var hasTag bool
	s.Repo, s.Tag, hasTag = strings.Cut(resource, ":")
	if err := oci.CheckRepository(s.Repo); err != nil {
		return fmt.Errorf("%w; write it without the host of the registry", err)
	}
	if hasTag {
		return oci.CheckTag(s.Tag)
	}
	return nil
}
