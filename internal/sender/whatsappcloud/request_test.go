package whatsappcloud_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/providertest"
	"sluice/internal/sender/whatsappcloud"
)

// What the golden cases of the Cloud API reference are addressed from.
const (
	phoneNumberID = "106540352242922"
	accessToken   = "EAATOKEN"
	appSecret     = "test_app_secret_0123456789abcdef"
	nextSecret    = "next_app_secret_0123456789abcdef"
	verifyToken   = "verify-me-0123456789"
)

func settings(baseURL string) whatsappcloud.Settings {
	return whatsappcloud.Settings{
		BaseURL: baseURL, PhoneNumberID: phoneNumberID, AccessToken: accessToken,
		AppSecrets: []string{appSecret, nextSecret}, VerifyToken: verifyToken,
	}
}

func TestProvider(t *testing.T) {
	providertest.Run(t, providertest.Suite{
		New:      func(baseURL string) sender.Provider { return whatsappcloud.New(settings(baseURL)) },
		Requests: requestCases(t),
		Refused:  refusedCases(t),
		Answers:  answerCases(),
		Secrets:  []string{accessToken, appSecret, nextSecret, verifyToken},
	})
}

// The suite compares requests by value; here every byte counts, so that
// escapes, doubled members and spare white space show.
func TestRequestBytes(t *testing.T) {
	for _, c := range requestCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			req, err := whatsappcloud.New(settings("")).NewRequest(t.Context(), sender.Call{Message: &c.Message, ReplyTo: c.ReplyTo, Attempt: max(c.Attempt, 1)})
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(req.Body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.WantBody, string(body)); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

// The longest callback data stays below what Meta once allowed.
func TestCallbackDataIsShort(t *testing.T) {
	m := providertest.Message(t, `{"type":"text","text":{"body":"Hello"}}`)
	m.ID = gateway.NewMessageID("shop-eu", time.Now())
	req, err := whatsappcloud.New(settings("")).NewRequest(t.Context(), sender.Call{Message: &m, Attempt: math.MaxInt})
	if err != nil {
		t.Fatal(err)
	}
	var body struct {
		Data string `json:"biz_opaque_callback_data"`
	}
	if err := json.NewDecoder(req.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(body.Data, string(m.ID)) || len(body.Data) > 256 {
		t.Errorf("callback data %q", body.Data)
	}
}

func TestPrintingShowsNoSecret(t *testing.T) {
	p := whatsappcloud.New(settings(""))
	var logged strings.Builder
	slog.New(slog.NewTextHandler(&logged, nil)).Info("made", "provider", p)
	for _, printed := range []string{fmt.Sprintf("%v %+v %s", p, p, p), logged.String()} {
		for _, secret := range []string{accessToken, appSecret, nextSecret, verifyToken} {
			if strings.Contains(printed, secret) {
				t.Errorf("%q shows a secret", printed)
			}
		}
	}
}

func TestDefaultBaseURL(t *testing.T) {
	m := providertest.Message(t, `{"type":"text","text":{"body":"Hello"}}`)
	req, err := whatsappcloud.New(settings("")).NewRequest(t.Context(), sender.Call{Message: &m, Attempt: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := req.URL.String(), "https://graph.facebook.com/v23.0/106540352242922/messages"; got != want {
		t.Errorf("URL %s, want %s", got, want)
	}
	if req.Method != http.MethodPost {
		t.Errorf("method %s", req.Method)
	}
}

// requestCases are the golden cases S3-01 to S3-20 of the reference, named as
// there, without those that aren't messages, and what they leave out.
func requestCases(t *testing.T) []providertest.RequestCase {
	t.Helper()
	cases := []struct{ name, content, want string }{
		{
			"S3-04 image by id with caption",
			`{"type":"image","image":{"id":"1037543291543636","caption":"Sale"}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"image","image":{"id":"1037543291543636","caption":"Sale"}}`,
		},
		{
			"S3-05 video by link",
			`{"type":"video","video":{"link":"https://cdn.example.com/v.mp4"}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"video","video":{"link":"https://cdn.example.com/v.mp4"}}`,
		},
		{
			"S3-06 document by link with file name and caption",
			`{"type":"document","document":{"link":"https://cdn.example.com/i.pdf","filename":"Invoice 7.pdf","caption":"Invoice"}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"document","document":{"link":"https://cdn.example.com/i.pdf","caption":"Invoice","filename":"Invoice 7.pdf"}}`,
		},
		{
			"S3-07 voice message",
			`{"type":"audio","audio":{"id":"99","voice":true}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"audio","audio":{"id":"99","voice":true}}`,
		},
		{
			"audio that is no voice message",
			`{"type":"audio","audio":{"id":"99"}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"audio","audio":{"id":"99"}}`,
		},
		{
			"S3-08 sticker",
			`{"type":"sticker","sticker":{"id":"77"}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"sticker","sticker":{"id":"77"}}`,
		},
		{
			"S3-09 location, its numbers as strings",
			`{"type":"location","location":{"latitude":37.44216,"longitude":-122.16153,"name":"Philz Coffee","address":"101 Forest Ave"}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"location","location":{"latitude":"37.44216","longitude":"-122.16153","name":"Philz Coffee","address":"101 Forest Ave"}}`,
		},
		{
			"S3-10 contacts",
			`{"type":"contacts","contacts":[{"name":{"formatted_name":"Barbara Johnson"},"phones":[{"phone":"+16505559999","wa_id":"16505559999"}]}]}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"contacts","contacts":[{"name":{"formatted_name":"Barbara Johnson"},"phones":[{"phone":"+16505559999","wa_id":"16505559999"}]}]}`,
		},
		{
			"S3-11 reaction",
			`{"type":"reaction","reaction":{"message_id":"wamid.IN2","emoji":"👍"}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"reaction","reaction":{"message_id":"wamid.IN2","emoji":"👍"}}`,
		},
		{
			"a reaction taken back keeps its empty emoji",
			`{"type":"reaction","reaction":{"message_id":"wamid.IN2","emoji":""}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"reaction","reaction":{"message_id":"wamid.IN2","emoji":""}}`,
		},
		{
			"S3-12 buttons under an image",
			`{"type":"interactive","interactive":{"type":"button","header":{"type":"image","image":{"id":"2762"}},"body":{"text":"Reschedule?"},"footer":{"text":"Thanks"},"action":{"buttons":[{"type":"reply","reply":{"id":"change","title":"Change"}},{"type":"reply","reply":{"id":"cancel","title":"Cancel"}}]}}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"interactive","interactive":{"type":"button","header":{"type":"image","image":{"id":"2762"}},"body":{"text":"Reschedule?"},"footer":{"text":"Thanks"},"action":{"buttons":[{"type":"reply","reply":{"id":"change","title":"Change"}},{"type":"reply","reply":{"id":"cancel","title":"Cancel"}}]}}}`,
		},
		{
			"S3-13 list",
			`{"type":"interactive","interactive":{"type":"list","body":{"text":"Which option?"},"action":{"button":"Options","sections":[{"title":"Fast","rows":[{"id":"p1","title":"Express","description":"1 day"}]},{"title":"Slow","rows":[{"id":"p2","title":"Ground"}]}]}}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"interactive","interactive":{"type":"list","body":{"text":"Which option?"},"action":{"button":"Options","sections":[{"title":"Fast","rows":[{"id":"p1","title":"Express","description":"1 day"}]},{"title":"Slow","rows":[{"id":"p2","title":"Ground"}]}]}}}`,
		},
		{
			"S3-14 call to action",
			`{"type":"interactive","interactive":{"type":"cta_url","body":{"text":"Tap for dates"},"action":{"name":"cta_url","parameters":{"display_text":"See Dates","url":"https://example.com/d?x=1"}}}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"interactive","interactive":{"type":"cta_url","body":{"text":"Tap for dates"},"action":{"name":"cta_url","parameters":{"display_text":"See Dates","url":"https://example.com/d?x=1"}}}}`,
		},
		{
			"S3-15 flow",
			`{"type":"interactive","interactive":{"type":"flow","body":{"text":"Book"},"action":{"name":"flow","parameters":{"flow_message_version":"3","flow_id":"123456","flow_cta":"Book now","flow_token":"t-1","flow_action":"navigate","flow_action_payload":{"screen":"BOOKING","data":{"k":"v"}}}}}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"interactive","interactive":{"type":"flow","body":{"text":"Book"},"action":{"name":"flow","parameters":{"flow_message_version":"3","flow_id":"123456","flow_cta":"Book now","flow_token":"t-1","flow_action":"navigate","flow_action_payload":{"screen":"BOOKING","data":{"k":"v"}}}}}}`,
		},
		{
			"S3-16 location request",
			`{"type":"interactive","interactive":{"type":"location_request_message","body":{"text":"Where are you?"},"action":{"name":"send_location","parameters":null}}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"interactive","interactive":{"type":"location_request_message","body":{"text":"Where are you?"},"action":{"name":"send_location"}}}`,
		},
		{
			"S3-17 template without variables",
			`{"type":"template","template":{"name":"hello_world","language":{"code":"en_US"}}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"template","template":{"name":"hello_world","language":{"code":"en_US"}}}`,
		},
		{
			"template with a language policy",
			`{"type":"template","template":{"name":"hello_world","language":{"code":"en_US","policy":"deterministic"}}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"template","template":{"name":"hello_world","language":{"code":"en_US","policy":"deterministic"}}}`,
		},
		{
			"S3-18 template with header, named variables and buttons",
			`{"type":"template","template":{"name":"order_update","language":{"code":"en_US"},"components":[{"type":"header","parameters":[{"type":"image","image":{"id":"1037"}}]},{"type":"body","parameters":[{"type":"text","parameter_name":"first_name","text":"Ana"},{"type":"text","parameter_name":"order","text":"77"}]},{"type":"button","sub_type":"quick_reply","index":0,"parameters":[{"type":"payload","payload":"TRACK-77"}]},{"type":"button","sub_type":"url","index":"1","parameters":[{"type":"text","text":"o/77"}]}]}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"template","template":{"name":"order_update","language":{"code":"en_US"},"components":[{"type":"header","parameters":[{"type":"image","image":{"id":"1037"}}]},{"type":"body","parameters":[{"type":"text","parameter_name":"first_name","text":"Ana"},{"type":"text","parameter_name":"order","text":"77"}]},{"type":"button","sub_type":"quick_reply","index":"0","parameters":[{"type":"payload","payload":"TRACK-77"}]},{"type":"button","sub_type":"url","index":"1","parameters":[{"type":"text","text":"o/77"}]}]}}`,
		},
		{
			"S3-19 one-time password, the code twice",
			`{"type":"template","template":{"name":"login_code","language":{"code":"en_US"},"components":[{"type":"body","parameters":[{"type":"text","text":"J$FpnYnP"}]},{"type":"button","sub_type":"url","index":0,"parameters":[{"type":"text","text":"J$FpnYnP"}]}]}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"template","template":{"name":"login_code","language":{"code":"en_US"},"components":[{"type":"body","parameters":[{"type":"text","text":"J$FpnYnP"}]},{"type":"button","sub_type":"url","index":"0","parameters":[{"type":"text","text":"J$FpnYnP"}]}]}}`,
		},
		{
			"S3-20 coupon",
			`{"type":"template","template":{"name":"coupon","language":{"code":"en_US"},"components":[{"type":"body","parameters":[{"type":"text","text":"Ana"}]},{"type":"button","sub_type":"copy_code","index":1,"parameters":[{"type":"coupon_code","coupon_code":"25OFF"}]}]}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"template","template":{"name":"coupon","language":{"code":"en_US"},"components":[{"type":"body","parameters":[{"type":"text","text":"Ana"}]},{"type":"button","sub_type":"copy_code","index":"1","parameters":[{"type":"coupon_code","coupon_code":"25OFF"}]}]}}`,
		},
		{
			"coupon in capitals, as some of Meta's pages write it",
			`{"type":"template","template":{"name":"coupon","language":{"code":"en_US"},"components":[{"type":"button","sub_type":"COPY_CODE","index":1,"parameters":[{"type":"coupon_code","coupon_code":"25OFF"}]}]}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"template","template":{"name":"coupon","language":{"code":"en_US"},"components":[{"type":"button","sub_type":"COPY_CODE","index":"1","parameters":[{"type":"coupon_code","coupon_code":"25OFF"}]}]}}`,
		},
		{
			"video by id with caption",
			`{"type":"video","video":{"id":"1037543291543636","caption":"Sale"}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"video","video":{"id":"1037543291543636","caption":"Sale"}}`,
		},
		{
			"document by id with file name and caption",
			`{"type":"document","document":{"id":"1037543291543636","filename":"Invoice 7.pdf","caption":"Invoice"}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"document","document":{"id":"1037543291543636","caption":"Invoice","filename":"Invoice 7.pdf"}}`,
		},
		{
			"audio by link",
			`{"type":"audio","audio":{"link":"https://cdn.example.com/a.mp3"}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"audio","audio":{"link":"https://cdn.example.com/a.mp3"}}`,
		},
		{
			"sticker by link",
			`{"type":"sticker","sticker":{"link":"https://cdn.example.com/s.webp"}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"sticker","sticker":{"link":"https://cdn.example.com/s.webp"}}`,
		},
		{
			"buttons under a text",
			`{"type":"interactive","interactive":{"type":"button","header":{"type":"text","text":"Visit"},"body":{"text":"Reschedule?"},"action":{"buttons":[{"type":"reply","reply":{"id":"change","title":"Change"}}]}}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"interactive","interactive":{"type":"button","header":{"type":"text","text":"Visit"},"body":{"text":"Reschedule?"},"action":{"buttons":[{"type":"reply","reply":{"id":"change","title":"Change"}}]}}}`,
		},
		{
			"buttons under a video",
			`{"type":"interactive","interactive":{"type":"button","header":{"type":"video","video":{"link":"https://cdn.example.com/v.mp4"}},"body":{"text":"Reschedule?"},"action":{"buttons":[{"type":"reply","reply":{"id":"change","title":"Change"}}]}}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"interactive","interactive":{"type":"button","header":{"type":"video","video":{"link":"https://cdn.example.com/v.mp4"}},"body":{"text":"Reschedule?"},"action":{"buttons":[{"type":"reply","reply":{"id":"change","title":"Change"}}]}}}`,
		},
		{
			"call to action under a text",
			`{"type":"interactive","interactive":{"type":"cta_url","header":{"type":"text","text":"Dates"},"body":{"text":"Tap"},"footer":{"text":"Thanks"},"action":{"name":"cta_url","parameters":{"display_text":"See","url":"https://example.com"}}}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"interactive","interactive":{"type":"cta_url","header":{"type":"text","text":"Dates"},"body":{"text":"Tap"},"footer":{"text":"Thanks"},"action":{"name":"cta_url","parameters":{"display_text":"See","url":"https://example.com"}}}}`,
		},
		{
			"a single product",
			`{"type":"interactive","interactive":{"type":"product","body":{"text":"New"},"action":{"catalog_id":"c-1","product_retailer_id":"h-1"}}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"interactive","interactive":{"type":"product","body":{"text":"New"},"action":{"catalog_id":"c-1","product_retailer_id":"h-1"}}}`,
		},
		{
			"a catalog with the picture of a product",
			`{"type":"interactive","interactive":{"type":"catalog_message","body":{"text":"New"},"action":{"name":"catalog_message","parameters":{"thumbnail_product_retailer_id":"h-1"}}}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"interactive","interactive":{"type":"catalog_message","body":{"text":"New"},"action":{"name":"catalog_message","parameters":{"thumbnail_product_retailer_id":"h-1"}}}}`,
		},
		{
			"a flow by its name, on its own",
			`{"type":"interactive","interactive":{"type":"flow","body":{"text":"Book"},"action":{"name":"flow","parameters":{"flow_message_version":"3","flow_name":"booking","flow_cta":"Book now","mode":"draft","flow_action":"data_exchange"}}}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"interactive","interactive":{"type":"flow","body":{"text":"Book"},"action":{"name":"flow","parameters":{"flow_message_version":"3","flow_name":"booking","flow_cta":"Book now","mode":"draft","flow_action":"data_exchange"}}}}`,
		},
		{
			"template with currency, date, place and an empty payload",
			`{"type":"template","template":{"name":"order_update","language":{"code":"en_US"},"components":[{"type":"header","parameters":[{"type":"location","location":{"latitude":1,"longitude":-2.5,"name":"HQ","address":"1 Way"}}]},{"type":"body","parameters":[{"type":"currency","currency":{"fallback_value":"$10","code":"USD","amount_1000":10000}},{"type":"date_time","date_time":{"fallback_value":"May 1"}}]},{"type":"button","sub_type":"quick_reply","index":0,"parameters":[{"type":"payload","payload":""}]}]}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"template","template":{"name":"order_update","language":{"code":"en_US"},"components":[{"type":"header","parameters":[{"type":"location","location":{"latitude":"1","longitude":"-2.5","name":"HQ","address":"1 Way"}}]},{"type":"body","parameters":[{"type":"currency","currency":{"fallback_value":"$10","code":"USD","amount_1000":10000}},{"type":"date_time","date_time":{"fallback_value":"May 1"}}]},{"type":"button","sub_type":"quick_reply","index":"0","parameters":[{"type":"payload","payload":""}]}]}}`,
		},
		{
			"image by link",
			`{"type":"image","image":{"link":"https://cdn.example.com/i.png?a=1&b=<2>"}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"image","image":{"link":"https://cdn.example.com/i.png?a=1&b=<2>"}}`,
		},
		{
			"template with a text header and positional variables",
			`{"type":"template","template":{"name":"order_update","language":{"code":"en_US"},"components":[{"type":"header","parameters":[{"type":"text","text":"June"}]},{"type":"body","parameters":[{"type":"text","text":"Ana"},{"type":"text","text":"77"}]}]}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"template","template":{"name":"order_update","language":{"code":"en_US"},"components":[{"type":"header","parameters":[{"type":"text","text":"June"}]},{"type":"body","parameters":[{"type":"text","text":"Ana"},{"type":"text","text":"77"}]}]}}`,
		},
		{
			"template with a document header and its file name",
			`{"type":"template","template":{"name":"order_update","language":{"code":"en_US"},"components":[{"type":"header","parameters":[{"type":"document","document":{"filename":"Invoice 7.pdf","link":"https://cdn.example.com/i.pdf"}}]}]}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"template","template":{"name":"order_update","language":{"code":"en_US"},"components":[{"type":"header","parameters":[{"type":"document","document":{"link":"https://cdn.example.com/i.pdf","filename":"Invoice 7.pdf"}}]}]}}`,
		},
		{
			"template with a video header",
			`{"type":"template","template":{"name":"order_update","language":{"code":"en_US"},"components":[{"type":"header","parameters":[{"type":"video","video":{"link":"https://cdn.example.com/v.mp4"}}]}]}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"template","template":{"name":"order_update","language":{"code":"en_US"},"components":[{"type":"header","parameters":[{"type":"video","video":{"link":"https://cdn.example.com/v.mp4"}}]}]}}`,
		},
		{
			"template with a flow button",
			`{"type":"template","template":{"name":"order_update","language":{"code":"en_US"},"components":[{"type":"button","sub_type":"flow","index":0,"parameters":[{"type":"action","action":{"flow_token":"t-1","flow_action_data":{"k":"<v>"}}}]}]}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"template","template":{"name":"order_update","language":{"code":"en_US"},"components":[{"type":"button","sub_type":"flow","index":"0","parameters":[{"type":"action","action":{"flow_token":"t-1","flow_action_data":{"k":"<v>"}}}]}]}}`,
		},
		{
			"list with header and footer, one section without a title",
			`{"type":"interactive","interactive":{"type":"list","header":{"type":"text","text":"Delivery"},"body":{"text":"Which?"},"footer":{"text":"Thanks"},"action":{"button":"Options","sections":[{"rows":[{"id":"p1","title":"Express"}]}]}}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"interactive","interactive":{"type":"list","header":{"type":"text","text":"Delivery"},"body":{"text":"Which?"},"footer":{"text":"Thanks"},"action":{"button":"Options","sections":[{"rows":[{"id":"p1","title":"Express"}]}]}}}`,
		},
		{
			"call to action under a document",
			`{"type":"interactive","interactive":{"type":"cta_url","header":{"type":"document","document":{"link":"https://cdn.example.com/i.pdf","filename":"i.pdf"}},"body":{"text":"Tap"},"action":{"name":"cta_url","parameters":{"display_text":"See <all>","url":"https://example.com/?a=1&b=2"}}}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"interactive","interactive":{"type":"cta_url","header":{"type":"document","document":{"link":"https://cdn.example.com/i.pdf","filename":"i.pdf"}},"body":{"text":"Tap"},"action":{"name":"cta_url","parameters":{"display_text":"See <all>","url":"https://example.com/?a=1&b=2"}}}}`,
		},
		{
			"products of a catalog",
			`{"type":"interactive","interactive":{"type":"product_list","header":{"type":"text","text":"Shop"},"body":{"text":"New"},"action":{"catalog_id":"c-1","sections":[{"title":"Hats","product_items":[{"product_retailer_id":"h-1"}]}]}}}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"interactive","interactive":{"type":"product_list","header":{"type":"text","text":"Shop"},"body":{"text":"New"},"action":{"sections":[{"title":"Hats","product_items":[{"product_retailer_id":"h-1"}]}],"catalog_id":"c-1"}}}`,
		},
		{
			"a full contact card",
			`{"type":"contacts","contacts":[{"name":{"formatted_name":"Dr. Ana M. Li Jr.","first_name":"Ana","last_name":"Li","middle_name":"M.","prefix":"Dr.","suffix":"Jr."},"phones":[{"phone":"+1650","type":"WORK"}],"emails":[{"email":"ana@a.example","type":"HOME"}],"addresses":[{"street":"1 Way","city":"M","state":"CA","zip":"9","country":"US","country_code":"us","type":"HOME"}],"urls":[{"url":"https://a.example","type":"WORK"}],"org":{"company":"A","department":"D","title":"T"},"birthday":"2001-02-03"}]}`,
			`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"contacts","contacts":[{"name":{"formatted_name":"Dr. Ana M. Li Jr.","first_name":"Ana","last_name":"Li","middle_name":"M.","prefix":"Dr.","suffix":"Jr."},"phones":[{"phone":"+1650","type":"WORK"}],"emails":[{"email":"ana@a.example","type":"HOME"}],"addresses":[{"street":"1 Way","city":"M","state":"CA","zip":"9","country":"US","country_code":"us","type":"HOME"}],"urls":[{"url":"https://a.example","type":"WORK"}],"org":{"company":"A","department":"D","title":"T"},"birthday":"2001-02-03"}]}`,
		},
	}
	header := map[string]string{"Authorization": "Bearer " + accessToken, "Content-Type": "application/json"}
	out := make([]providertest.RequestCase, 0, len(cases)+4)
	for _, c := range cases {
		out = append(out, providertest.RequestCase{Name: c.name, Message: providertest.Message(t, c.content), WantBody: c.want})
	}
	hello := providertest.Message(t, `{"type":"text","text":{"body":"Hello"}}`)
	hello.ID = "m-1"
	reply := providertest.Message(t, `{"type":"text","text":{"body":"See https://www.meta.com/quest","preview_url":true}}`)
	reply.ReplyTo = "wamid.IN1"
	template := providertest.Message(t, `{"type":"template","template":{"name":"hello_world","language":{"code":"en_US"}}}`)
	template.ID, template.ReplyTo = "m-2", "wamid.IN1"
	out = append(
		out,
		providertest.RequestCase{
			Name: "S3-01 text with our id as callback data", Message: hello,
			WantBody: `{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"text","text":{"preview_url":false,"body":"Hello"},"biz_opaque_callback_data":"m-1"}`,
		},
		providertest.RequestCase{
			Name: "a later attempt is marked in the callback data", Message: hello, Attempt: 3,
			WantBody: `{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"text","text":{"preview_url":false,"body":"Hello"},"biz_opaque_callback_data":"m-1#3"}`,
		},
		providertest.RequestCase{
			Name: "a template may reply", Message: template, ReplyTo: "wamid.IN1", Attempt: 2,
			WantBody: `{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","context":{"message_id":"wamid.IN1"},"type":"template","template":{"name":"hello_world","language":{"code":"en_US"}},"biz_opaque_callback_data":"m-2#2"}`,
		},
		providertest.RequestCase{
			Name: "S3-02 text in reply with preview", Message: reply, ReplyTo: "wamid.IN1",
			WantBody: `{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","context":{"message_id":"wamid.IN1"},"type":"text","text":{"preview_url":true,"body":"See https://www.meta.com/quest"}}`,
		},
	)
	for i := range out {
		out[i].WantPath, out[i].WantHeader = "/"+phoneNumberID+"/messages", header
	}
	return out
}

func refusedCases(t *testing.T) []providertest.RefusedCase {
	t.Helper()
	message := func(content, replyTo string) gateway.Message {
		m := providertest.Message(t, content)
		m.ReplyTo = replyTo
		return m
	}
	return []providertest.RefusedCase{
		{
			Name:       "a reaction can't reply",
			Message:    message(`{"type":"reaction","reaction":{"message_id":"wamid.IN2","emoji":"👍"}}`, "wamid.IN1"),
			WantFields: []string{"reply_to"},
		},
		{
			Name:       "a media provider is Sinch's",
			Message:    message(`{"type":"image","image":{"link":"https://cdn.example.com/i.png","provider":"p"}}`, ""),
			WantFields: []string{"image.provider"},
		},
		{
			Name:       "also in a header",
			Message:    message(`{"type":"interactive","interactive":{"type":"cta_url","header":{"type":"image","image":{"link":"https://cdn.example.com/i.png","provider":"p"}},"body":{"text":"b"},"action":{"name":"cta_url","parameters":{"display_text":"d","url":"https://example.com"}}}}`, ""),
			WantFields: []string{"interactive.header.image.provider"},
		},
		{
			Name:       "a location request has a body only",
			Message:    message(`{"type":"interactive","interactive":{"type":"location_request_message","header":{"type":"text","text":"h"},"body":{"text":"b"},"footer":{"text":"f"},"action":{"name":"send_location"}}}`, ""),
			WantFields: []string{"interactive.header", "interactive.footer"},
		},
		{
			Name:       "buttons have nothing of lists, links and catalogs",
			Message:    message(`{"type":"interactive","interactive":{"type":"button","body":{"text":"b"},"action":{"buttons":[{"type":"reply","reply":{"id":"i","title":"t"}}],"button":"b","sections":[{"rows":[{"id":"i","title":"t"}]}],"name":"n","parameters":{},"catalog_id":"c","product_retailer_id":"p"}}}`, ""),
			WantFields: []string{"interactive.action.button", "interactive.action.sections", "interactive.action.name", "interactive.action.parameters", "interactive.action.catalog_id", "interactive.action.product_retailer_id"},
		},
		{
			Name:       "a list has rows only",
			Message:    message(`{"type":"interactive","interactive":{"type":"list","body":{"text":"b"},"action":{"button":"b","buttons":[],"sections":[{"rows":[{"id":"i","title":"t"}],"product_items":[{"product_retailer_id":"p"}]}]}}}`, ""),
			WantFields: []string{"interactive.action.buttons", "interactive.action.sections[0].product_items"},
		},
		{
			Name:       "a list of products has no rows",
			Message:    message(`{"type":"interactive","interactive":{"type":"product_list","body":{"text":"b"},"action":{"button":"b","catalog_id":"c","sections":[{"rows":[{"id":"i","title":"t"}],"product_items":[{"product_retailer_id":"p"}]}]}}}`, ""),
			WantFields: []string{"interactive.action.button", "interactive.action.sections[0].rows"},
		},
		{
			Name:       "a link has a label and a URL only, whose names are written exactly so",
			Message:    message(`{"type":"interactive","interactive":{"type":"cta_url","body":{"text":"b"},"action":{"name":"cta_url","parameters":{"display_text":"d","url":"https://example.com","colour":"red","URL":"https://example.com"}}}}`, ""),
			WantFields: []string{"interactive.action.parameters.URL", "interactive.action.parameters.colour"},
		},
		{
			Name:       "a location request has no parameters",
			Message:    message(`{"type":"interactive","interactive":{"type":"location_request_message","body":{"text":"b"},"action":{"name":"send_location","parameters":{}}}}`, ""),
			WantFields: []string{"interactive.action.parameters"},
		},
		{
			Name:       "a flow has a version",
			Message:    message(`{"type":"interactive","interactive":{"type":"flow","body":{"text":"b"},"action":{"name":"flow","parameters":{"flow_id":"1","flow_cta":"c"}}}}`, ""),
			WantFields: []string{"interactive.action.parameters.flow_message_version"},
		},
		{
			Name:    "a flow has a version, mode, action, token and payload that are documented",
			Message: message(`{"type":"interactive","interactive":{"type":"flow","body":{"text":"b"},"action":{"name":"flow","parameters":{"flow_message_version":3,"flow_id":"1","flow_cta":"c","flow_token":7,"mode":"test","flow_action":null,"flow_action_payload":{"screen":"","data":{},"more":1},"more":1}}}}`, ""),
			WantFields: []string{
				"interactive.action.parameters.flow_message_version", "interactive.action.parameters.flow_token", "interactive.action.parameters.mode",
				"interactive.action.parameters.flow_action", "interactive.action.parameters.flow_action_payload.screen",
				"interactive.action.parameters.flow_action_payload.data", "interactive.action.parameters.flow_action_payload.more", "interactive.action.parameters.more",
			},
		},
		{
			Name:       "a flow's payload is an object and begins at a screen",
			Message:    message(`{"type":"interactive","interactive":{"type":"flow","body":{"text":"b"},"action":{"name":"flow","parameters":{"flow_message_version":"3","flow_id":"1","flow_cta":"c","flow_action_payload":[]}}}}`, ""),
			WantFields: []string{"interactive.action.parameters.flow_action_payload", "interactive.action.parameters.flow_action_payload.screen"},
		},
		{
			Name:       "a flow's data is an object",
			Message:    message(`{"type":"interactive","interactive":{"type":"flow","body":{"text":"b"},"action":{"name":"flow","parameters":{"flow_message_version":"3","flow_id":"1","flow_cta":"c","flow_action_payload":{"screen":"A","data":[1]}}}}}`, ""),
			WantFields: []string{"interactive.action.parameters.flow_action_payload.data"},
		},
		{
			Name:       "a language has one policy",
			Message:    message(`{"type":"template","template":{"name":"n","language":{"code":"en","policy":"fallback"}}}`, ""),
			WantFields: []string{"template.language.policy"},
		},
		{
			Name:       "a header has one variable, and no money",
			Message:    message(`{"type":"template","template":{"name":"n","language":{"code":"en"},"components":[{"type":"header","parameters":[{"type":"text","text":"1"},{"type":"currency","currency":{"fallback_value":"$1","code":"USD","amount_1000":1000}}]}]}}`, ""),
			WantFields: []string{"template.components[0].parameters", "template.components[0].parameters[1].type"},
		},
		{
			Name:       "a body has texts, money and moments only",
			Message:    message(`{"type":"template","template":{"name":"n","language":{"code":"en"},"components":[{"type":"body","parameters":[{"type":"image","image":{"id":"1"}},{"type":"location","location":{"latitude":1,"longitude":1}},{"type":"payload","payload":"p"},{"type":"currency","currency":{"fallback_value":"$1","code":"US","amount_1000":1000}}]}]}}`, ""),
			WantFields: []string{"template.components[0].parameters[0].type", "template.components[0].parameters[1].type", "template.components[0].parameters[2].type", "template.components[0].parameters[3].currency.code"},
		},
		{
			Name:       "a button has one variable of its own kind",
			Message:    message(`{"type":"template","template":{"name":"n","language":{"code":"en"},"components":[{"type":"button","sub_type":"quick_reply","index":0,"parameters":[{"type":"text","text":"x"}]},{"type":"button","sub_type":"url","index":1,"parameters":[{"type":"payload","payload":"x"}]},{"type":"button","sub_type":"flow","index":2,"parameters":[{"type":"text","text":"x"}]},{"type":"button","sub_type":"quick_reply","index":3,"parameters":[{"type":"payload","payload":"x"},{"type":"payload","payload":"y"}]}]}}`, ""),
			WantFields: []string{"template.components[0].parameters[0].type", "template.components[1].parameters[0].type", "template.components[2].parameters[0].type", "template.components[3].parameters"},
		},
		{
			Name:       "a button is of a documented kind, a coupon of letters and digits",
			Message:    message(`{"type":"template","template":{"name":"n","language":{"code":"en"},"components":[{"type":"button","sub_type":"fax","index":0},{"type":"button","sub_type":"copy_code","index":1,"parameters":[{"type":"coupon_code","coupon_code":"25-OFF"}]}]}}`, ""),
			WantFields: []string{"template.components[0].sub_type", "template.components[1].parameters[0].coupon_code"},
		},
		{
			Name:       "named and positional parameters don't mix",
			Message:    message(`{"type":"template","template":{"name":"n","language":{"code":"en"},"components":[{"type":"body","parameters":[{"type":"text","parameter_name":"a","text":"1"},{"type":"text","text":"2"}]}]}}`, ""),
			WantFields: []string{"template.components[0].parameters"},
		},
	}
}

// By hand from the Cloud API reference.
func TestPairLimitIsTheReferences(t *testing.T) {
	want := gateway.PairLimit{Every: 6 * time.Second, Burst: 45}
	if got := whatsappcloud.New(settings("")).PairLimit(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A 422 tells its reader which provider it was that couldn't.
func TestRefusalsNameTheProvider(t *testing.T) {
	for _, c := range refusedCases(t) {
		for _, e := range whatsappcloud.New(settings("")).Check(&c.Message) {
			if !strings.HasSuffix(e.Message, "on whatsapp-cloud") {
				t.Errorf("%s: %s", c.Name, e)
			}
		}
	}
}

// By hand from the Cloud API reference, media.
func TestMediaRule(t *testing.T) {
	for kind, want := range map[gateway.MediaKind]gateway.MediaRule{
		gateway.MediaImage:   {MaxBytes: 5242880, Types: []string{"image/jpeg", "image/png"}},
		gateway.MediaVideo:   {MaxBytes: 16777216, Types: []string{"video/mp4", "video/3gpp"}},
		gateway.MediaAudio:   {MaxBytes: 16777216, MonoOnly: true, Types: []string{"audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"}},
		gateway.MediaSticker: {MaxBytes: 512000, MaxStill: 102400, Types: []string{"image/webp"}},
		gateway.MediaDocument: {MaxBytes: 104857600, Types: []string{
			"text/plain", "application/pdf", "application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint",
			"application/vnd.openxmlformats-officedocument.wordprocessingml.document",
			"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
			"application/vnd.openxmlformats-officedocument.presentationml.presentation",
		}},
		"hologram": {},
	} {
		got := whatsappcloud.New(settings("")).MediaRule(kind)
		if diff := cmp.Diff(want, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
}
