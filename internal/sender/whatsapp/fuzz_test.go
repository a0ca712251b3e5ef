package whatsapp

import (
	"encoding/json"
	"net/url"
	"testing"
	"time"
	"unicode/utf8"
)

// Only the account's own token is answered, with the challenge as it was sent.
func FuzzChallenge(f *testing.F) {
	const token = "verify-me"
	f.Add("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="+token, token)
	f.Add("hub.mode=subscribe&hub.challenge=%3Cscript%3E&hub.verify_token=", "")
	f.Add("hub.mode=subscribe&hub.challenge=1&hub.verify_token=x&hub.verify_token="+token, token)
	f.Add("hub.mode=subscribe&hub.challenge=1&hub.verify_token=verify", token)
	f.Add("hub.mode=unsubscribe&hub.challenge=%00&hub.verify_token="+token, token)
	f.Fuzz(func(t *testing.T, text, token string) {
		query, _ := url.ParseQuery(text) // what can't be read is left out, as in requests
		body, ok := Challenge(query, token)
		asked := token != "" && query.Get("hub.verify_token") == token && query.Get("hub.mode") == "subscribe"
		if ok != (asked && query.Get("hub.challenge") != "") || ok && body != query.Get("hub.challenge") || !ok && body != "" {
			t.Errorf("%q, token %q: %q, %t", text, token, body, ok)
		}
	})
}

// A scalar is read whatever stands in its place, and is a number or a time only
// where that is what it says.
func FuzzLoose(f *testing.F) {
	for _, text := range []string{
		`""`, `null`, `true`, `7`, `-0`, `1e999`, `"1750030073"`, `"1750030073000"`, `253402300800000`, `"\ud800\u0000"`, `{}`, `[[]]`, ` "x" `,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var l Loose
		if err := l.UnmarshalJSON(text); err != nil {
			t.Errorf("UnmarshalJSON: %v", err)
		}
		if !json.Valid(text) {
			return // json hands over values only
		}
		if !utf8.Valid([]byte(l)) && utf8.Valid(text) || len(l) > 3*len(text) {
			t.Errorf("%q is read as %q", text, l)
		}
		at := l.Instant()
		if _, err := at.MarshalJSON(); err != nil || !at.IsZero() && (at.Before(time.Unix(1, 0)) || at.Location() != time.UTC) {
			t.Errorf("%q is the time %v, %v", text, at, err)
		}
		if again := l.Instant(); !again.Equal(at) {
			t.Errorf("%q is %v, and then %v", text, at, again)
		}
	})
}
