package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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
	if mediaType(r.Header) != typeJSON {
		return &problem{kind: kindMediaType, detail: "Send the body as Content-Type: application/json, in UTF-8 and without Content-Encoding."}
	}
	// A server that can't set deadlines has none to keep; recorders are such.
	_ = http.NewResponseController(c.Response()).SetReadDeadline(time.Now().Add(bodyTimeout))
	return readWhole(c, r.Body, into, maxBody)
}

// readWhole reads a body of at most so many bytes.
func readWhole(c *call, body io.ReadCloser, into *bytes.Buffer, most int64) error {
	if c.Request().ContentLength > most {
		return tooLarge(most)
	}
	_, err := into.ReadFrom(http.MaxBytesReader(c.Response().Writer, body, most))
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return tooLarge(most)
	}
	if err != nil {
		return endedEarly(err)
	}
	return nil
}

func endedEarly(err error) *problem {
	return &problem{kind: kindMalformed, detail: "The body ended early.", cause: err}
}

func tooLarge(most int64) *problem {
	return &problem{kind: kindTooLarge, detail: fmt.Sprintf("A body may have at most %d bytes.", most)}
}

// mediaType is the declared type of a body that can be read as it is: in UTF-8
// and without an encoding; else empty.
func mediaType(h http.Header) string {
	if e := h.Get(echo.HeaderContentEncoding); e != "" && !strings.EqualFold(e, "identity") {
		return ""
	}
	given := h.Get(echo.HeaderContentType)
	if given == typeJSON {
		return typeJSON
	}
	media, params, err := mime.ParseMediaType(given)
	if err != nil {
		return ""
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return ""
	}
	return media
}

// decodeBody reads the request's body into a T.
func decodeBody[T any](s *Server, c *call, d decoder[T]) (*T, []gateway.FieldError, error) {
	b := s.buffer()
	defer s.release(b)
	if err := readBody(c, b); err != nil {
		return nil, nil, err
	}
	return d.decode(b.Bytes())
}

// sentence makes a phrase stand alone.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }
