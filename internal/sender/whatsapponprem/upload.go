package whatsapponprem

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/whatsapp"
)

// mediaLife is how long the reference advises hosts to keep a file.
const mediaLife = 30 * day

// Keeper implements sender.Uploader. Hosts that serve many numbers at one
// address tell them apart by the credentials.
func (p *Provider) Keeper() string {
	s := &p.settings
	who := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", s.Username, s.Token, s.APIKey))
	return s.BaseURL + "#" + hex.EncodeToString(who[:8])
}

// NewUpload renders the upload of a file: its bytes as they are. The dialect
// has no place for its name. Errors are those of NewRequest.
func (p *Provider) NewUpload(ctx context.Context, f sender.Upload) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.settings.BaseURL+"/v1/media", f.Body)
	if err != nil {
		return nil, fmt.Errorf("render upload: %w", err)
	}
	req.ContentLength = f.Size
	req.Header = http.Header{"Content-Type": {f.Type}, "Accept": {"application/json"}}
	if _, refused := p.authorize(ctx, req.Header); refused != nil {
		return nil, refused
	}
	return req, nil
}

// InterpretUpload reads the answer to an upload: the file's id at this host and
// how long it lasts, or why there is none. No message is in doubt: what isn't
// clear may be tried again.
func (p *Provider) InterpretUpload(a sender.Answer) (id string, expires time.Duration, refused *gateway.Error) {
	var body struct {
		Media []struct {
			ID whatsapp.Loose `json:"id"`
		} `json:"media"`
	}
	ok := a.Status >= 200 && a.Status <= 299
	if whatsapp.Decode(a.Body, &body) == nil && ok && len(body.Media) > 0 && body.Media[0].ID != "" {
		p.denied.Store(0)
		return string(body.Media[0].ID), mediaLife, nil
	}
	r := p.Interpret(a)
	switch {
	case p.session != nil && deniesToken(a) && p.logInNext():
		r.Error.Class = gateway.ClassTransient
	case ok && (r.Outcome == gateway.OutcomeAccepted || r.Outcome == gateway.OutcomeUnknown):
		return "", 0, odd("upload")
	case r.Outcome == gateway.OutcomeUnknown, exists(a): // the next upload draws another id
		r.Error.Class = gateway.ClassTransient
	}
	return "", 0, r.Error
}

// exists reports whether the host drew an id for the file that it had given away.
func exists(a sender.Answer) bool {
	e, _ := read(a.Body)
	code, _ := e.code()
	return code == codeExists
}

// maxDenied is how many uploads in a row may be refused for their token, each
// time with a login before the next: as many as may be under way when a token
// is revoked, and then some.
const maxDenied = 10

// logInNext has the next call log in anew, for an upload's bytes can't be sent
// twice. It reports whether that may help.
func (p *Provider) logInNext() bool {
	p.session.drop(0)
	return p.denied.Add(1) <= maxDenied
}

// LostUpload implements sender.Uploader.
func (p *Provider) LostUpload(a sender.Answer) bool {
	e, _ := read(a.Body)
	_, w := e.code()
	return lostFile(w)
}

// lostFile reports whether an error says that a file isn't known by its id. The
// code is that of everything which isn't found; but of what a message to a person
// names, the rest is the person.
func lostFile(w wireError) bool {
	code, ok := w.Code.Number()
	return ok && code == codeNotFound && !unknownContact(w)
}
