package sinchwhatsapp

import "sluice/internal/gateway"

const (
	kilobyte = 1 << 10
	megabyte = 1 << 20
)

// MediaRule implements sender.Provider. Source: Sinch WhatsApp API v1,
// "Accepted media types" and "sticker"; the sizes are those after Sinch's own processing,
// for success above them isn't promised.
func (p *Provider) MediaRule(kind gateway.MediaKind) gateway.MediaRule {
	switch kind {
	case gateway.MediaImage:
		return gateway.MediaRule{Types: imageTypes(), MaxBytes: 5 * megabyte}
	case gateway.MediaVideo:
		return gateway.MediaRule{Types: videoTypes(), MaxBytes: 16 * megabyte}
	case gateway.MediaAudio:
		return gateway.MediaRule{Types: audioTypes(), MaxBytes: 16 * megabyte}
	case gateway.MediaSticker:
		return gateway.MediaRule{Types: stickerTypes(), MaxBytes: 100 * kilobyte, StillOnly: true}
	case gateway.MediaDocument:
		return gateway.MediaRule{Types: documentTypes(), MaxBytes: 100 * megabyte}
	}
	return gateway.MediaRule{}
}

func imageTypes() []string   { return []string{"image/jpeg", "image/png"} }
func videoTypes() []string   { return []string{"video/mp4", "video/3gpp"} }
func stickerTypes() []string { return []string{"image/webp"} }

func audioTypes() []string {
	return []string{"audio/aac", "audio/mp4", "audio/amr", "audio/mpeg", "audio/ogg", "audio/opus"}
}

// documentTypes holds the types of the other kinds too: any of them may be
// sent as a document.
func documentTypes() []string {
	types := []string{
		"text/plain",
		"text/csv",
		"application/pdf",
		"application/msword",
		"application/x-tar",
		"application/rtf.0", // as documented
		"application/vnd.ms-powerpoint",
		"application/vnd.openxmlformats-officedocument.presentationml.presentation",
		"application/vnd.openxmlformats-officedocument.wordprocessingml.document",
		"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
		"application/vnd.oasis.opendocument.presentation",
		"application/vnd.oasis.opendocument.spreadsheet",
		"application/vnd.ms-excel",
		"application/vnd.oasis.opendocument.text",
	}
	for _, more := range [][]string{imageTypes(), videoTypes(), audioTypes(), stickerTypes()} {
		types = append(types, more...)
	}
	return types
}
