package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"sluice/internal/gateway"
)

// problemKind is one row of the table of everything the API refuses with. The
// name makes the stable type URI of RFC 9457 and the label of the metric.
type problemKind struct {
	status int
	name   string
	title  string
}

// The table. Names never change: callers compare them.
var (
	kindMalformed       = problemKind{http.StatusBadRequest, "malformed", "The request can't be read"}
	kindUnauthenticated = problemKind{http.StatusUnauthorized, "unauthenticated", "An API key is needed"}
	kindForbidden       = problemKind{http.StatusForbidden, "forbidden", "The API key doesn't allow this"}
	kindNotFound        = problemKind{http.StatusNotFound, "not-found", "There is no such thing"}
	kindMethod          = problemKind{http.StatusMethodNotAllowed, "method-not-allowed", "The resource doesn't take this method"}
	kindConflict        = problemKind{http.StatusConflict, "conflict", "It is too late for this"}
	kindTooLarge        = problemKind{http.StatusRequestEntityTooLarge, "too-large", "The body is too large"}
	kindMediaType       = problemKind{http.StatusUnsupportedMediaType, "unsupported-media-type", "The body must be JSON"}
	kindInvalid         = problemKind{http.StatusUnprocessableEntity, "validation", "The request has invalid fields"}
	kindKeyReused       = problemKind{http.StatusUnprocessableEntity, "key-reused", "The idempotency key was used with another body"}
	kindInternal        = problemKind{http.StatusInternalServerError, "internal", "Something is broken here"}
	kindUnavailable     = problemKind{http.StatusServiceUnavailable, "unavailable", "The store doesn't answer"}
)

func problemKinds() []problemKind {
	return []problemKind{
		kindMalformed, kindUnauthenticated, kindForbidden, kindNotFound, kindMethod, kindConflict, kindTooLarge,
		kindMediaType, kindInvalid, kindKeyReused, kindInternal, kindUnavailable,
	}
}

// retryAfter is what a caller is asked to wait after kindUnavailable, in
// seconds.
const retryAfter = "1"

// problem is an answer other than success. Detail and errors are shown to the
// caller, the cause is for the log.
type problem struct {
	kind   problemKind
	detail string
	errors []gateway.FieldError
	batch  *uploadBody // what of a batch was accepted nonetheless
	cause  error
}

func (p *problem) Error() string {
	if p.cause != nil {
		return p.kind.name + ": " + p.cause.Error()
	}
	return p.kind.name
}

func (p *problem) Unwrap() error { return p.cause }

// problemBody is a problem's JSON form, RFC 9457.
type problemBody struct {
	Type   string               `json:"type"`
	Title  string               `json:"title"`
	Status int                  `json:"status"`
	Detail string               `json:"detail"`
	Errors []gateway.FieldError `json:"errors,omitempty"`
	Batch  *uploadBody          `json:"batch,omitempty"`
}

func (p *problem) body() problemBody {
	return problemBody{
		Type: "/problems/" + p.kind.name, Title: p.kind.title, Status: p.kind.status,
		Detail: p.detail, Errors: p.errors, Batch: p.batch,
	}
}

// invalid names the fields at fault: sorted, each fault once, and no more than
// anyone would read.
func invalid(errs ...gateway.FieldError) *problem {
	slices.SortStableFunc(errs, func(a, b gateway.FieldError) int {
		return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Message, b.Message))
	})
	errs = slices.Compact(errs)
	detail := fmt.Sprintf("%d fields are invalid; see errors.", len(errs))
	switch {
	case len(errs) == 1:
		detail = errs[0].Error() + "."
	case len(errs) > maxErrors:
		errs = errs[:maxErrors]
		detail = fmt.Sprintf("Many fields are invalid; errors names the first %d.", maxErrors)
	}
	return &problem{kind: kindInvalid, detail: detail, errors: errs}
}

// outsideKey refuses an account that isn't the key's, whether or not it exists.
func outsideKey() *problem {
	return &problem{kind: kindForbidden, detail: "The API key doesn't cover this account."}
}

// problemOf turns any error of a handler into the answer it means.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if f, ok := errors.AsType[gateway.FieldError](err); ok {
		return invalid(f)
	}
	if m, ok := errors.AsType[malformed](err); ok {
		return &problem{kind: kindMalformed, detail: sentence(string(m)), cause: m}
	}
	if h, ok := errors.AsType[*echo.HTTPError](err); ok {
		return routing(h)
	}
	switch {
	case errors.Is(err, gateway.ErrNotFound):
		return &problem{kind: kindNotFound, detail: "Nothing is kept under this id."}
	case errors.Is(err, gateway.ErrConflict):
		return &problem{kind: kindConflict, detail: "A call to the provider is in flight, was accepted, or the message has ended."}
	case errors.Is(err, gateway.ErrKeyReused):
		return &problem{
			kind: kindKeyReused, detail: "The Idempotency-Key belongs to a post with another body.",
			errors: []gateway.FieldError{{Field: headerIdempotencyKey, Message: "was used with another body"}},
		}
	case errors.Is(err, gateway.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &problem{
			kind: kindUnavailable, cause: err,
			detail: "Nothing was confirmed. Ask again; a post with the same Idempotency-Key is safe to repeat.",
		}
	}
	return &problem{kind: kindInternal, detail: "The request id leads to the reason in the log.", cause: err}
}

// routing is what Echo's router refuses.
func routing(h *echo.HTTPError) *problem {
	switch h.Code {
	case http.StatusNotFound:
		return &problem{kind: kindNotFound, detail: "No resource has this path."}
	case http.StatusMethodNotAllowed:
		return &problem{kind: kindMethod, detail: "The Allow header names the methods of this resource."}
	}
	return &problem{kind: kindInternal, detail: "The request id leads to the reason in the log.", cause: h}
}
