package localredis

import (
	"testing"
	"time"
)

func TestAnEmbeddedRedisExpiresKeysInRealTime(t *testing.T) {
	e, err := Embed()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	rdb := client(t, e.URL)
	const life = 150 * time.Millisecond
	set := time.Now()
	if err := rdb.Set(t.Context(), "k", "v", life).Err(); err != nil {
		t.Fatal(err)
	}
	await(t, "the key is gone", func() bool { return rdb.Exists(t.Context(), "k").Val() == 0 })
	if lived := time.Since(set); lived < life-2*tick || lived > life+time.Second {
		t.Errorf("a key of %v lived %v", life, lived)
	}
}

func TestAnEmbeddedRedisIsGoneOnceClosed(t *testing.T) {
	e, err := Embed()
	if err != nil {
		t.Fatal(err)
	}
	rdb := client(t, e.URL)
	if err := rdb.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	e.Close()
	if err := rdb.Ping(t.Context()).Err(); err == nil {
		t.Error("it answers after Close")
	}
}
