package provisioning

import (
	"context"
	"errors"
	"net/http"
)

// FacebookGrant is what the embedded signup hands out: a code or a token.
type FacebookGrant struct {
	Code            Secret
	Token           Secret // or another long-lived access token
	BusinessManager string // may be empty
}

// LongLivedToken exchanges a grant for an access token that is valid for 60
// days. The provider calls it deprecated.
func (c *Client) LongLivedToken(ctx context.Context, g FacebookGrant) (Secret, error) {
	if (g.Code == "") == (g.Token == "") {
		return "", errors.New("long-lived access token: needs a facebook code or a facebook token, one of them")
	}
	body := struct {
		Code            string `json:"facebookCode,omitempty"`
		Token           string `json:"facebookToken,omitempty"`
		BusinessManager string `json:"businessManager,omitempty"`
	}{g.Code.Reveal(), g.Token.Reveal(), g.BusinessManager}
	var answer struct {
		Token Secret `json:"longLivedAccessToken"`
	}
	err := c.do(ctx, call{
		method: http.MethodPost, path: "/whatsapp/longLivedAccessToken",
		body: body, secrets: []string{body.Code, body.Token}, answer: &answer,
	})
	if err == nil && answer.Token == "" {
		err = errors.New("long-lived access token: the answer holds none")
	}
	return answer.Token, err
}

// WABA is a WhatsApp Business Account that a facebook token is associated
// with, and the numbers that are shared.
type WABA struct {
	ID      string       `json:"id"`
	Numbers []WABANumber `json:"numbers"`
	Raw     Document     `json:"-"`
}

// WABANumber is one number of a WABA.
type WABANumber struct {
	ID                 string `json:"id"`
	DisplayPhoneNumber string `json:"displayPhoneNumber"`
	Provisioned        bool   `json:"provisioned"`
}

// UnmarshalJSON keeps the whole object in Raw.
func (w *WABA) UnmarshalJSON(text []byte) error {
	type fields WABA
	return keep(text, (*fields)(w), &w.Raw)
}

// WABADetails lists what a facebook token is associated with. The provider
// calls it deprecated.
func (c *Client) WABADetails(ctx context.Context, facebookToken Secret) ([]*WABA, error) {
	if facebookToken == "" {
		return nil, errors.New("WABA details: needs a facebook token")
	}
	body := struct {
		Token string `json:"facebookToken"`
	}{facebookToken.Reveal()}
	var answer struct {
		WABAs []*WABA `json:"wabas"`
	}
	err := c.do(ctx, call{
		method: http.MethodPost, path: "/whatsapp/wabaDetails",
		body: body, secrets: []string{body.Token}, answer: &answer,
	})
	return answer.WABAs, err
}
