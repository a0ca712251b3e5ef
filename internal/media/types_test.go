package media

import (
	"strings"
	"testing"

	"sluice/internal/gateway"
)

const (
	docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
	xlsx = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	odt  = "application/vnd.oasis.opendocument.text"
)

// The tables of the Cloud API reference, and of Sinch WhatsApp API v1 where it
// takes more.
var (
	imageTypes    = []string{"image/jpeg", "image/png"}
	videoTypes    = []string{"video/mp4", "video/3gpp"}
	audioTypes    = []string{"audio/aac", "audio/mp4", "audio/amr", "audio/mpeg", "audio/ogg", "audio/opus"}
	documentTypes = []string{
		"text/plain", "text/csv", "application/pdf", "application/msword", "application/x-tar", "application/rtf.0",
		docx, xlsx, "application/vnd.ms-excel", odt,
	}
	stickerTypes = []string{"image/webp"}
)

func TestTypeProblem(t *testing.T) {
	wordFile := archive(t, 1, "[Content_Types].xml", "_rels/.rels", "word/document.xml")
	sheetFile := archive(t, 1, "[Content_Types].xml", "_rels/.rels", "xl/workbook.xml")
	farFile := archive(t, 2*headSize, "customXml/item1.xml", "word/document.xml")
	const (
		image, video, audio = gateway.MediaImage, gateway.MediaVideo, gateway.MediaAudio
		document, sticker   = gateway.MediaDocument, gateway.MediaSticker
	)
	for _, tc := range []struct {
		name     string
		kind     gateway.MediaKind
		types    []string
		declared string
		file     string // name
		content  string
		want     string // part of the problem; empty: none
	}{
		{"a JPEG image", image, imageTypes, "image/jpeg", "a.jpg", jpegFile, ""},
		{"a type in capitals with parameters", image, imageTypes, "Image/JPEG; name=a.jpg", "a", jpegFile, ""},
		{"parameters that can't be read", image, imageTypes, "image/png; ;;=; charset", "a.png", pngFile, ""},
		{"a parameter given twice", document, documentTypes, "text/plain; charset=utf-8; charset=utf-8", "a", "hello", ""},
		{"a usual misspelling", image, imageTypes, "image/jpg", "a.jpg", jpegFile, ""},
		{"a name that says otherwise is of no account beside clear content", image, imageTypes, "image/jpeg", "a.png", jpegFile, ""},
		{"PNG declared as JPEG", image, imageTypes, "image/jpeg", "a.jpg", pngFile, "declares image/jpeg, but its content is image/png"},
		{"a page declared as an image", image, imageTypes, "image/jpeg", "a.jpg", page, "its content is text/html"},
		{"an image declared as a page", image, imageTypes, "text/html; charset=utf-8", "a.jpg", jpegFile, "declares text/html, which isn't taken"},
		{"GIF, honestly declared", image, imageTypes, "image/gif", "a.gif", gifFile, "declares image/gif, which isn't taken"},
		{"bytes without meaning", image, imageTypes, "image/png", "a.png", bytesOf, "its content is application/octet-stream"},

		{"a program declared as an image", image, imageTypes, "image/png", "a.png", programFile, "its content is application/vnd.microsoft.portable-executable"},
		{"a program under its own name", image, imageTypes, "image/png", "a.exe", programFile, "its content is application/vnd.microsoft.portable-executable"},
		{"a program declared as a document", document, documentTypes, "application/pdf", "a.pdf", programFile, "its content is application/vnd.microsoft.portable-executable"},
		{"a program declared as text", document, documentTypes, "text/plain", "a.txt", programFile, "its content is application/vnd.microsoft.portable-executable"},
		{"a program declared as Word", document, documentTypes, docx, "a.docx", elfFile, "its content is application/x-executable"},
		{"a program declared as a sheet where a rule takes all", document, []string{"*/*"}, xlsx, "a.xlsx", elfFile, "its content is application/x-executable"},
		{"a drawing declared as an image", image, imageTypes, "image/png", "a.png", svgFile, "its content is image/svg+xml"},
		{"an image declared as video", video, videoTypes, "video/mp4", "a.mp4", jpegFile, "its content is image/jpeg"},
		{"a JPEG image that is named as a program", image, imageTypes, "image/jpeg", "a.exe", jpegFile, ""},
		{"no declared type", image, imageTypes, "", "a.jpg", jpegFile, "must declare the content type, and declares none"},
		{"a declared type that is none", image, imageTypes, "jpeg", "a.jpg", jpegFile, "declares none"},
		{"a list of types", image, imageTypes, "image/jpeg, image/jpeg", "a.jpg", jpegFile, "declares none"},
		{"octet-stream says nothing", image, imageTypes, "application/octet-stream", "a.jpg", jpegFile, "declares application/octet-stream"},
		{"nor does S3's default", image, imageTypes, "binary/octet-stream", "a.jpg", jpegFile, "declares binary/octet-stream"},
		{"octet-stream where a rule takes it", document, []string{"application/octet-stream"}, "application/octet-stream", "a.bin", jpegFile, ""},
		{"no declared type where a rule takes all", document, []string{"*/*"}, "", "a.bin", bytesOf, ""},
		{"a type nobody knows where a rule takes all", document, []string{"*/*"}, "application/x-secret", "a.bin", bytesOf, ""},
		{"a lie where a rule takes all", document, []string{"*/*"}, "application/pdf", "a.pdf", page, "its content is text/html"},
		{"unknown types aren't repeated", image, imageTypes, "image/tok-5f3a", "a.jpg", jpegFile, "declares an unknown type, which"},

		{"MP4 video", video, videoTypes, "video/mp4", "a.mp4", mp4File, ""},
		{"MP4 video of a brand that sniffs as audio", video, videoTypes, "video/mp4", "a.mp4", msnvFile, ""},
		{"3GPP video", video, videoTypes, "video/3gpp", "a.3gp", gp3File, ""},
		{"3GPP declared as MP4", video, videoTypes, "video/mp4", "a.mp4", gp3File, ""},
		{"QuickTime declared as MP4", video, videoTypes, "video/mp4", "a.mp4", movFile, "its content is video/quicktime"},
		{"M4A declared as video", video, videoTypes, "video/mp4", "a.mp4", m4aFile, "its content is audio/mp4"},

		{"Opus in Ogg", audio, audioTypes, "audio/ogg; codecs=opus", "a.ogg", opusFile, ""},
		{"Opus in Ogg, declared as Ogg of any kind", audio, audioTypes, "application/ogg", "a.ogg", opusFile, ""},
		{"Opus in Ogg by its other name", audio, audioTypes, "audio/opus", "a.opus", opusFile, ""},
		{"its other name where only the first is taken", audio, []string{"audio/ogg"}, "audio/opus", "a.opus", opusFile, "isn't taken"},
		{"Vorbis in Ogg", audio, audioTypes, "audio/ogg", "a.ogg", vorbisFile, "its content is audio/ogg of a codec other than Opus"},
		{"Vorbis in Ogg that claims to be Opus", audio, audioTypes, "audio/ogg; codecs=opus", "a.ogg", vorbisFile, "codec other than Opus"},
		{"Vorbis in Ogg as a document", document, audioTypes, "audio/ogg", "a.ogg", vorbisFile, ""},
		{"MP3 declared as Ogg", audio, audioTypes, "audio/ogg", "a.ogg", id3File, "its content is audio/mpeg"},
		{"AMR", audio, audioTypes, "audio/amr", "a.amr", amrFile, ""},
		{"AAC", audio, audioTypes, "audio/aac", "a.aac", aacFile, ""},
		{"AAC with ID3 tags", audio, audioTypes, "audio/aac", "a.aac", id3File, ""},
		{"MP3", audio, audioTypes, "audio/mpeg", "a.mp3", id3File, ""},
		{"M4A", audio, audioTypes, "audio/x-m4a", "a.m4a", m4aFile, ""},
		{"audio in plain MP4", audio, audioTypes, "audio/mp4", "a.m4a", mp4File, ""},
		{"JPEG declared as MP3", audio, audioTypes, "audio/mpeg", "a.mp3", jpegFile, "its content is image/jpeg"},

		{"PDF", document, documentTypes, "application/pdf", "a.pdf", pdfFile, ""},
		{"a page declared as PDF", document, documentTypes, "application/pdf", "a.pdf", page, "its content is text/html"},
		{"Word", document, documentTypes, docx, "a.docx", wordFile, ""},
		{"Word whose parts lie far on looks like zip", document, documentTypes, docx, "a.docx", farFile, ""},
		{"zip under a name that says nothing", document, documentTypes, docx, "download", farFile, ""},
		{"zip that is named so", document, documentTypes, docx, "a.zip", farFile, "its name ends in .zip"},
		{"a far Word file named as a sheet", document, documentTypes, docx, "a.xlsx", farFile, "its name ends in .xlsx"},
		{"a sheet declared as Word", document, documentTypes, docx, "a.docx", sheetFile, "its content is " + xlsx},
		{"old Word", document, documentTypes, "application/msword", "a.doc", padded(oleFile, 600), ""},
		{"old Excel by another spelling", document, documentTypes, "application/msexcel", "a.xls", padded(oleFile, 600), ""},
		{"old Word named as old Excel", document, documentTypes, "application/msword", "a.xls", padded(oleFile, 600), "its name ends in .xls"},
		{"zip declared as old Word", document, documentTypes, "application/msword", "a.doc", farFile, "its content is application/zip"},
		{"RTF as Sinch spells it", document, documentTypes, "application/rtf.0", "a.rtf", rtfFile, ""},
		{"RTF as it is spelled", document, documentTypes, "application/rtf", "a.rtf", rtfFile, ""},

		{"plain text", document, documentTypes, "text/plain; charset=utf-8", "a.txt", "Grüße aus Malmö\n", ""},
		{"plain text in Latin-1", document, documentTypes, "text/plain; charset=iso-8859-1", "a.txt", "Gr\xfc\xdfe\n", ""},
		{"plain text in UTF-16", document, documentTypes, "text/plain; charset=utf-16", "a.txt", "\xff\xfeh\x00i\x00", ""},
		{"plain text that begins like a bitmap", document, documentTypes, "text/plain", "a.txt", "BMW and Volvo\n", ""},
		{"plain text that is JSON", document, documentTypes, "text/plain", "a.txt", `{"a": 1}`, ""},
		{"binary declared as text", document, documentTypes, "text/plain", "a.txt", bytesOf, "its content is application/octet-stream"},
		{"PDF declared as text", document, documentTypes, "text/plain", "a.txt", pdfFile, "its content is application/pdf"},
		{"a table", document, documentTypes, "text/csv", "a.csv", "a,b\n1,2\n", ""},
		{"a table of one column", document, documentTypes, "application/csv", "a.csv", "name\nAda\n", ""},
		{"a page declared as a table", document, documentTypes, "text/csv", "a.csv", page, "its content is text/html"},

		{"a still sticker", sticker, stickerTypes, "image/webp", "a.webp", stillWebP, ""},
		{"PNG declared as a sticker", sticker, stickerTypes, "image/webp", "a.webp", pngFile, "its content is image/png"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := facts{declared: normal(tc.declared), extension: extension("/files/" + tc.file)}
			f.sniff([]byte(tc.content)[:min(headSize, len(tc.content))])
			got := f.typeProblem(tc.kind, tc.types)
			if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestExtension(t *testing.T) {
	for _, tc := range []struct {
		name, answered, asked, want string
	}{
		{"of what was answered", "/a/b.PDF", "/x.jpg", ".pdf"},
		{"of the link where the answer's name has none", "/blob/4711", "/x.jpg", ".jpg"},
		{"an unknown one is none", "/x.exe", "/x.exe", ""},
		{"no path", "", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := extension(tc.answered, tc.asked); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func FuzzNormal(f *testing.F) {
	for _, s := range []string{"image/jpeg", "Text/Plain; charset=\"utf-8\"", "a/b/c", "/", ";", " image/jpg ;", "application/rtf.0", "*/*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := normal(s)
		if got == "" {
			return
		}
		if again := normal(got); again != got {
			t.Errorf("%q becomes %q, and that %q", s, got, again)
		}
		if strings.Count(got, "/") != 1 || strings.ContainsAny(got, "; \t\r\n\"") || got != strings.ToLower(got) || len(got) > maxType {
			t.Errorf("%q becomes %q", s, got)
		}
		if !takes([]string{s}, got) || !takes([]string{anyType}, got) {
			t.Errorf("a rule with %q doesn't take it", s)
		}
	})
}

// Whatever a server sends, the words about it come from our own tables.
func FuzzTypeProblem(f *testing.F) {
	f.Add("image/jpeg", "/a.jpg", []byte(jpegFile))
	f.Add("image/secret", "/a.secret", []byte(page))
	f.Add("application/msword", "/a.zip", []byte(oleFile))
	f.Fuzz(func(t *testing.T, declared, path string, head []byte) {
		found := facts{declared: normal(declared), extension: extension(path)}
		found.sniff(head)
		for _, kind := range []gateway.MediaKind{gateway.MediaAudio, gateway.MediaDocument} {
			problem := found.typeProblem(kind, append(audioTypes, documentTypes...))
			if problem == "" && found.declared == "" {
				t.Error("a file without a declared type is let through")
			}
			if len(problem) > 250 || strings.ContainsAny(problem, "\r\n\x00") {
				t.Errorf("problem %q", problem)
			}
		}
	})
}
