package provisioning_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"sluice/internal/provisioning"
)

func TestSecretsAreMaskedHoweverTheyAreShown(t *testing.T) {
	var s provisioning.Sender
	if err := json.Unmarshal([]byte(`{"id":"s-1","bearerToken":"very-secret","nested":[{"facebookToken":"very-secret","secret":"very-secret"}]}`), &s); err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "token", s.BearerToken, "raw", s.Raw, "sender", s)
	marshalled, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{
		logged.String(), string(marshalled), fmt.Sprint(s), fmt.Sprintf("%+v %#v %q %x", s, s, s.BearerToken, s.BearerToken), fmt.Sprintf("%s %v %d", s.Raw, s.Raw, s.Raw),
	} {
		if strings.Contains(shown, "very-secret") || strings.Contains(shown, fmt.Sprintf("%x", "very-secret")) {
			t.Errorf("shown: %s", shown)
		}
	}
	if s.BearerToken.Reveal() != "very-secret" || !strings.Contains(string(s.Raw.Reveal()), "very-secret") {
		t.Error("can't be revealed")
	}
}

func TestADocumentKeepsWhatIsNoSecret(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"numbers keep their digits", `{"n":12345678901234567890,"f":1.50}`, `{"f":1.50,"n":12345678901234567890}`},
		{"page tokens are no secrets", `{"nextPageToken":"a","longLivedAccessToken":"b"}`, `{"longLivedAccessToken":"***","nextPageToken":"a"}`},
		{"an empty secret stays empty", `{"secret":"","bearerToken":null}`, `{"bearerToken":null,"secret":""}`},
		{"a secret of another shape is one", `{"password":1234,"secret":["a"],"token":{"token":"b"}}`, `{"password":"***","secret":"***","token":{"token":"***"}}`},
		{"signs of HTML stay", `{"a":"<&>"}`, `{"a":"<&>"}`},
		{"no document is null", ``, `null`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := provisioning.Document(c.in).MarshalJSON()
			if err != nil || string(got) != c.want {
				t.Errorf("%s, %v, want %s", got, err, c.want)
			}
		})
	}
}
