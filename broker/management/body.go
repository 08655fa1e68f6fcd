package management

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// maxBodyBytes is RabbitMQ's bound of a request's body.
const maxBodyBytes = 20_000_000

// fields are the members of a request's JSON object; numbers are int64 or float64.
type fields map[string]any

// body reads the JSON object of a request, which must have the keys. Where it
// cannot, it answers the request and ok is false.
func body(w http.ResponseWriter, r *http.Request, keys ...string) (f fields, ok bool) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err != nil {
		badRequest(w, "Exceeded HTTP request body size limit")
		return nil, false
	}
	f, reason := parseFields(raw)
	if reason != "" {
		badRequest(w, reason)
		return nil, false
	}
	var lacking []string
	for _, key := range keys {
		if _, there := f[key]; !there {
			lacking = append(lacking, "{key_missing,"+atom(key)+"}")
		}
	}
	if len(lacking) > 0 {
		badRequest(w, "["+strings.Join(lacking, ",")+"]")
		return nil, false
	}
	return f, true
}

// parseFields reads a JSON object; an empty body stands for the empty one.
func parseFields(raw []byte) (f fields, reason string) {
	switch string(raw) {
	case "", "null", "undefined":
		return fields{}, ""
	}
	v, err := parseJSON(raw)
	if err != nil {
		return nil, "not_json"
	}
	switch v := v.(type) {
	case map[string]any:
		return v, ""
	case string:
		return nil, "invalid payload: the request body JSON-decoded to a string. Is the input doubly-JSON-encoded?"
	}
	return nil, "not_json"
}

// parseJSON reads one JSON value; whole numbers are int64, others float64.
func parseJSON(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows the JSON value")
	}
	return numbers(v), nil
}

func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil { // beyond a float64: as JSON knows no infinity, its text
			return v.String()
		}
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}

// text is a member that is a string, "" when it is missing or null.
func (f fields) text(key string) (string, bool) {
	switch v := f[key].(type) {
	case nil:
		return "", true
	case string:
		return v, true
	}
	return "", false
}

// integer is a member that is a whole number, or a string of one, as rabbitmqadmin sends them.
func (f fields) integer(key string) (n int64, ok bool) {
	switch v := f[key].(type) {
	case int64:
		return v, true
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		return n, err == nil
	}
	return 0, false
}
