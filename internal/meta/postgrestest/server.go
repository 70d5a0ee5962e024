package postgrestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a PostgreSQL of the test process: on a Unix socket in a directory of
// its own, without fsync.
type Server struct {
	dir       string // holds the socket
	process   *os.Process
	ended     chan struct{}
	output    bytes.Buffer // read after ended
	databases atomic.Int64
}

// newServer starts a server. Its default order of text is not that of
// bytes, so that a missing COLLATE shows.
func newServer() (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	who, err := account()
	if err != nil {
		return nil, err
	}
	// A socket path has at most 107 characters: t.TempDir is too long.
	dir, err := os.MkdirTemp("/tmp", "pgtest")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, ended: make(chan struct{})}
	if who != nil {
		err = os.Chown(dir, int(who.Credential.Uid), int(who.Credential.Gid))
	}
	data := filepath.Join(dir, "data")
	if err == nil {
		initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "moorgate", "-A", "trust", "-N",
			"-E", "UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en")
		initdb.Dir, initdb.SysProcAttr = dir, who
		var out []byte
		if out, err = initdb.CombinedOutput(); err != nil {
			err = fmt.Errorf("initdb: %w\n%s", err, out)
		}
	}
	if err == nil {
		cmd := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-c", "listen_addresses=",
			"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=300", "-c", "max_wal_size=256MB")
		cmd.Dir, cmd.SysProcAttr = dir, who
		err = s.run(cmd)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// programs returns the folder of the newest PostgreSQL of this machine.
func programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
		return filepath.Dir(newest), nil
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		return "", errors.New("it is not installed: apt-get install postgresql (the Debian package postgresql)")
	}
	return filepath.Dir(path), nil
}

// version returns 15 for /usr/lib/postgresql/15/bin/postgres.
func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 is older than all
	return n
}

// account returns what makes a process run as the user postgres, or nil
// if it need not: PostgreSQL refuses to run as root.
func account() (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // nothing to change
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("%w: the Debian package postgresql makes this user", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// run starts the server and waits until it answers. The server gets the signal
// to stop when the thread that started it ends, so also when the tests crash.
func (s *Server) run(cmd *exec.Cmd) error {
	attr := syscall.SysProcAttr{}
	if cmd.SysProcAttr != nil {
		attr = *cmd.SysProcAttr
	}
	attr.Pdeathsig = syscall.SIGINT
	cmd.SysProcAttr = &attr
	cmd.Stdout, cmd.Stderr = &s.output, &s.output
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		s.process = cmd.Process
		started <- err
		if err == nil {
			_ = cmd.Wait() // whoever needs it says so by its output
			close(s.ended)
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	return s.await()
}

func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.exec(ctx, "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("it ended at once:\n%s", s.output.String())
		case <-ctx.Done():
			return errors.Join(err, s.stop())
		case <-tick.C:
		}
	}
}

// stop ends the server and removes its files.
func (s *Server) stop() error {
	select {
	case <-s.ended:
		return fmt.Errorf("it ended before:\n%s", s.output.String())
	default:
	}
	err := s.process.Signal(syscall.SIGINT) // "fast shutdown"
	select {
	case <-s.ended:
	case <-time.After(2 * time.Minute):
		err = errors.Join(errors.New("it does not stop"), s.process.Kill())
		<-s.ended
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// URL is where a database of the server is, for sqlmeta.Postgres.
func (s *Server) URL(database string) string {
	query := url.Values{"host": {s.dir}, "user": {"moorgate"}}
	return "postgres:///" + database + "?" + query.Encode()
}

// NewDatabase makes an empty database and returns its URL.
func (s *Server) NewDatabase(t testing.TB) string {
	t.Helper()
	name := fmt.Sprint("test", s.databases.Add(1))
	if err := s.exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return s.URL(name)
}

func (s *Server) exec(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // of one statement
	_, err = conn.Exec(ctx, statement)
	return err
}
