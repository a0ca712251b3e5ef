package api

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
)

func mustDecoder[T any](tb testing.TB) decoder[T] {
	tb.Helper()
	d, err := newDecoder[T]()
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func TestDecoderReadsEveryType(t *testing.T) {
	d := mustDecoder[postBody](t)
	for name, body := range everyType() {
		t.Run(name, func(t *testing.T) {
			got, errs, err := d.decode([]byte(body))
			if err != nil || len(errs) > 0 {
				t.Fatalf("%v %v", err, errs)
			}
			want := new(postBody)
			if err := json.Unmarshal([]byte(body), want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("differs from encoding/json (-want +got):\n%s", diff)
			}
			v := got.judge(&gateway.Account{ID: "shop-eu", TTL: time.Hour, OnUnknown: gateway.HoldUnknown}, noon)
			if len(v.errs) > 0 {
				t.Errorf("refused: %v", v.errs)
			}
		})
	}
}

// everyType is one sound post of each type.
func everyType() map[string]string {
	return map[string]string{
		"text":     text(`"metadata":{"a":"1"},"reference":"r"`),
		"image":    sending("image", `{"link":"https://a.example/a.png","caption":"c"}`),
		"video":    sending("video", `{"id":"1"}`),
		"audio":    sending("audio", `{"id":"1","voice":true}`),
		"document": sending("document", `{"id":"1","filename":"a.pdf"}`),
		"sticker":  sending("sticker", `{"id":"1"}`),
		"location": sending("location", `{"latitude":55.7,"longitude":"12.5","name":"n","address":"a"}`),
		"contacts": sending("contacts", `[{"name":{"formatted_name":"A"},"phones":[{"phone":"+1"}],"org":{"company":"C"},"birthday":"2000-01-31"}]`),
		"reaction": sending("reaction", `{"message_id":"wamid.1","emoji":"👍"}`),
		"a button": sending("interactive", `{"type":"button","body":{"text":"?"},"action":{"buttons":[{"type":"reply","reply":{"id":"a","title":"A"}}]}}`),
		"a flow":   sending("interactive", `{"type":"flow","body":{"text":"?"},"action":{"name":"flow","parameters":{"flow_cta":"Go","flow_id":"1","x":[1,{"y":null}]}}}`),
		"template": sending("template", `{"name":"t","language":{"code":"en"},"components":[{"type":"button","sub_type":"url","index":"0","parameters":[{"type":"text","text":"x"}]},`+
			`{"type":"body","parameters":[{"type":"currency","currency":{"fallback_value":"1","code":"EUR","amount_1000":-1000}}]}]}`),
	}
}

func TestRawValuesAreReadInOneForm(t *testing.T) {
	type T struct {
		Raw json.RawMessage `json:"raw"`
	}
	d := mustDecoder[T](t)
	for _, tc := range []struct{ name, in, want string }{
		{"members by name, without space", `{"raw": { "b" : [ 1 , 2 ] , "a" : { } } }`, `{"a":{},"b":[1,2]}`},
		{"escapes only where needed", `{"raw":"\u0041\/\u00e5\"\\\n"}`, `"A/å\"\\\u000a"`},
		{"numbers as they were typed", `{"raw":[1.50,1e400,-0]}`, `[1.50,1e400,-0]`},
		{"literals", `{"raw":[true,false,null]}`, `[true,false,null]`},
		{"nothing", `{"raw":[]}`, `[]`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, errs, err := d.decode([]byte(tc.in))
			if err != nil || len(errs) > 0 {
				t.Fatalf("%v %v", err, errs)
			}
			if string(got.Raw) != tc.want {
				t.Errorf("got %s, want %s", got.Raw, tc.want)
			}
		})
	}
}

func TestNestingIsBoundedBesideItsStrings(t *testing.T) {
	within := `{"raw":` + strings.Repeat("[", maxDepth-1) + `"` + strings.Repeat(`[\"`, 100) + `"` + strings.Repeat("]", maxDepth-1) + `}`
	d := mustDecoder[struct {
		Raw json.RawMessage `json:"raw"`
	}](t)
	if _, errs, err := d.decode([]byte(within)); err != nil || len(errs) > 0 {
		t.Errorf("%v %v", err, errs)
	}
	if _, _, err := d.decode([]byte(strings.Replace(within, "[", "[[", 1))); err == nil {
		t.Error("deeper than the limit and read")
	}
}

func TestShapesAreKnownWhenBuilt(t *testing.T) {
	if _, err := newDecoder[struct {
		C chan int `json:"c"`
	}](); err == nil {
		t.Error("a channel has a shape")
	}
	if _, err := newDecoder[[]string](); err == nil {
		t.Error("a list was taken for an object")
	}
	if _, err := shapeOf(reflect.TypeFor[postBody]()); err != nil {
		t.Error(err)
	}
}

func FuzzDecodePost(f *testing.F) {
	for _, body := range everyType() {
		f.Add([]byte(body))
	}
	for _, body := range []string{
		``, `{}`, `[]`, `{"a":1,"a":2}`, `{"text":{"body":"\ud83d\ude00\ud83d"}}`, `{"metadata":{"":"\u0000"}}`, "{\"to\":\"\xff\"}",
		`{"template":{"components":[{"index":1e3},null]}}`, `{"location":{"latitude":"NaN","longitude":"0x1p4"}}`,
		`{"interactive":{"action":{"parameters":{"b":"<\u2028>","a":[1e999,{}]}}}}`, `{"contacts":[],"metadata":{}} `,
	} {
		f.Add([]byte(body))
	}
	d := mustDecoder[postBody](f)
	account := gateway.Account{ID: "shop-eu", TTL: time.Hour, OnUnknown: gateway.HoldUnknown}
	f.Fuzz(func(t *testing.T, body []byte) {
		first, errs, err := d.decode(body)
		if err != nil || len(errs) > 0 {
			return
		}
		if !json.Valid(body) {
			t.Fatal("read what isn't JSON")
		}
		again := encode(t, first)
		second, errs, err := d.decode(again)
		if err != nil || len(errs) > 0 {
			t.Fatalf("its own form %s is refused: %v %v", again, errs, err)
		}
		if got := encode(t, second); string(got) != string(again) {
			t.Fatalf("re-encodes as\n%s\nand then as\n%s", again, got)
		}
		first.judge(&account, noon)
		second.judge(&account, noon)
		a, errA := first.hash()
		b, errB := second.hash()
		if errA != nil || errB != nil || a != b {
			t.Fatalf("hashes differ: %v %v", errA, errB)
		}
	})
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
