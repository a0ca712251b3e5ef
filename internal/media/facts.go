package media

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/gabriel-vasile/mimetype"

	"sluice/internal/gateway"
)

// facts is what a fetch found, whatever rule it is judged by.
type facts struct {
	missing   verdict // why there is no file; accepts if there is one
	declared  string  // normal; empty: the server declares nothing that can be read
	extension string  // of the file's name, with its dot; empty: none that is known
	content   *mimetype.MIME
	text      bool  // nothing in its first bytes is binary
	opus      bool  // an Ogg stream of Opus
	channels  byte  // of that stream
	still     bool  // a WebP image without animation
	sniffed   int64 // how many bytes that was told from
	size      int64
	more      bool // the size is at least that much

	// What the server knows this version of the file by; empty if it doesn't say.
	etag     string
	modified string
	head     [sha256.Size]byte // of the bytes that the type was told from
}

func noFile(why verdict) finding { return finding{facts: facts{missing: why}} }

// maxValidator is the longest validator that is remembered.
const maxValidator = 256

// validators keeps what the server knows the file by. A date is that of the
// link itself: where a redirect leads, it may be another file's.
func (f *facts) validators(resp *http.Response) {
	if tag := resp.Header.Get("ETag"); len(tag) <= maxValidator {
		f.etag = tag
	}
	if date := resp.Header.Get("Last-Modified"); len(date) <= maxValidator && resp.Request.Response == nil {
		f.modified = date
	}
}

// confirmable reports whether the server can be asked if the facts still hold.
func (f *facts) confirmable() bool { return f.etag != "" || f.modified != "" }

// conditions has a request answered with 304 if the facts still hold.
func (f *facts) conditions(h http.Header) {
	switch {
	case f.etag != "":
		h.Set("If-None-Match", f.etag)
	case f.modified != "":
		h.Set("If-Modified-Since", f.modified)
	}
}

// version tells this version of the file from others: by what its server says,
// else as far as can be seen. It is empty if the size isn't known either.
func (f *facts) version() string {
	seen := fmt.Appendf(nil, "%q %x %q", f.declared, f.head, f.etag)
	switch {
	case f.etag != "":
	case f.more:
		return ""
	default:
		seen = fmt.Appendf(seen, " %q %d", f.modified, f.size)
	}
	sum := sha256.Sum256(seen)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// same reports whether both are facts of one version of the file.
func (f *facts) same(other *facts) bool {
	v := f.version()
	return v != "" && v == other.version()
}

// contentType is what the file is handed on as.
func (f *facts) contentType() string {
	switch {
	case f.declared == "":
		return "application/octet-stream"
	case f.declared == "audio/ogg" && f.opus:
		return "audio/ogg; codecs=opus" // some hosts take no other Ogg, and look at the name only
	}
	return f.declared
}

// headSize is how many bytes the content's type is told from: as many as
// mimetype looks at.
const headSize = 4096

func (f *facts) sniff(head []byte) {
	f.head = sha256.Sum256(head)
	f.content = mimetype.Detect(head)
	f.text = isText(head)
	f.opus, f.channels = isOpus(head)
	f.still = f.content.Is("image/webp") && !isAnimatedWebP(head)
	f.sniffed = int64(len(head))
}

// verdict applies a rule. The verdict isn't known if too little was read for
// the rule's limit; it is for the rule that the fetch was made under.
func (f *facts) verdict(kind gateway.MediaKind, rule gateway.MediaRule) (v verdict, known bool) {
	what, limit := string(kind), rule.MaxBytes
	if kind == gateway.MediaSticker && f.still && rule.MaxStill > 0 && rule.MaxStill < limit {
		what, limit = "a sticker without animation", rule.MaxStill
	}
	switch {
	case !f.missing.ok():
		return f.missing, true
	case (f.more || f.sniffed < f.size) && f.sniffed < min(headSize, limit+1):
		return verdict{}, false
	case f.size == 0:
		return wrongType(kind, "the file is empty"), true
	}
	if problem := f.typeProblem(kind, rule.Types); problem != "" {
		return wrongType(kind, problem), true
	}
	if kind == gateway.MediaSticker && rule.StillOnly && !f.still {
		return wrongType(kind, "it is animated, which isn't taken"), true
	}
	if kind == gateway.MediaAudio && rule.MonoOnly && f.opus && f.channels != 1 {
		return wrongType(kind, "it has more than the one channel that is taken"), true
	}
	switch {
	case f.size > limit:
		return tooLarge(what, limit), true
	case f.more:
		return verdict{}, false
	}
	return verdict{}, true
}

// typeProblem says what is wrong with the file's type, or "". The declared type
// decides, as it does for the providers; content and name can only contradict.
func (f *facts) typeProblem(kind gateway.MediaKind, types []string) string {
	if says := f.declared != "" && !slices.Contains(generic, f.declared); !says {
		if takes(types, f.declared) {
			return ""
		}
		return "its server must declare the content type, and declares " + nothingOr(f.declared)
	}
	declared := "its server declares " + shown(f.declared)
	switch {
	case !takes(types, f.declared):
		return declared + ", which isn't taken"
	case !f.contentMayBe(f.declared, kind):
		return declared + ", but its content is " + f.contentShown(kind)
	case !f.nameMayBe(f.declared):
		return declared + ", but its name ends in " + f.extension
	}
	return ""
}

func (f *facts) contentShown(kind gateway.MediaKind) string {
	t := shown(normal(f.content.String()))
	if t == "audio/ogg" && !f.opus && kind == gateway.MediaAudio {
		t += " of a codec other than Opus"
	}
	return t
}

// contentMayBe reports whether content of the kind may be of the normal type.
func (f *facts) contentMayBe(t string, kind gateway.MediaKind) bool {
	switch t {
	case "text/plain":
		return f.text && !f.content.Is("application/pdf")
	case "text/csv": // a page in place of a table is the usual lie
		return f.text && !f.content.Is("text/html")
	case "audio/ogg", "audio/opus":
		// WhatsApp plays no other codec in Ogg. mimetype has short streams as
		// application/ogg.
		return normal(f.content.String()) == "audio/ogg" && (f.opus || kind != gateway.MediaAudio)
	}
	if normal(f.content.String()) == t || f.content.Is(t) || slices.ContainsFunc(lookalikes[t], f.content.Is) {
		return true
	}
	// Nobody can tell a type that mimetype doesn't know: bytes without a
	// meaning of their own may be it, and so may text.
	return mimetype.Lookup(t) == nil && (f.content.Is("application/octet-stream") || f.text)
}

// nameMayBe reports whether the name leaves room for the normal type. It is
// heard only where the content doesn't say enough.
func (f *facts) nameMayBe(t string) bool {
	if !slices.ContainsFunc([]string{"application/zip", "application/x-ole-storage", "application/octet-stream"}, f.content.Is) {
		return true
	}
	types, known := extensions[f.extension]
	return !known || slices.Contains(types, t)
}

// extension is that of the first of the paths which has a known one.
func extension(paths ...string) string {
	for _, p := range paths {
		ext := strings.ToLower(path.Ext(p))
		if _, known := extensions[ext]; known {
			return ext
		}
	}
	return ""
}

// isText reports whether the bytes hold none that the MIME Sniffing standard
// calls binary, or begin with a byte order mark of UTF-16.
func isText(head []byte) bool {
	if b := string(head[:min(2, len(head))]); b == "\xff\xfe" || b == "\xfe\xff" {
		return true
	}
	return !slices.ContainsFunc(head, func(b byte) bool {
		return b < ' ' && b != '\t' && b != '\n' && b != '\f' && b != '\r' && b != 0x1b
	})
}

// isOpus reports whether the first packet of an Ogg stream is Opus' header, and
// how many channels that tells (RFC 7845, section 5.1).
func isOpus(head []byte) (opus bool, channels byte) {
	const firstPacket, count = 28, 28 + 9
	if len(head) <= count || !strings.HasPrefix(string(head[firstPacket:]), "OpusHead") {
		return false, 0
	}
	return true, head[count]
}

// isAnimatedWebP reports whether a WebP file has the animation flag in its
// extended header (WebP container specification).
func isAnimatedWebP(head []byte) bool {
	const chunk, flags, animation = 12, 20, 0x02
	return len(head) > flags && string(head[chunk:chunk+4]) == "VP8X" && head[flags]&animation != 0
}
