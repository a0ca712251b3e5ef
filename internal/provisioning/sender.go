package provisioning

import (
	"cmp"
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strings"
)

// StateActive is the only state in which a sender sends.
const StateActive = "ACTIVE"

// QualityRed is the rating that comes before restrictions.
const QualityRed = "RED"

// Sender is a WhatsApp sender of the project.
type Sender struct {
	ID              string  `json:"id"`
	BearerToken     Secret  `json:"bearerToken"`
	State           string  `json:"state"`         // ACTIVE, IN_PROGRESS, INACTIVE, PENDING_VERIFICATION, SUSPENDED, ERROR, or newer
	MaxTPS          float64 `json:"maxTps"`        // messages a second; 0: not said
	QualityRating   string  `json:"qualityRating"` // GREEN, YELLOW, RED, UNKNOWN
	Region          string  `json:"region"`        // BR, EU, US
	CountryCode     string  `json:"countryCode"`
	PhoneNumber     string  `json:"phoneNumber"` // without the country's code
	NumberProvider  string  `json:"numberProvider"`
	BusinessManager string  `json:"businessManager"`
	Created         string  `json:"created"`
	Modified        string  `json:"modified"`
	Metadata        struct {
		DisplayName struct {
			Value  string `json:"value"`
			Status string `json:"status"`
		} `json:"displayName"`
		Username string `json:"username"`
	} `json:"metadata"`
	Details struct {
		DisplayName string `json:"displayName"`
	} `json:"details"`
	Changes struct {
		Status      string `json:"status"` // DRAFT, ERROR, IN_PROGRESS, REJECTED
		ErrorCode   string `json:"errorCode"`
		ErrorReason string `json:"errorReason"`
	} `json:"changes"`
	AppDetails ConversationApp `json:"conversationApiAppDetails"`
	OldApp     string          `json:"conversationApiApp"` // deprecated; see App
	Raw        Document        `json:"-"`
}

// ConversationApp is the Conversation API app that a sender is linked to.
type ConversationApp struct {
	ID            string `json:"id"`
	ProjectID     string `json:"projectId"`
	Region        string `json:"region"`        // BR, EU, US
	ChannelStatus string `json:"channelStatus"` // ACTIVE, FAILING, PENDING
}

// UnmarshalJSON keeps the whole object in Raw.
func (s *Sender) UnmarshalJSON(text []byte) error {
	type fields Sender
	return keep(text, (*fields)(s), &s.Raw)
}

// App is the app that the sender is linked to; its ID is empty if there is
// none. Where the provider tells it the old way, the region is the sender's.
func (s *Sender) App() ConversationApp {
	app := s.AppDetails
	app.ID = cmp.Or(app.ID, s.OldApp)
	app.Region = cmp.Or(app.Region, s.Region)
	return app
}

// Name is what recipients see, wherever the provider tells it.
func (s *Sender) Name() string { return cmp.Or(s.Metadata.DisplayName.Value, s.Details.DisplayName) }

// Number is the sender's number in E.164; empty if the parts make none.
func (s *Sender) Number() string {
	code, number := digits(s.CountryCode), digits(s.PhoneNumber)
	switch {
	case number == "":
		return ""
	case strings.HasPrefix(strings.TrimSpace(s.PhoneNumber), "+"):
		return "+" + number
	case code == "":
		return ""
	default:
		return "+" + code + number
	}
}

// digits are those of a number as people write it; empty if there is anything
// else in it.
func digits(s string) string {
	s = strings.NewReplacer("+", "", " ", "", "-", "", "(", "", ")", "").Replace(s)
	if strings.Trim(s, "0123456789") != "" {
		return ""
	}
	return s
}

// SenderFilter chooses among the project's senders. Zero: all of them.
type SenderFilter struct {
	States   []string
	Statuses []string // of their changes
	PageSize int      // 1 to 100; 0: the provider's 50
}

// Senders goes through the project's senders. An error is the last thing it
// yields.
func (c *Client) Senders(ctx context.Context, f SenderFilter) iter.Seq2[*Sender, error] {
	return list[Sender](ctx, c, "/whatsapp/senders", "senders", filters(f.States, f.Statuses), f.PageSize)
}

func filters(states, statuses []string) url.Values {
	q := url.Values{}
	for _, s := range states {
		q.Add("filterStates", s)
	}
	for _, s := range statuses {
		q.Add("filterStatuses", s)
	}
	return q
}

// Sender returns one sender.
func (c *Client) Sender(ctx context.Context, id string) (*Sender, error) {
	return c.sender(ctx, http.MethodGet, id, call{})
}

// SenderRequest creates a sender. Which fields belong together depends on the
// way it comes about: by embedded signup, WABAID, PhoneNumberID and Region; by
// a number to be provisioned, Details; by a partner, Details with
// PhoneNumberProvider and Status. Only what is set is sent.
type SenderRequest struct {
	WABAID              string        `json:"wabaId,omitempty"`
	PhoneNumberID       string        `json:"phoneNumberId,omitempty"`
	Region              string        `json:"region,omitempty"` // BR, EU, US
	MetaLocalStorage    string        `json:"metaLocalStorage,omitempty"`
	BusinessManager     string        `json:"businessManager,omitempty"`
	AuthenticationCode  string        `json:"authenticationCode,omitempty"`
	PhoneNumberProvider string        `json:"phoneNumberProvider,omitempty"` // CUSTOMER, SINCH
	Details             SenderDetails `json:"details,omitzero"`
	Status              string        `json:"status,omitempty"` // DRAFT, SUBMIT
	SaveDraftOnFailure  bool          `json:"saveDraftOnFailure,omitempty"`
	Extra               Extra         `json:"-"`
}

// SenderDetails describes a sender. Only what is set is sent.
type SenderDetails struct {
	CountryCode string `json:"countryCode,omitempty"`
	PhoneNumber string `json:"phoneNumber,omitempty"`
	DisplayName string `json:"displayName,omitempty"`
	Vertical    string `json:"vertical,omitempty"`
}

// MarshalJSON writes the fields and the extra members.
func (r SenderRequest) MarshalJSON() ([]byte, error) {
	type fields SenderRequest
	return withExtra(fields(r), r.Extra)
}

// CreateSender makes a sender.
func (c *Client) CreateSender(ctx context.Context, r SenderRequest) (*Sender, error) {
	return read[Sender](ctx, c, call{
		method: http.MethodPost, path: "/whatsapp/senders",
		body: r, secrets: append(secretsOf(r.Extra), r.AuthenticationCode),
	})
}

// SenderUpdate changes an active sender. The provider takes a change without a
// status for a draft.
type SenderUpdate struct {
	Status  string                     `json:"status,omitempty"`  // DRAFT, SUBMIT
	Details map[string]json.RawMessage `json:"details,omitempty"` // null clears a member
	Extra   Extra                      `json:"-"`
}

// MarshalJSON writes the fields and the extra members.
func (r SenderUpdate) MarshalJSON() ([]byte, error) {
	type fields SenderUpdate
	return withExtra(fields(r), r.Extra)
}

// UpdateSender changes a sender.
func (c *Client) UpdateSender(ctx context.Context, id string, r SenderUpdate) (*Sender, error) {
	return c.sender(ctx, http.MethodPatch, id, call{body: r, secrets: secretsOf(r.Extra)})
}

// DeleteSender gives a sender up. It stays active for 30 days.
func (c *Client) DeleteSender(ctx context.Context, id string) error {
	step, err := segment("sender", id)
	if err != nil {
		return err
	}
	return c.do(ctx, call{method: http.MethodDelete, path: "/whatsapp/senders" + step})
}

// RegisterSender has the provider send a verification code to a sender's number,
// by SMS or VOICE. It is the step before VerifySender.
func (c *Client) RegisterSender(ctx context.Context, id, method string) (*Registration, error) {
	step, err := segment("sender", id)
	if err != nil {
		return nil, err
	}
	return read[Registration](ctx, c, call{
		method: http.MethodPost, path: "/whatsapp/senders" + step + "/register",
		body: struct {
			Method string `json:"method"`
		}{method},
	})
}

// Registration is what became of RegisterSender.
type Registration struct {
	ID       string   `json:"id"`
	Method   string   `json:"method"` // SMS, VOICE
	Accepted bool     `json:"accepted"`
	CodeSent bool     `json:"verificationCodeSent"`
	Raw      Document `json:"-"`
}

// UnmarshalJSON keeps the whole object in Raw.
func (r *Registration) UnmarshalJSON(text []byte) error {
	type fields Registration
	return keep(text, (*fields)(r), &r.Raw)
}

// VerifySender hands in the code that RegisterSender had sent.
func (c *Client) VerifySender(ctx context.Context, id string, code Secret) error {
	step, err := segment("sender", id)
	if err != nil {
		return err
	}
	return c.do(ctx, call{
		method: http.MethodPost, path: "/whatsapp/senders" + step + "/verify", secrets: []string{code.Reveal()},
		body: struct {
			Code string `json:"code"`
		}{code.Reveal()},
	})
}

func (c *Client) sender(ctx context.Context, method, id string, k call) (*Sender, error) {
	step, err := segment("sender", id)
	if err != nil {
		return nil, err
	}
	k.method, k.path = method, "/whatsapp/senders"+step
	return read[Sender](ctx, c, k)
}
