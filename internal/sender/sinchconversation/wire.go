package sinchconversation

import "sluice/internal/gateway"

// channelWhatsApp names the one channel this package sends through.
const channelWhatsApp = "WHATSAPP"

// sendRequest is the body of POST /messages:send. Source: Conversation API 1.0.
type sendRequest struct {
	AppID     string      `json:"app_id"`
	Recipient recipient   `json:"recipient"`
	Message   *appMessage `json:"message"`
	Metadata  string      `json:"message_metadata,omitempty"`
	TTL       string      `json:"ttl,omitempty"` // "3600s"
}

type recipient struct {
	IdentifiedBy identifiedBy `json:"identified_by"`
}

type identifiedBy struct {
	ChannelIdentities []channelIdentity `json:"channel_identities"`
}

type channelIdentity struct {
	Channel  string `json:"channel"`
	Identity string `json:"identity"` // digits without '+'
}

// appMessage has exactly one of its messages. Explicit replaces it on the
// channels it names.
type appMessage struct {
	Text        *textMessage        `json:"text_message,omitempty"`
	Media       *mediaMessage       `json:"media_message,omitempty"`
	Location    *locationMessage    `json:"location_message,omitempty"`
	ContactInfo *contactInfoMessage `json:"contact_info_message,omitempty"`
	Choice      *choiceMessage      `json:"choice_message,omitempty"`
	Card        *cardMessage        `json:"card_message,omitempty"`
	List        *listMessage        `json:"list_message,omitempty"`
	Template    *templateMessage    `json:"template_message,omitempty"`

	// Explicit holds JSON in a string, by channel.
	Explicit map[string]string `json:"explicit_channel_message,omitempty"`
	ReplyTo  *replyTo          `json:"reply_to,omitempty"`
}

type replyTo struct {
	MessageID gateway.ProviderMessageID `json:"message_id"`
}

type textMessage struct {
	Text string `json:"text"`
}

// mediaMessage has neither a kind nor a caption: Sinch looks at the file.
type mediaMessage struct {
	URL      string `json:"url"`
	Filename string `json:"filename_override,omitempty"`
}

type locationMessage struct {
	Title       string      `json:"title"`
	Label       string      `json:"label,omitempty"`
	Coordinates coordinates `json:"coordinates"`
}

type coordinates struct {
	Latitude  *gateway.Degrees `json:"latitude"`
	Longitude *gateway.Degrees `json:"longitude"`
}

// contactInfoMessage is one card.
type contactInfoMessage struct {
	Name         contactName      `json:"name"`
	Phones       []contactPhone   `json:"phone_numbers"`
	Addresses    []contactAddress `json:"addresses,omitempty"`
	Emails       []contactEmail   `json:"email_addresses,omitempty"`
	Organization *organization    `json:"organization,omitempty"`
	URLs         []contactURL     `json:"urls,omitempty"`
	Birthday     string           `json:"birthday,omitempty"`
}

type contactName struct {
	FullName   string `json:"full_name"`
	FirstName  string `json:"first_name,omitempty"`
	LastName   string `json:"last_name,omitempty"`
	MiddleName string `json:"middle_name,omitempty"`
	Prefix     string `json:"prefix,omitempty"`
	Suffix     string `json:"suffix,omitempty"`
}

type contactPhone struct {
	Number string `json:"phone_number"`
	Type   string `json:"type,omitempty"`
}

type contactAddress struct {
	City        string `json:"city,omitempty"`
	Country     string `json:"country,omitempty"`
	State       string `json:"state,omitempty"`
	Zip         string `json:"zip,omitempty"`
	Type        string `json:"type,omitempty"`
	CountryCode string `json:"country_code,omitempty"`
}

type contactEmail struct {
	Address string `json:"email_address"`
	Type    string `json:"type,omitempty"`
}

type organization struct {
	Company    string `json:"company,omitempty"`
	Department string `json:"department,omitempty"`
	Title      string `json:"title,omitempty"`
}

type contactURL struct {
	URL  string `json:"url"`
	Type string `json:"type,omitempty"`
}

type choiceMessage struct {
	Text       textMessage       `json:"text_message"`
	Choices    []choice          `json:"choices"`
	Properties *choiceProperties `json:"message_properties,omitempty"`
}

type choiceProperties struct {
	Footer string `json:"whatsapp_footer"`
}

type choice struct {
	Text     *textMessage `json:"text_message,omitempty"`
	URL      *urlMessage  `json:"url_message,omitempty"`
	Postback string       `json:"postback_data,omitempty"`
}

type urlMessage struct {
	Title string `json:"title"`
	URL   string `json:"url"`
}

type cardMessage struct {
	Title      string          `json:"title"`
	Media      *mediaMessage   `json:"media_message,omitempty"`
	Choices    []choice        `json:"choices"`
	Properties *cardProperties `json:"message_properties,omitempty"`
}

type cardProperties struct {
	Header string `json:"whatsapp_header"`
}

type listMessage struct {
	Title       string         `json:"title"`
	Description string         `json:"description,omitempty"`
	Sections    []listSection  `json:"sections"`
	Properties  listProperties `json:"message_properties"`
}

type listProperties struct {
	Menu   string `json:"menu"`
	Header string `json:"whatsapp_header,omitempty"`
}

type listSection struct {
	Title string     `json:"title,omitempty"`
	Items []listItem `json:"items"`
}

type listItem struct {
	Choice listChoice `json:"choice"`
}

type listChoice struct {
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	Postback    string `json:"postback_data"`
}

type templateMessage struct {
	Channel map[string]channelTemplate `json:"channel_template"`
}

type channelTemplate struct {
	ID         string            `json:"template_id"` // its name
	Language   string            `json:"language_code"`
	Parameters map[string]string `json:"parameters,omitempty"`
}

// explicitMessage is a message in WhatsApp's own words, for what the generic
// ones have no place for. The recipient is Sinch's to fill in.
type explicitMessage struct {
	Product       string            `json:"messaging_product"`
	RecipientType string            `json:"recipient_type"`
	To            string            `json:"to"`
	Type          string            `json:"type"`
	Text          *explicitText     `json:"text,omitempty"`
	Image         *explicitMedia    `json:"image,omitempty"`
	Video         *explicitMedia    `json:"video,omitempty"`
	Document      *explicitMedia    `json:"document,omitempty"`
	Sticker       *explicitMedia    `json:"sticker,omitempty"`
	Contacts      []gateway.Contact `json:"contacts,omitempty"`
}

type explicitText struct {
	PreviewURL bool   `json:"preview_url"`
	Body       string `json:"body"`
}

type explicitMedia struct {
	Link     string `json:"link"`
	Filename string `json:"filename,omitempty"`
	Caption  string `json:"caption,omitempty"`
}
