package whatsapponprem

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

// mediaLife is how long the reference advises hosts to keep a file.
const mediaLife = 30 * day

// Upload is a file on its way to the host.
type Upload struct {
	Name, Type string
	Size       int64
	Body       io.Reader
}

// NewUpload renders the upload of a file: its bytes as they are. The dialect
// has no place for its name. Errors are those of NewRequest.
func (p *Provider) NewUpload(ctx context.Context, f Upload) (*http.Request, error) {
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
			ID loose `json:"id"`
		} `json:"media"`
	}
	ok := a.Status >= 200 && a.Status <= 299
	if decode(a.Body, &body) == nil && ok && len(body.Media) > 0 && body.Media[0].ID != "" {
		return string(body.Media[0].ID), mediaLife, nil
	}
	r := p.Interpret(a)
	switch {
	case ok && (r.Outcome == gateway.OutcomeAccepted || r.Outcome == gateway.OutcomeUnknown):
		return "", 0, odd("upload")
	case r.Outcome == gateway.OutcomeUnknown:
		r.Error.Class = gateway.ClassTransient
	}
	return "", 0, r.Error
}
