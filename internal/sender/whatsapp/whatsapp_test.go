package whatsapp

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"
)

func TestScalarsAreReadHoweverTheyAreWritten(t *testing.T) {
	for text, want := range map[string]Loose{
		`"1750030073"`: "1750030073", `1750030073`: "1750030073", `true`: "true", `null`: "", `{"a":1}`: "", `[1]`: "", `""`: "",
	} {
		l := Loose("before")
		if err := json.Unmarshal([]byte(text), &l); err != nil || l != want {
			t.Errorf("%s is read as %q, %v; want %q", text, l, err, want)
		}
	}
}

func TestInstants(t *testing.T) {
	at := time.Date(2025, 6, 15, 23, 27, 53, 0, time.UTC)
	for l, want := range map[Loose]time.Time{
		"1750030073": at, "1750030073000": at, "": {}, "soon": {}, "-1": {}, "0": {}, "253402300800000": {},
	} {
		if got := l.Instant(); !got.Equal(want) {
			t.Errorf("%q is %v, want %v", l, got, want)
		}
	}
}

func TestOddShapesSpoilNothingElse(t *testing.T) {
	var v struct {
		A int
		B string
	}
	if err := Decode([]byte(`{"a":"no number","b":"x"}`), &v); err != nil || v.B != "x" {
		t.Errorf("read %+v, %v", v, err)
	}
	if Decode([]byte(`{"a":`), &v) == nil {
		t.Error("half a text was taken for JSON")
	}
}

func TestNothingIsAuthenticWithoutASecret(t *testing.T) {
	h := http.Header{"X-Hub-Signature-256": {"sha256=b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"}} // of "" under ""
	if err := Verify(h, nil, []string{""}); !errors.Is(err, ErrSignature) {
		t.Errorf("an empty secret: %v", err)
	}
	if _, ok := Challenge(url.Values{"hub.mode": {"subscribe"}, "hub.challenge": {"1"}, "hub.verify_token": {""}}, ""); ok {
		t.Error("an empty token was taken")
	}
}
