package simulator

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	_ "image/jpeg" // decodes the sample
	_ "image/png"  // decodes the sample
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheLedgerTellsWhatArrivedAndWhen(t *testing.T) {
	now := time.Unix(1_800_000_000, 123_456_789)
	s := start(t, Options{Now: func() time.Time { return now }}, &gateway{})
	body := cloudTextTo("+16505551234")
	hash := sha256.Sum256([]byte(body))
	var accepted struct{ Messages []struct{ ID string } }
	decode(t, sendCloud(t, s, body).body, &accepted)
	now = now.Add(time.Second)
	twins := sendSinch(t, s, `{"to":["46732001122","46732000013"],"message":{"type":"text","text":"Hello"}}`)
	ids := ulid.FindAllString(twins.body, -1)
	sinchHash := sha256.Sum256([]byte(`{"to":["46732001122","46732000013"],"message":{"type":"text","text":"Hello"}}`))

	var page Page
	diff(t, "status", control(t, s, http.MethodGet, "/messages", "", &page), http.StatusOK)
	second := time.Unix(1_800_000_001, 123_456_789).UTC()
	diff(t, "page", page, Page{Next: 3, Messages: []Entry{
		{
			Sequence: 1, ReceivedAt: time.Unix(1_800_000_000, 123_456_789).UTC(), ReceivedNS: 1_800_000_000_123_456_789, Account: "cloud", Recipient: "16505551234",
			Type: "text", Correlation: "m-1", MessageID: accepted.Messages[0].ID, RequestHash: hex.EncodeToString(hash[:]), Outcome: OutcomeAnswered,
		},
		{
			Sequence: 2, ReceivedAt: second, ReceivedNS: 1_800_000_001_123_456_789, Account: "sinch", Recipient: "46732001122",
			Type: "text", MessageID: ids[0], RequestHash: hex.EncodeToString(sinchHash[:]), Outcome: OutcomeAnswered,
		},
		{
			Sequence: 3, ReceivedAt: second, ReceivedNS: 1_800_000_001_123_456_789, Account: "sinch", Recipient: "46732000013",
			Type: "text", MessageID: ids[1], RequestHash: hex.EncodeToString(sinchHash[:]), Outcome: OutcomeFailed,
		},
	}})

	for _, tt := range []struct {
		query string
		want  []uint64
		next  uint64
	}{
		{"since=1", []uint64{2, 3}, 3},
		{"limit=2", []uint64{1, 2}, 2},
		{"since=2&limit=2", []uint64{3}, 3},
		{"since=3", nil, 3},
		{"since=99", nil, 99},
		{"account=sinch", []uint64{2, 3}, 3},
		{"account=nobody", nil, 3},
		{"recipient=16505551234", []uint64{1}, 3},
		{"recipient=%2B16505551234", []uint64{1}, 3},
		{"recipient=+16505551234", []uint64{1}, 3},
		{"correlation=m-1", []uint64{1}, 3},
		{"message_id=" + url.QueryEscape(ids[1]), []uint64{3}, 3},
	} {
		var page Page
		control(t, s, http.MethodGet, "/messages?"+tt.query, "", &page)
		var got []uint64
		for _, e := range page.Messages {
			got = append(got, e.Sequence)
		}
		diff(t, tt.query, got, tt.want)
		diff(t, tt.query+": next", page.Next, tt.next)
	}
	for _, query := range []string{"since=x", "since=-1", "limit=0", "limit=10001", "limit=many"} {
		diff(t, query, control(t, s, http.MethodGet, "/messages?"+query, "", nil), http.StatusBadRequest)
	}
}

func TestStampsAreTheWholeLedgerWithoutPages(t *testing.T) {
	now := time.Unix(1_800_000_000, 123_456_789)
	s := start(t, Options{Now: func() time.Time { return now }}, &gateway{})
	stamps := func(query string) string {
		got := do(t, s, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/_sim/stamps"+query, nil))
		diff(t, "type of "+query, got.header.Get("Content-Type"), "application/x-ndjson")
		return got.body
	}
	diff(t, "of nothing", stamps(""), "")
	sendCloud(t, s, cloudTextTo("+16505551234"))
	now = now.Add(time.Second)
	sendSinch(t, s, sinchTextTo("46732001122"))
	first := `{"sequence":1,"received_ns":1800000000123456789,"account":"cloud","correlation":"m-1"}` + "\n"
	second := `{"sequence":2,"received_ns":1800000001123456789,"account":"sinch","correlation":""}` + "\n"
	diff(t, "all", stamps(""), first+second)
	diff(t, "after the first", stamps("?since=1"), second)
	diff(t, "after the last", stamps("?since=2"), "")
	diff(t, "a since that is no sequence", control(t, s, http.MethodGet, "/stamps?since=x", "", nil), http.StatusBadRequest)
}

func TestTheLedgerForgetsTheOldest(t *testing.T) {
	l := newLedger(2 * chunkSize)
	acc := newAccount(cloudAccount(), nil, 0, time.Now())
	for i := range 10*chunkSize + 5 {
		l.add(&written{at: time.Unix(int64(i), 0), account: acc, recipient: fmt.Sprint(i), kind: "text", id: "id", correlation: "c", outcome: OutcomeAnswered})
	}
	first, last := l.bounds()
	diff(t, "last", last, uint64(10*chunkSize+5))
	if kept := last - first + 1; kept < 2*chunkSize || kept > 4*chunkSize || len(l.chunks) > 4 {
		t.Errorf("%d messages are kept in %d chunks", kept, len(l.chunks))
	}
	next := first
	l.each(0, []*account{acc}, func(e Entry) bool {
		if e.Sequence != next || e.Recipient != fmt.Sprint(next-1) || e.MessageID != "id" || e.Correlation != "c" {
			t.Fatalf("entry %+v, want sequence %d", e, next)
		}
		next++
		return true
	})
	diff(t, "shown up to", next, last+1)
}

func TestStatsAndReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		s := start(t, Options{}, g)
		sendCloud(t, s, cloudTextTo("+16505551234"))
		sendCloud(t, s, `{}`)
		sendSinch(t, s, sinchTextTo("46732000011"))
		do(t, s, request(t, cloudPath, "stale", "{}"))
		fault(t, s, `{"fault":"throttle"}`)
		sendSinch(t, s, sinchTextTo("46732001122"))
		wait(time.Minute)
		got := do(t, s, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/_sim/stats", nil))
		sameJSON(t, "stats", got.body, `{
			"accounts":[
				{"id":"cloud","dialect":"whatsapp-cloud","rate":0,"requests":2,"accepted":1,"refused":{"invalid":1},"max_per_second":2,"max_granted_per_second":0},
				{"id":"sinch","dialect":"sinch-whatsapp","rate":0,"requests":2,"accepted":0,"refused":{"throttled":1,"unavailable":1},"max_per_second":2,"max_granted_per_second":0}],
			"unauthorized":1,
			"callbacks":{"pending":0,"taken":3,"retried":0,"dropped":0,"overflowed":0},
			"ledger":{"first":1,"last":1}}`)

		diff(t, "reset", control(t, s, http.MethodPost, "/reset", "", nil), http.StatusNoContent)
		got = do(t, s, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/_sim/stats", nil))
		sameJSON(t, "stats after a reset", got.body, `{
			"accounts":[
				{"id":"cloud","dialect":"whatsapp-cloud","rate":0,"requests":0,"accepted":0,"refused":{},"max_per_second":0,"max_granted_per_second":0},
				{"id":"sinch","dialect":"sinch-whatsapp","rate":0,"requests":0,"accepted":0,"refused":{},"max_per_second":0,"max_granted_per_second":0}],
			"unauthorized":0,
			"callbacks":{"pending":0,"taken":0,"retried":0,"dropped":0,"overflowed":0},
			"ledger":{"first":0,"last":0}}`)
		diff(t, "the fault is gone", sendSinch(t, s, sinchTextTo("46732001122")).status, http.StatusCreated)
		diff(t, "…0011 begins anew", sendSinch(t, s, sinchTextTo("46732000011")).status, http.StatusServiceUnavailable)
		diff(t, "…0011 a second time", sendSinch(t, s, sinchTextTo("46732000011")).status, http.StatusServiceUnavailable)
	})
}

func TestInboundMessagesThatMakeNoSenseAreRefused(t *testing.T) {
	deaf := cloudAccount()
	deaf.ID, deaf.SenderID, deaf.CallbackURL = "deaf", "999", ""
	s := start(t, Options{Accounts: []Account{cloudAccount(), deaf}}, &gateway{})
	for body, want := range map[string]int{
		`{"account":"nobody","from":"46732001122","text":"x"}`: http.StatusNotFound,
		`{"account":"cloud","from":"","text":"x"}`:             http.StatusBadRequest,
		`{"account":"cloud","from":"ana","text":"x"}`:          http.StatusBadRequest,
		`{"account":"deaf","from":"46732001122","text":"x"}`:   http.StatusConflict,
		`{"account":"cloud","colour":"red"}`:                   http.StatusBadRequest,
	} {
		diff(t, body, control(t, s, http.MethodPost, "/inbound", body, nil), want)
	}
}

func TestAccountsThatAreTakenOrUnknownAreLeftOut(t *testing.T) {
	same, stranger, nameless := cloudAccount(), cloudAccount(), cloudAccount()
	same.ID = "same-sender"
	stranger.ID, stranger.Dialect = "stranger", "telegram"
	nameless.ID, nameless.SenderID = "", "7"
	s := start(t, Options{Accounts: []Account{cloudAccount(), cloudAccount(), same, stranger, nameless, sinchAccount()}}, &gateway{})
	var ids []string
	for _, a := range s.stats().Accounts {
		ids = append(ids, a.ID)
	}
	diff(t, "accounts", ids, []string{"cloud", "sinch"})
}

func TestMediaSamples(t *testing.T) {
	s := start(t, Options{}, &gateway{})
	get := func(name string) answer {
		return do(t, s, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/_sim/media/"+name, nil))
	}
	for name, want := range map[string]struct{ contentType, sniffed string }{
		"photo.jpg":            {"image/jpeg", "image/jpeg"},
		"photo.png":            {"image/png", "image/png"},
		"clip.mp4":             {"video/mp4", "video/mp4"},
		"paper.pdf":            {"application/pdf", "application/pdf"},
		"sticker.webp":         {"image/webp", "image/webp"},
		"voice.ogg":            {"audio/ogg", "application/ogg"},
		"tune.mp3":             {"audio/mpeg", "audio/mpeg"},
		"big.jpg?bytes=100000": {"image/jpeg", "image/jpeg"},
		"slow?ms=1":            {"image/jpeg", "image/jpeg"},
		"wrong.jpg":            {"image/jpeg", "text/plain; charset=utf-8"},
	} {
		t.Run(name, func(t *testing.T) {
			got := get(name)
			diff(t, "status", got.status, http.StatusOK)
			diff(t, "type", got.header.Get("Content-Type"), want.contentType)
			diff(t, "sniffed", http.DetectContentType([]byte(got.body)), want.sniffed)
			diff(t, "length", got.header.Get("Content-Length"), fmt.Sprint(len(got.body)))
		})
	}
	diff(t, "big", len(get("big.jpg?bytes=100000").body), 100_000)
	for _, name := range []string{"big.jpg", "big.jpg?bytes=1", "big.jpg?bytes=999999999999", "slow", "slow?ms=-1", "slow?ms=99999999"} {
		diff(t, name, get(name).status, http.StatusBadRequest)
	}
	diff(t, "another name", get("tune.wav").status, http.StatusNotFound)

	for _, name := range []string{"photo.jpg", "photo.png"} {
		if m, format, err := image.Decode(strings.NewReader(get(name).body)); err != nil || m.Bounds().Dx() != 64 {
			t.Errorf("%s: %s: %v", name, format, err)
		}
	}
	diff(t, "voice: the page's checksum, worked out with a table", []byte(get("voice.ogg").body)[22:26], []byte{0xcf, 0x5d, 0xe2, 0x18})
	webp := get("sticker.webp").body
	diff(t, "sticker: width and height", [2]int{1 + (int(webp[21]) | int(webp[22]&0x3f)<<8), 1 + (int(webp[22]>>6) | int(webp[23])<<2 | int(webp[24]&0x0f)<<10)}, [2]int{512, 512})
}

func TestASlowFileComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Options{}, &gateway{})
		begin := time.Now()
		do(t, s, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/_sim/media/slow?ms=4000", nil))
		diff(t, "after", time.Since(begin), 4*time.Second)
	})
}
