package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"syscall"

	"github.com/moorgate/moorgate/internal/refresh"
	"github.com/moorgate/moorgate/internal/token"
)

// ErrNotRunning says that no server has its door in the data directory.
var ErrNotRunning = errors.New("no moorgate runs on this data directory")

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 64 << 20

// Client asks the server that runs on a data directory.
type Client struct {
	dir  string
	http *http.Client
}

// Dial returns a client for the server on the data directory dir. It connects
// at the first question. All errors of the client are lines for the operator.
func Dial(dir string) *Client {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			path, err := socketPath(dir)
			if err != nil {
				return nil, err
			}
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}
	return &Client{dir: dir, http: &http.Client{Transport: transport, Timeout: answerTimeout}}
}

// Tokens returns the refresh tokens of a user, or of all if user is "".
func (c *Client) Tokens(ctx context.Context, user string) ([]refresh.Entry, error) {
	list, err := ask[tokenList](ctx, c, http.MethodGet, "/tokens"+ofUser(user))
	return list.Tokens, err
}

// RevokeToken ends a refresh token.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	_, err := ask[revoked](ctx, c, http.MethodDelete, "/tokens/"+url.PathEscape(id))
	return err
}

// RevokeUser ends all refresh tokens of a user and returns how many there were.
func (c *Client) RevokeUser(ctx context.Context, user string) (int, error) {
	done, err := ask[revoked](ctx, c, http.MethodDelete, "/tokens"+ofUser(user))
	return done.Revoked, err
}

func ofUser(user string) string {
	if user == "" {
		return ""
	}
	return "?" + url.Values{"user": {user}}.Encode()
}

// Keys returns the signing keys, in the order in which they sign.
func (c *Client) Keys(ctx context.Context) ([]token.KeyInfo, error) {
	list, err := ask[keyList](ctx, c, http.MethodGet, "/keys")
	return list.Keys, err
}

// Rotate makes a new signing key, which signs after the overlap of the server, or
// now.
func (c *Client) Rotate(ctx context.Context, now bool) (token.Rotation, error) {
	path := "/keys"
	if now {
		path += "?now=true"
	}
	return ask[token.Rotation](ctx, c, http.MethodPost, path)
}

// RevokeKey removes a signing key; if it was the one that signs, another is made.
func (c *Client) RevokeKey(ctx context.Context, id string) (token.Rotation, error) {
	return ask[token.Rotation](ctx, c, http.MethodDelete, "/keys/"+url.PathEscape(id))
}

// ask sends a question and reads the answer.
func ask[T any](ctx context.Context, c *Client, method, path string) (value T, err error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://control"+path, http.NoBody)
	if err != nil {
		return value, err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return value, c.explain(err)
	}
	defer resp.Body.Close()
	body := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode != http.StatusOK {
		var f failure
		if err := body.Decode(&f); err != nil || f.Error == "" {
			return value, fmt.Errorf("the server answered %s: is it of another version than this program?", resp.Status)
		}
		return value, errors.New(f.Error)
	}
	if err := body.Decode(&value); err != nil {
		return value, fmt.Errorf("cannot read the answer of the server: %w", err)
	}
	return value, nil
}

// explain words an error of the connection.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, ErrPathTooLong):
		return errors.Unwrap(err) // without the method and URL around it
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w (%s): start it, or give --data", ErrNotRunning, c.dir)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the data directory %s belongs to another user: run this as the user of the server", c.dir)
	default:
		return fmt.Errorf("cannot ask the server: %w", err)
	}
}
