package sinchconversation

import "sluice/internal/gateway"

const (
	kilobyte = 1 << 10
	megabyte = 1 << 20
)

// MediaRule implements sender.Provider. Source: Sinch, "WhatsApp: accepted
// media types"; the sizes are those after Sinch's own processing, for success
// above them isn't promised.
func (p *Provider) MediaRule(kind gateway.MediaKind) gateway.MediaRule {
	switch kind {
	case gateway.MediaImage:
		return gateway.MediaRule{MaxBytes: 5 * megabyte, Types: []string{"image/jpeg", "image/png"}}
	case gateway.MediaVideo:
		return gateway.MediaRule{MaxBytes: 16 * megabyte, Types: []string{"video/mp4", "video/3gpp"}}
	case gateway.MediaAudio:
		return gateway.MediaRule{MaxBytes: 16 * megabyte, Types: []string{
			"audio/aac", "audio/mp4", "audio/amr", "audio/mpeg", "audio/ogg", "audio/opus",
		}}
	case gateway.MediaSticker:
		return gateway.MediaRule{MaxBytes: 100 * kilobyte, Types: []string{"image/webp"}}
	case gateway.MediaDocument:
		// A file's kind is told from its type, so that a picture sent as a
		// document would become a picture.
		return gateway.MediaRule{MaxBytes: 100 * megabyte, Types: []string{
			"text/plain", "text/csv", "application/pdf", "application/msword", "application/x-tar",
			"application/rtf.0", // as documented
			"application/vnd.ms-powerpoint", "application/vnd.ms-excel",
			"application/vnd.openxmlformats-officedocument.presentationml.presentation",
			"application/vnd.openxmlformats-officedocument.wordprocessingml.document",
			"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
			"application/vnd.oasis.opendocument.presentation",
			"application/vnd.oasis.opendocument.spreadsheet",
			"application/vnd.oasis.opendocument.text",
		}}
	}
	return gateway.MediaRule{}
}
