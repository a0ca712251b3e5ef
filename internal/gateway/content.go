package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// ContentType names what a message shows. It is also the name of the member of
// Content that is set.
type ContentType string

// The types a caller may send, named as WhatsApp's Cloud API names them.
const (
	TypeText        ContentType = "text"
	TypeImage       ContentType = "image"
	TypeVideo       ContentType = "video"
	TypeAudio       ContentType = "audio"
	TypeDocument    ContentType = "document"
	TypeSticker     ContentType = "sticker"
	TypeLocation    ContentType = "location"
	TypeContacts    ContentType = "contacts"
	TypeReaction    ContentType = "reaction"
	TypeInteractive ContentType = "interactive"
	TypeTemplate    ContentType = "template"
)

// ContentTypes lists every type.
func ContentTypes() []ContentType {
	return []ContentType{
		TypeText, TypeImage, TypeVideo, TypeAudio, TypeDocument, TypeSticker,
		TypeLocation, TypeContacts, TypeReaction, TypeInteractive, TypeTemplate,
	}
}

// Content is what a message shows: Type, and the one member it names. Its JSON
// form is the part of a request that says the same.
type Content struct {
	Type        ContentType  `json:"type,omitempty"`
	Text        *Text        `json:"text,omitempty"`
	Image       *Media       `json:"image,omitempty"`
	Video       *Media       `json:"video,omitempty"`
	Audio       *Media       `json:"audio,omitempty"`
	Document    *Media       `json:"document,omitempty"`
	Sticker     *Media       `json:"sticker,omitempty"`
	Location    *Location    `json:"location,omitempty"`
	Contacts    []Contact    `json:"contacts,omitempty"`
	Reaction    *Reaction    `json:"reaction,omitempty"`
	Interactive *Interactive `json:"interactive,omitempty"`
	Template    *Template    `json:"template,omitempty"`
}

// Text is a plain message.
type Text struct {
	Body       string `json:"body"`
	PreviewURL bool   `json:"preview_url,omitempty"`
}

// Media is a file, by link or by the provider's id for it, never both.
type Media struct {
	Link     string `json:"link,omitempty"`
	ID       string `json:"id,omitempty"`
	Provider string `json:"provider,omitempty"` // name of a media provider known to Sinch WhatsApp v1
	Caption  string `json:"caption,omitempty"`  // image, video, document
	Filename string `json:"filename,omitempty"` // document
	Voice    bool   `json:"voice,omitempty"`    // audio: a voice message
}

// Degrees is a coordinate. It reads a JSON number or a string holding one, for
// the Cloud API's documents show both, and writes a number.
type Degrees float64

// decimal is a number as JSON writes it; strconv reads hexadecimals, infinities
// and more.
var decimal = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// UnmarshalJSON reads 55.7 and "55.7" alike.
func (d *Degrees) UnmarshalJSON(b []byte) error {
	s := unquoted(b)
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !decimal.MatchString(s) {
		return errors.New("must be a number")
	}
	*d = Degrees(f)
	return nil
}

// unquoted is what a JSON string holds, or another value as it stands.
func unquoted(b []byte) string {
	var s string
	if json.Unmarshal(b, &s) != nil {
		return string(b)
	}
	return s
}

// String is the shortest decimal form.
func (d Degrees) String() string { return strconv.FormatFloat(float64(d), 'f', -1, 64) }

// Location is a place on the map.
type Location struct {
	Latitude  *Degrees `json:"latitude"`
	Longitude *Degrees `json:"longitude"`
	Name      string   `json:"name,omitempty"`
	Address   string   `json:"address,omitempty"`
}

// Contact is one contact card.
type Contact struct {
	Name      ContactName      `json:"name"`
	Phones    []ContactPhone   `json:"phones,omitempty"`
	Emails    []ContactEmail   `json:"emails,omitempty"`
	Addresses []ContactAddress `json:"addresses,omitempty"`
	URLs      []ContactURL     `json:"urls,omitempty"`
	Org       *ContactOrg      `json:"org,omitempty"`
	Birthday  string           `json:"birthday,omitempty"` // YYYY-MM-DD
}

// ContactName is the name on a card.
type ContactName struct {
	FormattedName string `json:"formatted_name"`
	FirstName     string `json:"first_name,omitempty"`
	LastName      string `json:"last_name,omitempty"`
	MiddleName    string `json:"middle_name,omitempty"`
	Prefix        string `json:"prefix,omitempty"`
	Suffix        string `json:"suffix,omitempty"`
}

// ContactPhone is a number on a card.
type ContactPhone struct {
	Phone string `json:"phone,omitempty"`
	Type  string `json:"type,omitempty"`
	WaID  string `json:"wa_id,omitempty"`
}

// ContactEmail is an address on a card.
type ContactEmail struct {
	Email string `json:"email,omitempty"`
	Type  string `json:"type,omitempty"`
}

// ContactAddress is a postal address on a card.
type ContactAddress struct {
	Street      string `json:"street,omitempty"`
	City        string `json:"city,omitempty"`
	State       string `json:"state,omitempty"`
	Zip         string `json:"zip,omitempty"`
	Country     string `json:"country,omitempty"`
	CountryCode string `json:"country_code,omitempty"`
	Type        string `json:"type,omitempty"`
}

// ContactURL is a link on a card.
type ContactURL struct {
	URL  string `json:"url,omitempty"`
	Type string `json:"type,omitempty"`
}

// ContactOrg is the workplace on a card.
type ContactOrg struct {
	Company    string `json:"company,omitempty"`
	Department string `json:"department,omitempty"`
	Title      string `json:"title,omitempty"`
}

// Reaction puts an emoji on an earlier message; an empty one removes it.
type Reaction struct {
	MessageID string `json:"message_id"` // ours or the provider's
	Emoji     string `json:"emoji"`
}

// Interactive is a message with something to tap. Type decides what Action
// holds; types beyond button, list, cta_url, flow and location_request_message
// pass through to providers that know them.
type Interactive struct {
	Type   string             `json:"type"`
	Header *InteractiveHeader `json:"header,omitempty"`
	Body   *InteractiveText   `json:"body,omitempty"`
	Footer *InteractiveText   `json:"footer,omitempty"`
	Action InteractiveAction  `json:"action"`
}

// The interactive types whose shape is checked here.
const (
	InteractiveButton          = "button"
	InteractiveList            = "list"
	InteractiveCTAURL          = "cta_url"
	InteractiveFlow            = "flow"
	InteractiveLocationRequest = "location_request_message"
	InteractiveProduct         = "product"
	InteractiveProductList     = "product_list"
	InteractiveCatalog         = "catalog_message"
)

// InteractiveHeader is text or a file above the body.
type InteractiveHeader struct {
	Type     string `json:"type"` // text, image, video, document
	Text     string `json:"text,omitempty"`
	Image    *Media `json:"image,omitempty"`
	Video    *Media `json:"video,omitempty"`
	Document *Media `json:"document,omitempty"`
}

// Media is the header's file, or nil.
func (h *InteractiveHeader) Media() *Media {
	switch h.Type {
	case "image":
		return h.Image
	case "video":
		return h.Video
	case "document":
		return h.Document
	}
	return nil
}

// InteractiveText is a body or a footer.
type InteractiveText struct {
	Text string `json:"text"`
}

// InteractiveAction is what can be tapped.
type InteractiveAction struct {
	Button            string          `json:"button,omitempty"`  // list: the label that opens it
	Buttons           []Button        `json:"buttons,omitempty"` // button
	Sections          []Section       `json:"sections,omitempty"`
	Name              string          `json:"name,omitempty"`       // cta_url, flow, send_location, …
	Parameters        json.RawMessage `json:"parameters,omitempty"` // by Name
	CatalogID         string          `json:"catalog_id,omitempty"`
	ProductRetailerID string          `json:"product_retailer_id,omitempty"`
}

// Button is a reply button.
type Button struct {
	Type  string `json:"type"` // "reply"
	Reply Reply  `json:"reply"`
}

// Reply is what tapping a button says.
type Reply struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

// Section groups rows of a list, or products.
type Section struct {
	Title        string        `json:"title,omitempty"`
	Rows         []Row         `json:"rows,omitempty"`
	ProductItems []ProductItem `json:"product_items,omitempty"`
}

// Row is one choice of a list.
type Row struct {
	ID          string `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
}

// ProductItem is one product of a catalog.
type ProductItem struct {
	ProductRetailerID string `json:"product_retailer_id"`
}

// CTAURL is the parameters of a cta_url action.
type CTAURL struct {
	DisplayText string `json:"display_text"`
	URL         string `json:"url"`
}

// Template is a message whose text the provider has approved beforehand.
type Template struct {
	Name       string              `json:"name"`
	Language   TemplateLanguage    `json:"language"`
	Components []TemplateComponent `json:"components,omitempty"`
}

// TemplateLanguage is the locale of an approved translation, exactly.
type TemplateLanguage struct {
	Code   string `json:"code"`
	Policy string `json:"policy,omitempty"`
}

// TemplateComponent fills the variables of one part of a template.
type TemplateComponent struct {
	Type       string              `json:"type"`               // header, body, button
	SubType    string              `json:"sub_type,omitempty"` // button: quick_reply, url, copy_code, flow, …
	Index      *ButtonIndex        `json:"index,omitempty"`    // button, from 0
	Parameters []TemplateParameter `json:"parameters,omitempty"`
}

// ButtonIndex is the place of a button in its template, from 0. It reads a
// JSON number or a string holding one, for both are in use.
type ButtonIndex int

// UnmarshalJSON reads 0 and "0" alike.
func (i *ButtonIndex) UnmarshalJSON(b []byte) error {
	s := unquoted(b)
	n, err := strconv.Atoi(s)
	if err != nil || strings.Trim(s, "0123456789") != "" { // Atoi takes signs too
		return errors.New("must be a whole number from 0")
	}
	*i = ButtonIndex(n)
	return nil
}

// TemplateParameter is the value of one variable. Type names the member set.
type TemplateParameter struct {
	Type          string          `json:"type"` // text, currency, date_time, image, video, document, location, payload, coupon_code, action
	ParameterName string          `json:"parameter_name,omitempty"`
	Text          string          `json:"text,omitempty"`
	Payload       string          `json:"payload,omitempty"`
	CouponCode    string          `json:"coupon_code,omitempty"`
	Currency      *Currency       `json:"currency,omitempty"`
	DateTime      *DateTime       `json:"date_time,omitempty"`
	Image         *Media          `json:"image,omitempty"`
	Video         *Media          `json:"video,omitempty"`
	Document      *Media          `json:"document,omitempty"`
	Location      *Location       `json:"location,omitempty"`
	Action        json.RawMessage `json:"action,omitempty"`
}

// Media is the parameter's file, or nil.
func (p *TemplateParameter) Media() *Media {
	switch p.Type {
	case "image":
		return p.Image
	case "video":
		return p.Video
	case "document":
		return p.Document
	}
	return nil
}

// Currency is an amount the provider formats for the reader.
type Currency struct {
	FallbackValue string `json:"fallback_value"`
	Code          string `json:"code"`
	Amount1000    int64  `json:"amount_1000"`
}

// DateTime is a moment the provider formats for the reader.
type DateTime struct {
	FallbackValue string `json:"fallback_value"`
}

// MediaKind is the kind of a file as providers' limits name it.
type MediaKind string

// The kinds of files.
const (
	MediaImage    MediaKind = "image"
	MediaVideo    MediaKind = "video"
	MediaAudio    MediaKind = "audio"
	MediaDocument MediaKind = "document"
	MediaSticker  MediaKind = "sticker"
)

// MediaRule is what a provider takes of one kind.
type MediaRule struct {
	Types     []string // content types without parameters
	MaxBytes  int64
	MaxStill  int64 // of a sticker without animation, if lower than MaxBytes; zero: MaxBytes
	StillOnly bool  // of stickers: none with animation
	MonoOnly  bool  // of Ogg audio: one channel
}

// File is one linked file of a message, where it stands in the request and of
// which kind it must be.
type File struct {
	Field string
	Kind  MediaKind
	Media *Media
}

// Files lists every file of the content, headers and template parameters
// included, in the order of the request. What a type doesn't name is no part
// of the message, hence not listed.
func (c *Content) Files() []File {
	var files []File
	add := func(field string, kind MediaKind, m *Media) {
		if m != nil {
			files = append(files, File{Field: field, Kind: kind, Media: m})
		}
	}
	switch c.Type {
	case TypeImage:
		add("image", MediaImage, c.Image)
	case TypeVideo:
		add("video", MediaVideo, c.Video)
	case TypeAudio:
		add("audio", MediaAudio, c.Audio)
	case TypeDocument:
		add("document", MediaDocument, c.Document)
	case TypeSticker:
		add("sticker", MediaSticker, c.Sticker)
	case TypeInteractive:
		if c.Interactive != nil && c.Interactive.Header != nil {
			h := c.Interactive.Header
			add("interactive.header."+h.Type, MediaKind(h.Type), h.Media())
		}
	case TypeTemplate:
		if c.Template == nil {
			break
		}
		for i := range c.Template.Components {
			params := c.Template.Components[i].Parameters
			for j := range params {
				p := &params[j]
				add(fmt.Sprintf("template.components[%d].parameters[%d].%s", i, j, p.Type), MediaKind(p.Type), p.Media())
			}
		}
	case TypeText, TypeLocation, TypeContacts, TypeReaction: // hold none
	}
	return files
}
