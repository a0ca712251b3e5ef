package gateway

import (
	"slices"
	"strings"
	"time"
	"unicode"
)

// Suppressed is one entry of an account's do-not-send list.
type Suppressed struct {
	Account   AccountID
	Recipient Recipient
	Scope     SuppressionScope
	Reason    string
	CreatedAt time.Time
	Until     time.Time // zero: until it is removed
}

// Standing is what is known of a recipient when a message to them is about to
// be sent.
type Standing struct {
	Suppressed  []Suppressed
	LastInbound time.Time // zero: nothing was heard within a service window's time
}

// How long a service window stays open after a recipient wrote (the providers'
// 24 hours), and how much of it is left out because a send takes its time.
const (
	ServiceWindow = 24 * time.Hour
	WindowMargin  = 5 * time.Minute
)

// Refuse says why a message may not be sent to a recipient of this standing,
// or nil. A suppression of marketing stops bulk messages.
func (s *Standing) Refuse(a *Account, m *Message, now time.Time) *Error {
	for _, entry := range s.Suppressed {
		if !entry.Until.IsZero() && !entry.Until.After(now) {
			continue
		}
		switch entry.Scope {
		case SuppressAll:
			return &Error{Class: ClassSuppression, Code: "suppressed", Title: "the recipient is on the do-not-send list", Detail: entry.Reason}
		case SuppressMarketing:
			if m.Priority == Bulk {
				return &Error{Class: ClassSuppression, Code: "suppressed_marketing", Title: "the recipient doesn't want marketing", Detail: entry.Reason}
			}
		case SuppressCooldown:
			return &Error{Class: ClassSuppression, Code: "cooldown", Title: "the recipient is left alone for a while", Detail: entry.Reason}
		}
	}
	if a.NeedsWindow && m.Content.Type != TypeTemplate && !s.Open(now) {
		return &Error{Class: ClassWindow, Code: "outside_window", Title: "the recipient hasn't written within 24 hours, and only templates may be sent then"}
	}
	return nil
}

// Open reports whether a service window is known to be open, and for a while
// yet.
func (s *Standing) Open(now time.Time) bool {
	return now.Before(s.LastInbound.Add(ServiceWindow - WindowMargin))
}

// DefaultOptOutWords are taken as "stop" where an account names none: STOP and
// its usual translations.
func DefaultOptOutWords() []string {
	return []string{
		"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "OPTOUT", "REVOKE",
		"STOPP", "AVSLUTA", "ABMELDEN", "ARRET", "ARRÊT", "STOPPER", "BAJA", "PARAR", "ALTO", "SAIR", "CANCELAR",
		"FERMA", "DISDICI", "AFMELDEN", "REZYGNUJE", "REZYGNUJĘ", "LOPETA", "AVMELD", "AFMELD",
		"СТОП", "ΣΤΟΠ", "توقف", "停止", "退订", "배달중지", "DUR", "İPTAL",
	}
}

// startWords undo a stop.
var startWords = []string{"START", "UNSTOP", "RESUME"}

// ReadConsent says what a recipient's text means: exactly one of the words,
// whatever its case and the punctuation around it. words are the account's
// opt-out words; none means the default ones.
func ReadConsent(text string, words []string) Consent {
	said := canonicalWord(text)
	if said == "" {
		return ""
	}
	if len(words) == 0 {
		words = DefaultOptOutWords()
	}
	same := func(word string) bool { return canonicalWord(word) == said }
	switch {
	case slices.ContainsFunc(words, same):
		return ConsentStop
	case slices.ContainsFunc(startWords, same):
		return ConsentStart
	}
	return ""
}

// canonicalWord folds case and drops all but letters, digits and the marks on
// them.
func canonicalWord(s string) string {
	const longest = 64 // bytes; nobody opts out in a longer text
	if len(s) > longest {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) {
			return unicode.ToLower(unicode.ToUpper(r))
		}
		return -1
	}, s)
}
