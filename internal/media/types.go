package media

import (
	"slices"
	"strings"

	"github.com/gabriel-vasile/mimetype"
)

// Content types that are spelled in several ways, with the spelling that
// providers' tables use.
var spellings = map[string]string{
	"image/jpg":                    "image/jpeg",
	"image/pjpeg":                  "image/jpeg",
	"image/x-png":                  "image/png",
	"video/3gp":                    "video/3gpp",
	"audio/3gpp":                   "video/3gpp",
	"video/x-m4v":                  "video/mp4",
	"audio/x-aac":                  "audio/aac",
	"audio/aacp":                   "audio/aac",
	"audio/amr-nb":                 "audio/amr",
	"audio/m4a":                    "audio/mp4",
	"audio/x-m4a":                  "audio/mp4",
	"audio/x-mp4a":                 "audio/mp4",
	"audio/mp3":                    "audio/mpeg",
	"audio/x-mp3":                  "audio/mpeg",
	"audio/x-mpeg":                 "audio/mpeg",
	"audio/x-ogg":                  "audio/ogg",
	"application/ogg":              "audio/ogg",
	"application/x-pdf":            "application/pdf",
	"application/csv":              "text/csv",
	"text/comma-separated-values":  "text/csv",
	"text/rtf":                     "application/rtf",
	"application/rtf.0":            "application/rtf", // Sinch WhatsApp API v1, media table
	"application/vnd.ms-word":      "application/msword",
	"application/msexcel":          "application/vnd.ms-excel",
	"application/mspowerpoint":     "application/vnd.ms-powerpoint",
	"application/x-msword":         "application/msword",
	"application/x-tar-compressed": "application/x-tar",
}

// Declared types that say nothing.
var generic = []string{
	"application/octet-stream", "binary/octet-stream", "application/binary", "application/download",
	"application/x-download", "application/force-download", "application/unknown", "application/x-unknown",
}

// What else than itself a type may be taken for by its first bytes: mostly
// containers whose tracks or entries lie further on.
var lookalikes = map[string][]string{
	"audio/mp4":  {"video/mp4", "video/3gpp"},
	"video/mp4":  {"video/3gpp", "video/x-m4v", "audio/mp4"}, // mimetype counts a brand of videos as audio
	"video/3gpp": {"video/mp4"},
	"audio/aac":  {"audio/mpeg"}, // with ID3 tags
	"image/png":  {"image/apng"},

	"application/msword":            {"application/x-ole-storage"},
	"application/vnd.ms-excel":      {"application/x-ole-storage"},
	"application/vnd.ms-powerpoint": {"application/x-ole-storage"},

	"application/vnd.openxmlformats-officedocument.wordprocessingml.document":   {"application/zip"},
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":         {"application/zip"},
	"application/vnd.openxmlformats-officedocument.presentationml.presentation": {"application/zip"},
	"application/vnd.oasis.opendocument.text":                                   {"application/zip"},
	"application/vnd.oasis.opendocument.spreadsheet":                            {"application/zip"},
	"application/vnd.oasis.opendocument.presentation":                           {"application/zip"},
}

// Extensions of the types in providers' tables, and the one of what is taken
// for some of them.
var extensions = map[string][]string{
	".jpg": {"image/jpeg"}, ".jpeg": {"image/jpeg"}, ".png": {"image/png"}, ".webp": {"image/webp"},
	".mp4": {"video/mp4", "audio/mp4"}, ".m4v": {"video/mp4"}, ".3gp": {"video/3gpp"}, ".3gpp": {"video/3gpp"},
	".aac": {"audio/aac"}, ".m4a": {"audio/mp4"}, ".amr": {"audio/amr"}, ".mp3": {"audio/mpeg"},
	".ogg": {"audio/ogg", "audio/opus"}, ".oga": {"audio/ogg", "audio/opus"}, ".opus": {"audio/ogg", "audio/opus"},
	".zip": {"application/zip"},
	".txt": {"text/plain"}, ".csv": {"text/csv"}, ".pdf": {"application/pdf"}, ".rtf": {"application/rtf"}, ".tar": {"application/x-tar"},
	".doc": {"application/msword"}, ".xls": {"application/vnd.ms-excel"}, ".ppt": {"application/vnd.ms-powerpoint"},
	".docx": {"application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
	".xlsx": {"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
	".pptx": {"application/vnd.openxmlformats-officedocument.presentationml.presentation"},
	".odt":  {"application/vnd.oasis.opendocument.text"},
	".ods":  {"application/vnd.oasis.opendocument.spreadsheet"},
	".odp":  {"application/vnd.oasis.opendocument.presentation"},
}

// anyType in a rule takes every type.
const anyType = "*/*"

// normal is a content type without parameters, in lower case and in the
// tables' spelling; empty if it isn't one. Parameters aren't looked at: what is
// wrong with them is no reason to lose the type.
func normal(contentType string) string {
	t, _, _ := strings.Cut(contentType, ";")
	t = strings.ToLower(strings.TrimSpace(t))
	major, minor, _ := strings.Cut(t, "/")
	if len(t) > maxType || !isToken(major) || !isToken(minor) {
		return ""
	}
	if s, ok := spellings[t]; ok {
		return s
	}
	return t
}

const maxType = 127 + 1 + 127 // RFC 6838, section 4.2

// isToken reports whether s is a token of HTTP (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	return s != "" && strings.Trim(s, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") == ""
}

// takes reports whether a rule's types hold a normal one.
func takes(types []string, t string) bool {
	return slices.ContainsFunc(types, func(r string) bool { return r == anyType || t != "" && normal(r) == t })
}

// shown is a normal type as it may be repeated to the caller: only known ones,
// for a server can write anything into its answer.
func shown(t string) string {
	if mimetype.Lookup(t) == nil {
		return "an unknown type"
	}
	return t
}

func nothingOr(t string) string {
	if t == "" {
		return "none"
	}
	return t // of the generic ones
}
