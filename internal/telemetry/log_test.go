package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
)

func TestLoggerMasks(t *testing.T) {
	tests := []struct {
		name string
		attr slog.Attr
		want map[string]any
	}{
		{"an authorization header", slog.String("Authorization", "Bearer x"), map[string]any{"Authorization": masked}},
		{"a token in snake case", slog.String("access_token", "x"), map[string]any{"access_token": masked}},
		{"a token in camel case", slog.String("verifyToken", "x"), map[string]any{"verifyToken": masked}},
		{"a password", slog.String("redis.password", "x"), map[string]any{"redis.password": masked}},
		{"a secret", slog.String("app-secret", "x"), map[string]any{"app-secret": masked}},
		{"a key", slog.String("api_key", "x"), map[string]any{"api_key": masked}},
		{"a key without a gap", slog.String("ApiKey", "x"), map[string]any{"ApiKey": masked}},
		{"a value of any type", slog.Any("secrets", []string{"x", "y"}), map[string]any{"secrets": masked}},
		{"bytes", slog.Any("link_secret", []byte("x")), map[string]any{"link_secret": masked}},
		{"an error under such a name", slog.Any("token", errors.New("x")), map[string]any{"token": masked}},
		{"a name inside a group", slog.Group("account", slog.String("token", "x"), slog.String("id", "shop")), map[string]any{"account": map[string]any{"token": masked, "id": "shop"}}},
		{"a group that is all secrets", slog.Group("credentials", slog.String("user", "x")), map[string]any{"credentials": map[string]any{"user": masked}}},

		{"a recipient masks itself", slog.Any("to", gateway.Recipient("+46732001122")), map[string]any{"to": "+46*******22"}},
		{"a number isn't a secret", slog.Int("tokens", 3), map[string]any{"tokens": 3.0}},
		{"nor is a duration", slog.Duration("token_age", time.Second), map[string]any{"token_age": 1e9}},
		{"nor is a flag", slog.Bool("signature_valid", false), map[string]any{"signature_valid": false}},
		{"words that only contain key stay", slog.String("monkey", "x"), map[string]any{"monkey": "x"}},
		{"ordinary names stay", slog.String("account", "shop-eu"), map[string]any{"account": "shop-eu"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			NewLogger(&b, slog.LevelInfo, JSON).LogAttrs(t.Context(), slog.LevelInfo, "m", tt.attr)
			var got map[string]any
			if err := json.Unmarshal(b.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			delete(got, slog.TimeKey)
			tt.want[slog.LevelKey], tt.want[slog.MessageKey] = "INFO", "m"
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("line (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoggerMasksWhatWithAdds(t *testing.T) {
	var b bytes.Buffer
	logger := NewLogger(&b, slog.LevelInfo, JSON).With("token", "x-1").WithGroup("secret").With("user", "x-2")
	logger.InfoContext(t.Context(), "m", "id", "x-3")
	if strings.Contains(b.String(), "x-") {
		t.Errorf("line holds a secret: %s", &b)
	}
}

func TestLoggerFormats(t *testing.T) {
	tests := []struct {
		name   string
		format Format
		want   string
	}{
		{"JSON", JSON, `{"time":"2026-11-20T23:00:00.124Z","level":"INFO","msg":"m","token":"[masked]"}` + "\n"},
		{"JSON by default", "", `{"time":"2026-11-20T23:00:00.124Z","level":"INFO","msg":"m","token":"[masked]"}` + "\n"},
		{"text", Text, "time=2026-11-20T23:00:00.124Z level=INFO msg=m token=[masked]\n"},
	}
	at := time.Date(2026, 11, 21, 0, 0, 0, 123_987_654, time.FixedZone("CET", 3600))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			record := slog.NewRecord(at, slog.LevelInfo, "m", 0)
			record.Add("token", "x")
			if err := NewLogger(&b, nil, tt.format).Handler().Handle(t.Context(), record); err != nil {
				t.Fatal(err)
			}
			if got := b.String(); got != tt.want {
				t.Errorf("line = %s, want %s", got, tt.want)
			}
		})
	}
}

func TestLoggerLevelCanMove(t *testing.T) {
	var level slog.LevelVar
	logger := NewLogger(&bytes.Buffer{}, &level, JSON)
	if logger.Enabled(context.Background(), slog.LevelDebug) {
		t.Error("debug is on at first")
	}
	level.Set(slog.LevelDebug)
	if !logger.Enabled(context.Background(), slog.LevelDebug) {
		t.Error("debug is still off")
	}
}

func TestParseFormat(t *testing.T) {
	tests := []struct {
		in   string
		want Format
		ok   bool
	}{
		{"", JSON, true},
		{"json", JSON, true},
		{"text", Text, true},
		{"JSON", "", false},
		{"logfmt", "", false},
	}
	for _, tt := range tests {
		if got, err := ParseFormat(tt.in); got != tt.want || (err == nil) != tt.ok {
			t.Errorf("ParseFormat(%q) = %q, %v", tt.in, got, err)
		}
	}
}
