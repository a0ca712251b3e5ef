package media

import (
	"fmt"
	"time"

	"sluice/internal/gateway"
)

// Codes of the errors, as callers see them. All but CodeUnreachable are final
// for the link as it is.
const (
	CodeWrongType      = "media_wrong_type"
	CodeTooLarge       = "media_too_large"
	CodeUnreachable    = "media_unreachable" // for now
	CodeRefusedAddress = "media_refused_address"
	CodeBadLink        = "media_bad_link"
)

// verdict is the answer about one file under one rule; its zero value accepts.
// Its words hold nothing of the link, nor addresses.
type verdict struct {
	code, title, detail string
}

func (v verdict) ok() bool { return v.code == "" }

// retryable reports whether a later look may find otherwise.
func (v verdict) retryable() bool { return v.code == CodeUnreachable }

// err is nil if the verdict accepts.
func (v verdict) err() *gateway.Error {
	if v.ok() {
		return nil
	}
	return &gateway.Error{Class: gateway.ClassMedia, Code: v.code, Title: v.title, Detail: v.detail}
}

func (v verdict) reply() reply { return reply{refused: v.err(), retryable: v.retryable()} }

func wrongType(kind gateway.MediaKind, detail string) verdict {
	return verdict{CodeWrongType, fmt.Sprintf("The file can't be sent as %s", kind), detail}
}

func tooLarge(what string, limit int64) verdict {
	return verdict{CodeTooLarge, "The file is too large", fmt.Sprintf("as %s it may have at most %d bytes", what, limit)}
}

func unreachable(detail string) verdict {
	return verdict{CodeUnreachable, "The file can't be fetched", detail}
}

func refusedAddress() verdict {
	return verdict{
		CodeRefusedAddress, "The link may not be followed",
		"only https links to public addresses are followed, and links to hosts that the configuration lists",
	}
}

func badLink(detail string) verdict {
	return verdict{CodeBadLink, "The link leads to no file", detail}
}

func interrupted() verdict { return unreachable("the check was interrupted") }

// How long what was found is remembered. Files behind a link seldom change
// while a batch is sent; one that was refused may be mended soon, and what was
// unreachable is worth another look before the next attempt.
const (
	goodFor        = 10 * time.Minute
	badFor         = time.Minute
	unreachableFor = 10 * time.Second
)

func (v verdict) holdsFor() time.Duration {
	switch {
	case v.ok():
		return goodFor
	case v.retryable():
		return unreachableFor
	}
	return badFor
}
