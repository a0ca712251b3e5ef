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
