package api

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"sluice/internal/gateway"
)

const (
	maxBody     = 256 << 10        // bytes of a JSON body
	bodyTimeout = 10 * time.Second // for a body to arrive
)

// readBody reads a JSON body whole.
func readBody(c *call, into *bytes.Buffer) error {
	r := c.Request()
	if !isJSON(r.Header) {
		return &problem{kind: kindMediaType, detail: "Send the body as Content-Type: application/json, in UTF-8 and without Content-Encoding."}
	}
	if r.ContentLength > maxBody {
		return tooLarge()
	}
	// A server that can't set deadlines has none to keep; recorders are such.
	_ = http.NewResponseController(c.Response()).SetReadDeadline(time.Now().Add(bodyTimeout))
	_, err := into.ReadFrom(http.MaxBytesReader(c.Response().Writer, r.Body, maxBody))
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return tooLarge()
	}
	if err != nil {
		return &problem{kind: kindMalformed, detail: "The body ended early.", cause: err}
	}
	return nil
}

func tooLarge() *problem {
	return &problem{kind: kindTooLarge, detail: fmt.Sprintf("A body may have at most %d bytes.", maxBody)}
}

func isJSON(h http.Header) bool {
	if e := h.Get(echo.HeaderContentEncoding); e != "" && !strings.EqualFold(e, "identity") {
		return false
	}
	given := h.Get(echo.HeaderContentType)
	if given == typeJSON {
		return true
	}
	media, params, err := mime.ParseMediaType(given)
	if err != nil || media != typeJSON {
		return false
	}
	charset, ok := params["charset"]
	return !ok || strings.EqualFold(charset, "utf-8")
}

// decodeBody reads the request's body into a T.
func decodeBody[T any](s *Server, c *call, d decoder[T]) (*T, []gateway.FieldError, error) {
	b := s.buffer()
	defer s.release(b)
	if err := readBody(c, b); err != nil {
		return nil, nil, err
	}
	v, errs, err := d.decode(b.Bytes())
	if m, ok := errors.AsType[malformed](err); ok {
		return nil, nil, &problem{kind: kindMalformed, detail: sentence(string(m)), cause: m}
	}
	return v, errs, err
}

// sentence makes a phrase stand alone.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }
