package simulator

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"
	"strconv"
	"time"
)

// sample is a file served for tests. Its content is of the type its name says;
// whether a player likes it is another matter.
type sample struct {
	contentType string
	content     []byte
}

// samples makes the files by name.
func samples() map[string]sample {
	jpg := samplePicture(func(w io.Writer, m image.Image) error { return jpeg.Encode(w, m, nil) })
	return map[string]sample{
		"photo.jpg":    {"image/jpeg", jpg},
		"photo.png":    {"image/png", samplePicture(png.Encode)},
		"clip.mp4":     {"video/mp4", sampleMP4()},
		"paper.pdf":    {"application/pdf", samplePDF()},
		"sticker.webp": {"image/webp", sampleWebP()},
		"voice.ogg":    {"audio/ogg", sampleOgg()},
		"tune.mp3":     {"audio/mpeg", sampleMP3()},
		"wrong.jpg":    {"image/jpeg", []byte("This is text, whatever the header says.\n")},
	}
}

// The bounds of what is asked by query.
const (
	maxSampleBytes = 256 << 20
	maxSampleDelay = 10 * time.Minute
)

func (s *Simulator) showMedia(w http.ResponseWriter, r *http.Request) {
	all := s.media()
	name, size := r.PathValue("name"), int64(0)
	switch name {
	case "big.jpg":
		name = "photo.jpg"
		n, err := strconv.ParseInt(r.URL.Query().Get("bytes"), 10, 64)
		if err != nil || n < int64(len(all[name].content)) || n > maxSampleBytes {
			http.Error(w, fmt.Sprintf("bytes: must be %d to %d", len(all[name].content), maxSampleBytes), http.StatusBadRequest)
			return
		}
		size = n
	case "slow":
		name = "photo.jpg"
		ms, err := strconv.ParseInt(r.URL.Query().Get("ms"), 10, 64)
		if err != nil || ms < 0 || ms > maxSampleDelay.Milliseconds() {
			http.Error(w, fmt.Sprintf("ms: must be 0 to %d", maxSampleDelay.Milliseconds()), http.StatusBadRequest)
			return
		}
		if !s.pause(r, time.Duration(ms)*time.Millisecond) {
			return
		}
	}
	file, ok := all[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	padding := max(size-int64(len(file.content)), 0)
	w.Header().Set("Content-Type", file.contentType)
	w.Header().Set("Content-Length", strconv.FormatInt(int64(len(file.content))+padding, 10))
	if r.Method == http.MethodHead {
		return
	}
	_, err := w.Write(file.content)
	block := make([]byte, min(padding, 64<<10)) // what follows a picture's end is ignored
	for padding > 0 && err == nil {
		n := min(padding, int64(len(block)))
		_, err = w.Write(block[:n]) // fails when the client has gone
		padding -= n
	}
}

func samplePicture(encode func(io.Writer, image.Image) error) []byte {
	m := image.NewRGBA(image.Rect(0, 0, 64, 64))
	for i := range 64 * 64 {
		m.Set(i%64, i/64, color.RGBA{R: uint8(i % 64 * 4), G: uint8(i / 64 * 4), B: 128, A: 255})
	}
	var b bytes.Buffer
	if err := encode(&b, m); err != nil {
		panic(fmt.Sprintf("simulator: encode a sample: %v", err)) // a buffer takes everything
	}
	return b.Bytes()
}

// sampleMP4 is a file type box and an empty media data box.
func sampleMP4() []byte {
	return []byte("\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41" + "\x00\x00\x00\x08mdat")
}

// samplePDF is one blank page.
func samplePDF() []byte {
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>",
	}
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	table := bytes.NewBufferString("0000000000 65535 f \n")
	for i, o := range objects {
		fmt.Fprintf(table, "%010d 00000 n \n", b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 4\n%strailer\n<< /Size 4 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", table, start)
	return b.Bytes()
}

// sampleWebP is 512 by 512 transparent pixels, lossless: each of the five
// prefix codes has one symbol, so that a pixel takes no bits.
func sampleWebP() []byte {
	const side = 512
	bits := uint32(side-1) | uint32(side-1)<<14 | 1<<28 // width, height, alpha is used
	payload := binary.LittleEndian.AppendUint32([]byte{0x2f}, bits)
	payload = append(payload, 0x88, 0x88, 0x08)
	return append([]byte("RIFF\x14\x00\x00\x00WEBPVP8L\x08\x00\x00\x00"), payload...)
}

// sampleOgg is the first page of an Opus stream: mono, 48 kHz.
func sampleOgg() []byte {
	packet := []byte("OpusHead\x01\x01\x38\x01\x80\xbb\x00\x00\x00\x00\x00")
	page := []byte("OggS\x00\x06\x00\x00\x00\x00\x00\x00\x00\x00\x53\x4c\x55\x43\x00\x00\x00\x00\x00\x00\x00\x00\x01")
	page = append(append(page, byte(len(packet))), packet...) //nolint:gosec // 19
	binary.LittleEndian.PutUint32(page[22:], oggChecksum(page))
	return page
}

// oggChecksum is the CRC of Ogg pages: polynomial 0x04c11db7, most significant
// bit first, nothing inverted.
func oggChecksum(page []byte) uint32 {
	var crc uint32
	for _, b := range page {
		crc ^= uint32(b) << 24
		for range 8 {
			if crc&(1<<31) != 0 {
				crc = crc<<1 ^ 0x04c11db7
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

// sampleMP3 is an empty ID3 tag and two silent frames, 128 kbit/s at 44.1 kHz.
func sampleMP3() []byte {
	frame := append([]byte{0xff, 0xfb, 0x90, 0x00}, make([]byte, 413)...)
	return append(append([]byte("ID3\x03\x00\x00\x00\x00\x00\x00"), frame...), frame...)
}
