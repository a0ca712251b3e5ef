package gateway

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestParseRecipient(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     error
	}{
		{"a Swedish number", "+46732001122", nil},
		{"an American number", "+15550001111", nil},
		{"7 digits", "+2901234", nil},
		{"15 digits", "+491234567890123", nil},
		{"a code of three digits", "+358401234567", nil},
		{"a global service", "+870123456789", nil},
		{"6 digits", "+290123", ErrRecipientForm},
		{"16 digits", "+4912345678901234", ErrRecipientForm},
		{"nothing", "", ErrRecipientForm},
		{"a plus alone", "+", ErrRecipientForm},
		{"no plus", "46732001122", ErrRecipientForm},
		{"two pluses", "++46732001122", ErrRecipientForm},
		{"a plus at the end", "+4673200112+", ErrRecipientForm},
		{"the international prefix", "0046732001122", ErrRecipientForm},
		{"spaces inside", "+46 73 200 11 22", ErrRecipientForm},
		{"a space before", " +46732001122", ErrRecipientForm},
		{"a line break after", "+46732001122\n", ErrRecipientForm},
		{"dashes", "+46-732001122", ErrRecipientForm},
		{"letters", "+4673200ABCD", ErrRecipientForm},
		{"digits of another script", "+٤٦٧٣٢٠٠١١٢٢", ErrRecipientForm},
		{"a wide plus", "＋46732001122", ErrRecipientForm},
		{"a code that begins with zero", "+0732001122", ErrRecipientCallingCode},
		{"a code nobody has, 210", "+2101234567", ErrRecipientCallingCode},
		{"a code nobody has, 999", "+9991234567", ErrRecipientCallingCode},
		{"a code nobody has, 384", "+38412345678", ErrRecipientCallingCode},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := ParseRecipient(tc.in)
			want := Recipient(tc.in)
			if tc.want != nil {
				want = ""
			}
			if !errors.Is(err, tc.want) || got != want {
				t.Errorf("%q: %q, %v, want %v", tc.in, string(got), err, tc.want)
			}
		})
	}
}

func TestNoCallingCodeBeginsAnother(t *testing.T) {
	codes := strings.Fields(callingCodes)
	for i, a := range codes {
		for j, b := range codes {
			if i != j && strings.HasPrefix(b, a) {
				t.Errorf("%s begins %s", a, b)
			}
		}
	}
}

func TestRecipientDigits(t *testing.T) {
	if got := Recipient("+46732001122").Digits(); got != "46732001122" {
		t.Errorf("got %q", got)
	}
}

func TestRecipientMasked(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   Recipient
		want string
	}{
		{"a long one", "+491234567890123", "+49***********23"},
		{"a usual one", "+46732001122", "+46*******22"},
		{"the shortest", "+2901234", "+29***34"},
		{"too short to be one", "+29012", "***"},
		{"nothing", "", "***"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.in.Masked(); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestRecipientIsMaskedInLogs(t *testing.T) {
	const to = Recipient("+46732001122")
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			logger := slog.New(handler(&b)).With("first", to)
			logger.InfoContext(t.Context(), "sent", "to", to, slog.Group("message", "to", to))
			if strings.Contains(b.String(), "732001") || strings.Count(b.String(), "+46*******22") != 3 {
				t.Errorf("logged %s", b.String())
			}
		})
	}
}

func FuzzParseRecipient(f *testing.F) {
	for _, s := range []string{"+46732001122", "+15550001111", "+0732001122", "+2901234", "0046", "+٤٦", "+46 73"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRecipient(s)
		if err != nil {
			if r != "" || !errors.Is(err, ErrRecipientForm) && !errors.Is(err, ErrRecipientCallingCode) {
				t.Errorf("%q: %q, %v", s, string(r), err)
			}
			return
		}
		digits := r.Digits()
		if string(r) != s || "+"+digits != s || len(digits) < 7 || len(digits) > 15 || strings.Trim(digits, "0123456789") != "" {
			t.Errorf("%q was let through as %q", s, string(r))
		}
		if m := r.Masked(); len(m) != len(s) || strings.Count(m, "*") != len(s)-5 {
			t.Errorf("%q is masked as %q", s, m)
		}
	})
}
