package api

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
)

// fuzzedBody is the body of a fuzz target for a small request: what is wrong
// with it is said in bounds, and twice the same is read.
func fuzzedBody[T any](t *testing.T, d decoder[T], body []byte) (v *T, sound bool) {
	t.Helper()
	before := string(body)
	v, errs, err := d.decode(body)
	again, errsAgain, errAgain := d.decode(body)
	if string(body) != before {
		t.Error("the body was changed")
	}
	if diff := cmp.Diff(v, again) + cmp.Diff(errs, errsAgain); diff != "" || (err == nil) != (errAgain == nil) {
		t.Errorf("read twice, it differs: %s (%v, %v)", diff, err, errAgain)
	}
	if len(errs) > maxErrors {
		t.Errorf("%d errors", len(errs))
	}
	for _, e := range errs {
		if e.Message == "" || !utf8.ValidString(e.Field) || utf8.RuneCountInString(e.Field) > maxDepth*(maxShownName+8) {
			t.Errorf("error of field %.200q: %q", e.Field, e.Message)
		}
	}
	return v, err == nil && len(errs) == 0
}

func FuzzDecodePause(f *testing.F) {
	f.Add([]byte(`{"priority":"bulk"}`))
	d := mustDecoder[pauseBody](f)
	f.Fuzz(func(t *testing.T, body []byte) { fuzzedBody(t, d, body) })
}

// An entry that is taken has a scope there is, and ends in time or never.
func FuzzDecodeSuppression(f *testing.F) {
	f.Add([]byte(`{"account":"shop-eu","scope":"cooldown","reason":"asked us to","until":"2027-01-01T00:00:00Z"}`))
	d := mustDecoder[suppressBody](f)
	f.Fuzz(func(t *testing.T, body []byte) {
		v, sound := fuzzedBody(t, d, body)
		if !sound {
			return
		}
		e, errs := v.judge(noon)
		if len(errs) > 0 {
			return
		}
		if !isScope(e.Scope) || e.Reason == "" || utf8.RuneCountInString(e.Reason) > maxReason {
			t.Errorf("taken: %+v", e)
		}
		if !e.Until.IsZero() && (!e.Until.After(noon) || e.Until.After(noon.AddDate(maxSuppressed, 0, 0).Add(time.Second))) {
			t.Errorf("until %v", e.Until)
		}
	})
}

// A cursor that is taken is written as it was given, and leads to an account.
func FuzzParsePlace(f *testing.F) {
	f.Add(place{account: "shop-eu"}.String())
	f.Add(place{account: "shop-eu", after: "+46732001122 a"}.String())
	for _, s := range []string{"", " ", "====", "c2hvcC1ldQ", "c2hvcC1ldSA=", "c2hvcC1ldSB\n", "c2hvcC1ldSAA", "Li4vb3BzIGE", strings.Repeat("A", maxCursor+1)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		at, ok := parsePlace(cursor)
		if !ok {
			if at != (place{}) {
				t.Errorf("%q: %+v", cursor, at)
			}
			return
		}
		if !at.account.Valid() || !printable(at.after) || len(at.after) > maxCursor {
			t.Errorf("%q leads to %+v", cursor, at)
		}
		if again, ok := parsePlace(at.String()); !ok || again != at {
			t.Errorf("%q is %+v, and that %+v", cursor, at, again)
		}
	})
}

// Whatever stands in a query, each filter that is set is one that can be looked
// for, and what is wrong is said of its parameter.
func FuzzQuery(f *testing.F) {
	for _, raw := range []string{
		"account=shop-eu&status=queued&to=%2B46732001122&reference=order-4711&limit=50", "to=+46732001122", "since=2026-11-21T09:00:00Z&cursor=abc",
		"limit=1&limit=2", "limit=-1", "limit=99999999999999999999", "since=9999-12-31T23:59:59-23:59", "cursor=%00", "%zz", "a;b", "status=", "x=1",
		"batch=0123456789abcdefghjkmnpqrstvwxyz",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var q gateway.Query
		faults, err := readQuery(raw, func(name, value string) string { return setFilter(&q, name, value) })
		if err != nil {
			if _, ok := errors.AsType[*problem](err); !ok {
				t.Errorf("%q: %v", raw, err)
			}
			return
		}
		for _, e := range faults {
			if e.Message == "" || utf8.RuneCountInString(e.Field) > maxShownName+1 {
				t.Errorf("%q: %+v", raw, e)
			}
		}
		if len(faults) > 0 {
			return
		}
		switch _, err := gateway.ParseRecipient(string(q.Recipient)); {
		case q.Recipient != "" && err != nil, q.Status != "" && !q.Status.Valid(), q.Batch != "" && !q.Batch.Valid(),
			q.Limit < 0 || q.Limit > maxLimit, len(q.Cursor) > maxCursor || !printable(q.Cursor):
			t.Errorf("%q is taken as %+v", raw, q)
		}
	})
}
