package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
)

const picture = gateway.FileKey("AAAAAAAAAAAAAAAAAAAAAA")

func (b *bench) file(key gateway.FileKey) gateway.KeptFile {
	b.t.Helper()
	f, err := b.File(b.t.Context(), shop, key)
	b.must(err)
	f.Life = f.Life.Round(time.Minute)
	return f
}

func (b *bench) keepFile(id string, life time.Duration) gateway.KeptFile {
	b.t.Helper()
	f := gateway.KeptFile{Key: picture, ID: id, Version: "v1", Life: life}
	b.must(b.KeepFile(b.t.Context(), shop, f))
	return f
}

// forgottenIn is when a file is forgotten if nobody asks for it.
func (b *bench) forgottenIn() time.Duration {
	b.t.Helper()
	d, err := b.rdb.PTTL(b.t.Context(), redisdb.Key(shop.Tag(), "f:"+string(picture))).Result()
	b.must(err)
	return d.Round(time.Minute)
}

func TestAFileIsKeptUnderItsKey(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		if f := b.file(picture); f != (gateway.KeptFile{}) {
			t.Errorf("nobody uploaded it, and it is %+v", f)
		}
		first := b.keepFile("an id with spaces and !", 24*time.Hour)
		if d := cmp.Diff(first, b.file(picture)); d != "" {
			t.Errorf("kept (-want +got):\n%s", d)
		}
		if f := b.file("BBBBBBBBBBBBBBBBBBBBBB"); f.ID != "" {
			t.Errorf("another file is %+v", f)
		}
		second := b.keepFile("id-2", 24*time.Hour)
		for range 2 {
			b.must(b.DropFile(b.t.Context(), shop, first)) // a slow call named it
			if d := cmp.Diff(second, b.file(picture)); d != "" {
				t.Errorf("the newer one (-want +got):\n%s", d)
			}
		}
		for range 2 {
			b.must(b.DropFile(b.t.Context(), shop, second))
			if f := b.file(picture); f.ID != "" {
				t.Errorf("dropped, it is %+v", f)
			}
		}
		unversioned := gateway.KeptFile{Key: picture, ID: "id-3", Life: time.Hour}
		b.must(b.KeepFile(b.t.Context(), shop, unversioned))
		if d := cmp.Diff(unversioned, b.file(picture)); d != "" {
			t.Errorf("without a version (-want +got):\n%s", d)
		}
	})
}

// Records are kept for two hours here.
func TestAFileThatNobodyAsksForIsForgottenWithTheRecords(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.keepFile("id-1", 24*time.Hour)
		if d := b.forgottenIn(); d != 2*time.Hour {
			t.Errorf("forgotten in %v", d)
		}
		b.must(b.rdb.PExpire(t.Context(), redisdb.Key(shop.Tag(), "f:"+string(picture)), time.Hour).Err())
		if f := b.file(picture); f.Life != 24*time.Hour {
			t.Errorf("its life ends in %v", f.Life)
		}
		if d := b.forgottenIn(); d != 2*time.Hour {
			t.Errorf("asked for, it is forgotten in %v", d)
		}
		b.keepFile("id-2", time.Hour)
		b.file(picture)
		if d := b.forgottenIn(); d != time.Hour {
			t.Errorf("one whose id expires in an hour is forgotten in %v", d)
		}
		for _, life := range []time.Duration{0, -time.Hour} {
			b.keepFile("id-3", life)
			if f := b.file(picture); f.ID != "" {
				t.Errorf("it has expired, and is %+v", f)
			}
		}
	})
}

func TestALostFileIsDroppedByTheReceiptThatSaysSo(t *testing.T) {
	for _, c := range []struct {
		name    string
		receipt gateway.Receipt // without its message
		byID    bool            // ours
		early   bool            // it comes before the record
		failed  bool            // the message has failed already
		newer   bool            // the file was uploaded again meanwhile
		want    string
	}{
		{name: "by our id", receipt: gateway.Receipt{LostFile: true}, byID: true},
		{name: "by the provider's id", receipt: gateway.Receipt{LostFile: true, ProviderMessageID: "wamid.1"}},
		{name: "before the send is recorded", receipt: gateway.Receipt{LostFile: true, ProviderMessageID: "wamid.1"}, early: true},
		{name: "a second time", receipt: gateway.Receipt{LostFile: true, ProviderMessageID: "wamid.1"}, failed: true},
		{name: "not by another failure", receipt: gateway.Receipt{ProviderMessageID: "wamid.1"}, want: "id-1"},
		{name: "nor by one before the send is recorded", receipt: gateway.Receipt{ProviderMessageID: "wamid.1"}, early: true, want: "id-1"},
		{name: "nor one that was uploaded since", receipt: gateway.Receipt{LostFile: true, ProviderMessageID: "wamid.1"}, newer: true, want: "id-2"},
		{name: "nor by another message's", receipt: gateway.Receipt{LostFile: true, ProviderMessageID: "wamid.2"}, want: "id-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, b *bench) {
				f := b.keepFile("id-1", time.Hour)
				m := b.accept(text("+46732001122", "x"))
				in := b.intent(m.ID, 0, "n")
				in.Files = []gateway.KeptFile{{Key: "BBBBBBBBBBBBBBBBBBBBBB", ID: "id-9"}, f}
				for range 2 {
					if v, _, err := b.Begin(t.Context(), in); v != gateway.VerdictBegun || err != nil {
						t.Fatal(v, err)
					}
				}
				r := c.receipt
				r.Status, r.Error = gateway.StatusFailed, &gateway.Error{Class: gateway.ClassPermanent, Code: "131053"}
				if c.byID {
					r.Message = m.ID
				}
				if c.early {
					b.receipt(r)
				}
				b.record(yes(m, "n", "wamid.1"))
				if c.failed {
					b.receipt(gateway.Receipt{ProviderMessageID: "wamid.1", Status: gateway.StatusFailed, Error: r.Error})
				}
				if c.newer {
					b.keepFile("id-2", time.Hour)
				}
				if !c.early {
					b.receipt(r)
				}
				if got := b.file(picture).ID; got != c.want {
					t.Errorf("the file is %q, want %q", got, c.want)
				}
				if got := b.get(m.ID); c.receipt.ProviderMessageID != "wamid.2" && (got.Status != gateway.StatusFailed || got.Error.Code != "131053") {
					t.Errorf("the message is %s, %v", got.Status, got.Error)
				}
			})
		})
	}
}
