package provisioning

import (
	"context"
	"net/http"
)

// Account is the project's WhatsApp account, the only one it has.
type Account struct {
	State                  string   `json:"state"` // ONBOARDED, PENDING_FACEBOOK_VERIFICATION, REJECTED, or newer
	WABAID                 string   `json:"wabaId"`
	WABAName               string   `json:"wabaName"`
	WABABanState           string   `json:"wabaBanState"` // DISABLE, REINSTATE, SCHEDULE_FOR_DISABLE
	WABABanDate            string   `json:"wabaBanDate"`
	WABAEnabledForInsights bool     `json:"wabaEnabledForInsights"`
	BusinessDailyLimit     string   `json:"businessDailyLimit"` // NOT_SET, TIER_250, TIER_1K, …
	BusinessManager        string   `json:"businessManager"`
	CompatibleRegions      []string `json:"compatibleRegions"`
	Currency               string   `json:"currency"`
	Changes                struct {
		Status string `json:"status"` // DRAFT, IN_PROGRESS, PENDING_FACEBOOK_VERIFICATION, REJECTED
	} `json:"changes"`
	Raw Document `json:"-"`
}

// UnmarshalJSON keeps the whole object in Raw.
func (a *Account) UnmarshalJSON(text []byte) error {
	type fields Account
	return keep(text, (*fields)(a), &a.Raw)
}

// AccountRequest creates or updates an account. Only what is set is sent.
type AccountRequest struct {
	WABAName                string                `json:"wabaName,omitempty"`
	ClientBusinessManagerID string                `json:"clientBusinessManagerId,omitempty"`
	BusinessManager         string                `json:"businessManager,omitempty"`
	SenderDetails           *AccountSenderDetails `json:"senderDetails,omitempty"`
	Extra                   Extra                 `json:"-"`
}

// AccountSenderDetails is the first sender of a new account.
type AccountSenderDetails struct {
	DisplayName      string `json:"displayName,omitempty"`
	BusinessCategory string `json:"businessCategory,omitempty"`
	Region           string `json:"region,omitempty"` // BR, EU, US
	MetaLocalStorage string `json:"metaLocalStorage,omitempty"`
}

// MarshalJSON writes the fields and the extra members.
func (r AccountRequest) MarshalJSON() ([]byte, error) {
	type fields AccountRequest
	return withExtra(fields(r), r.Extra)
}

// Account returns the project's account.
func (c *Client) Account(ctx context.Context) (*Account, error) {
	return c.account(ctx, http.MethodGet, nil)
}

// CreateAccount makes the project's account. A project has one.
func (c *Client) CreateAccount(ctx context.Context, r AccountRequest) (*Account, error) {
	return c.account(ctx, http.MethodPost, &r)
}

// UpdateAccount changes an account that was rejected; the provider refuses to
// change any other.
func (c *Client) UpdateAccount(ctx context.Context, r AccountRequest) (*Account, error) {
	return c.account(ctx, http.MethodPatch, &r)
}

func (c *Client) account(ctx context.Context, method string, r *AccountRequest) (*Account, error) {
	k := call{method: method, path: "/whatsapp"}
	if r != nil {
		k.body, k.secrets = r, secretsOf(r.Extra)
	}
	return read[Account](ctx, c, k)
}

// EnableTemplateAnalytics turns the account's template statistics on. It can't
// be turned off again.
func (c *Client) EnableTemplateAnalytics(ctx context.Context) error {
	return c.do(ctx, call{method: http.MethodPut, path: "/whatsapp/enableTemplateAnalytics"})
}

// read makes a call whose answer is a T.
func read[T any](ctx context.Context, c *Client, k call) (*T, error) {
	answer := new(T)
	k.answer = answer
	if err := c.do(ctx, k); err != nil {
		return nil, err
	}
	return answer, nil
}
