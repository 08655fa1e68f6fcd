package management

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/warrenmq/warren/broker/auth"
	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/topology"
)

// problem is the body of every refusal.
type problem struct {
	Error  string `json:"error"`
	Reason string `json:"reason"`
}

func reply(w http.ResponseWriter, code int, body any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		code = http.StatusInternalServerError
		b.Reset()
		b.WriteString(`{"error":"internal_server_error","reason":"the answer cannot be said in JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(bytes.TrimSuffix(b.Bytes(), []byte("\n"))) // if it fails, whoever asked is gone
}

// missing is the answer for what does not exist.
func missing(w http.ResponseWriter) {
	reply(w, http.StatusNotFound, problem{"Object Not Found", "Not Found"})
}

// notFound is the answer for a change that needs what does not exist.
func notFound(w http.ResponseWriter, reason string) {
	reply(w, http.StatusNotFound, problem{"not_found", reason})
}

func badRequest(w http.ResponseWriter, reason string) {
	reply(w, http.StatusBadRequest, problem{"bad_request", reason})
}

// done is the answer to a change: 201 when it made something, 204 when not.
func done(w http.ResponseWriter, created bool) {
	if created {
		w.WriteHeader(http.StatusCreated)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// failed is the one place where an error of the broker becomes a status.
func failed(w http.ResponseWriter, err error) {
	if refusal, ok := errors.AsType[*topology.Error](err); ok {
		switch {
		case errors.Is(err, topology.ErrNotFound):
			notFound(w, refusal.Text)
		case errors.Is(err, topology.ErrAccessRefused), errors.Is(err, topology.ErrNotAllowed):
			reply(w, http.StatusUnauthorized, problem{"not_authorised", "Access refused."})
		default:
			badRequest(w, refusal.Text)
		}
		return
	}
	if refusal, ok := errors.AsType[*auth.Error](err); ok {
		badRequest(w, refusal.Text)
		return
	}
	if errors.Is(err, leader.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		reply(w, http.StatusServiceUnavailable, problem{"service_unavailable", err.Error()})
		return
	}
	reply(w, http.StatusInternalServerError, problem{"internal_server_error", err.Error()})
}
