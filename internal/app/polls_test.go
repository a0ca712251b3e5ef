package app

import "testing"

func TestWhoseMessagesAreAskedAfter(t *testing.T) {
	d := directory(t, `
accounts:
  - {id: asked, provider: whatsapp-v2, access_token: a}
  - {id: reports, provider: whatsapp-v2, access_token: b, app_secret: s, sender: "+15550001111"}
  - {id: cannot, provider: whatsapp-cloud, phone_number_id: "1", access_token: t}
`)
	if !d.polls("asked") || d.polls("reports") || d.polls("cannot") || d.polls("left") {
		t.Errorf("asked %v, reports %v, cannot %v, left %v", d.polls("asked"), d.polls("reports"), d.polls("cannot"), d.polls("left"))
	}
	if d.retired("left").poller() != nil {
		t.Error("one that left the configuration is asked")
	}
}

func TestWhoseUnknownMessagesAreLookedFor(t *testing.T) {
	d := directory(t, `
accounts:
  - {id: lists, provider: sinch-conversation, region: eu, project_id: p, app_id: a, key_id: k, key_secret: s}
  - {id: cannot, provider: sinch-whatsapp, region: eu1, bot_id: b, token: t}
`)
	if !d.lookups("lists") || d.lookups("cannot") || d.lookups("left") || d.polls("lists") {
		t.Errorf("lists %v, cannot %v, left %v; asked for a status %v", d.lookups("lists"), d.lookups("cannot"), d.lookups("left"), d.polls("lists"))
	}
	if d.retired("left").finder() != nil {
		t.Error("one that left the configuration is asked")
	}
}
