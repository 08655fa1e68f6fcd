package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
)

// ErrUnreachable says that no node answers on a data folder.
var ErrUnreachable = errors.New("no node answers")

// Refusal is an answer that is not a success: what RabbitMQ's API says.
type Refusal struct {
	Code   int
	Reason string
}

func (r *Refusal) Error() string { return r.Reason }

// Client asks the node that runs on a data folder of this machine.
type Client struct {
	dir  string
	http http.Client
}

// NewClient makes a client of the node that runs on the data folder dir.
func NewClient(dir string) *Client {
	return &Client{dir: dir, http: http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, Socket))
		},
	}}}
}

// Path escapes the segments of a path under /api.
func Path(segments ...string) string {
	var b strings.Builder
	b.WriteString("/api")
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

// Get asks for a JSON value.
func (c *Client) Get(ctx context.Context, path string, into any) error {
	b, _, err := c.do(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("answer of the node in %s: %w", c.dir, err)
	}
	return nil
}

// Put puts a JSON value, and says whether that made something new.
func (c *Client) Put(ctx context.Context, path string, v any) (created bool, err error) {
	b, err := json.Marshal(v)
	if err != nil {
		return false, err
	}
	_, code, err := c.do(ctx, http.MethodPut, path, b, nil)
	return code == http.StatusCreated, err
}

// PutText puts a plain text.
func (c *Client) PutText(ctx context.Context, path, text string) error {
	_, _, err := c.do(ctx, http.MethodPut, path, []byte(text), nil)
	return err
}

// Delete deletes; reason, if not "", is what clients that are closed by it are told.
func (c *Client) Delete(ctx context.Context, path, reason string) error {
	header := http.Header{}
	if reason != "" {
		header.Set("X-Reason", reason)
	}
	_, _, err := c.do(ctx, http.MethodDelete, path, nil, header)
	return err
}

func (c *Client) do(ctx context.Context, method, path string, body []byte, header http.Header) ([]byte, int, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://node"+path, bytes.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	for key, values := range header {
		r.Header[key] = values
	}
	resp, err := c.http.Do(r)
	if err != nil {
		var addressed *url.Error // its text would tell of a URL that nobody gave
		if errors.As(err, &addressed) {
			err = addressed.Err
		}
		return nil, 0, fmt.Errorf("%w in %s: %w", ErrUnreachable, c.dir, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, 0, fmt.Errorf("answer of the node in %s: %w", c.dir, err)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return nil, resp.StatusCode, &Refusal{resp.StatusCode, refusalText(resp.StatusCode, b)}
	}
	return b, resp.StatusCode, nil
}

func refusalText(code int, body []byte) string {
	var problem struct{ Reason string }
	if json.Unmarshal(body, &problem) == nil && problem.Reason != "" {
		return problem.Reason
	}
	if text := strings.TrimSpace(string(body)); text != "" {
		return text
	}
	return http.StatusText(code)
}
