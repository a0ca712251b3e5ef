package media

import (
	"archive/zip"
	"bytes"
	"strings"
	"testing"
)

// The beginnings of files, by hand from the formats' specifications.
const (
	jpegFile = "\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
	pngFile  = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00"
	gifFile  = "GIF89a\x01\x00\x01\x00\x00\x00\x00"

	stillWebP    = "RIFF\x24\x00\x00\x00WEBPVP8 \x18\x00\x00\x00\x30\x01\x00\x9d\x01\x2a"
	stillWebPX   = "RIFF\x24\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x10\x00\x00\x00\xff\x01\x00\xff\x01\x00" // alpha
	animatedWebP = "RIFF\x24\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x12\x00\x00\x00\xff\x01\x00\xff\x01\x00"

	mp4File  = "\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"
	msnvFile = "\x00\x00\x00\x18ftypMSNV\x00\x00\x00\x00MSNVisom"
	gp3File  = "\x00\x00\x00\x18ftyp3gp4\x00\x00\x00\x00isom3gp4"
	m4aFile  = "\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00M4A mp42"
	movFile  = "\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  "

	oggPage    = "OggS\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x01\x02\x03\x04\x00\x00\x00\x00\x05\x06\x07\x08\x01\x13"
	opusFile   = oggPage + "OpusHead\x01\x01\x38\x01\x80\xbb\x00\x00\x00\x00\x00"
	vorbisFile = oggPage + "\x01vorbis\x00\x00\x00\x00\x01\x44\xac\x00\x00\x00\x00\x00"
	amrFile    = "#!AMR\n\x3c\x08"
	aacFile    = "\xff\xf1\x50\x80\x02\x1f\xfc"
	id3File    = "ID3\x04\x00\x00\x00\x00\x00\x0aTIT2\x00\x00\x00\x00\x00\x00"

	pdfFile     = "%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n"
	rtfFile     = `{\rtf1\ansi Hello}`
	oleFile     = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
	svgFile     = `<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"></svg>`
	page        = "<!DOCTYPE html><html><head><title>Not here</title></head></html>"
	programFile = "MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00"
	elfFile     = "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00\x01\x00\x00\x00"
	bytesOf     = "\x00\x01\x02\x03\x04\x05\x06\x07"
)

func padded(s string, n int) string { return s + strings.Repeat("\x00", n-len(s)) }

// archive makes a zip file with entries of the names, the first one of the
// given size.
func archive(t *testing.T, first int, names ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range names {
		e, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Write(make([]byte, first)); err != nil {
			t.Fatal(err)
		}
		first = 1
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
