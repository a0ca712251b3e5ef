// Package load posts to an HTTP server as fast as a server can answer, at the
// smallest cost to the cores it shares with it: connections that stay, requests
// made once and patched in place, answers read into one buffer.
package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Conn is one connection that stays open. It is not safe for concurrent use.
type Conn struct {
	conn net.Conn
	in   *bufio.Reader
	body []byte
}

// patience bounds one exchange.
const patience = 30 * time.Second

// Dial connects.
func Dial(ctx context.Context, addr string) (*Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	return &Conn{conn: conn, in: bufio.NewReader(conn)}, nil
}

// Close closes the connection.
func (c *Conn) Close() error { return c.conn.Close() }

var (
	contentLength = []byte("Content-Length: ")
	errNoLength   = errors.New("an answer without Content-Length")
	errShort      = errors.New("an answer that isn't HTTP/1.1")
)

// Do writes a whole request and reads the answer. The body is good until the
// next call.
func (c *Conn) Do(request []byte) (status int, body []byte, err error) {
	_ = c.conn.SetDeadline(time.Now().Add(patience)) // an error shows with the write
	if _, err := c.conn.Write(request); err != nil {
		return 0, nil, err
	}
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	if len(line) < len("HTTP/1.1 200") {
		return 0, nil, errShort
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, nil, errShort
	}
	length := -1
	for {
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return 0, nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if digits, ok := bytes.CutPrefix(line, contentLength); ok {
			if length, err = strconv.Atoi(string(digits)); err != nil {
				return 0, nil, errNoLength
			}
		}
	}
	if length < 0 {
		return 0, nil, errNoLength
	}
	if cap(c.body) < length {
		c.body = make([]byte, length)
	}
	c.body = c.body[:length]
	_, err = io.ReadFull(c.in, c.body)
	return status, c.body, err
}

// Recipients are patched into a message as "+46" and as many digits as number
// has, which leave alone the simulator's recipients that misbehave.
const (
	recipientHead = "+46"
	number        = "000000000"
	recipientTail = "7777"
)

// Message is a post to /v1/messages, whole, made once.
type Message struct {
	request []byte
	at      int // of the number
}

// NewMessage makes a post of a text of so many bytes.
func NewMessage(key, account, priority string, size int) *Message {
	head := fmt.Sprintf(`{"account":%q,"to":"%s`, account, recipientHead)
	body := fmt.Sprintf(`%s%s%s","type":"text","priority":%q,"text":{"body":"%s"}}`, head, number, recipientTail, priority, Text(size))
	request := fmt.Appendf(nil, "POST /v1/messages HTTP/1.1\r\nHost: sluice\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		key, len(body))
	return &Message{request: append(request, body...), at: len(request) + len(head)}
}

// To is the request for a message to the n-th recipient. It is good until the
// next call.
func (m *Message) To(n int) []byte {
	PutNumber(m.request[m.at:m.at+len(number)], n)
	return m.request
}

// PutNumber writes n with leading zeros, as many digits as there is room for.
func PutNumber(digits []byte, n int) {
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
}

// Text is so many bytes to say.
func Text(size int) []byte {
	return bytes.Repeat([]byte("Your order has shipped. "), size/24+1)[:size]
}

// ID is the id that an answer of the API begins with, a copy.
func ID(body []byte) string {
	_, rest, found := bytes.Cut(body, []byte(`"id":"`))
	id, _, closed := bytes.Cut(rest, []byte(`"`))
	if !found || !closed {
		return ""
	}
	return string(id)
}

// Accepted checks an answer to a post.
func Accepted(status int, body []byte, err error) error {
	if err != nil {
		return fmt.Errorf("post: %w", err)
	}
	if status != http.StatusAccepted {
		return fmt.Errorf("post: %d %s", status, body)
	}
	return nil
}

// Lines is NDJSON: so many texts of so many bytes, from the first-th recipient
// on, made as they are read.
func Lines(first, count, size int) io.Reader {
	line := fmt.Appendf(nil, `{"to":"%s%s%s","type":"text","text":{"body":"%s"}}`+"\n", recipientHead, number, recipientTail, Text(size))
	return &lines{line: line, at: bytes.Index(line, []byte(number)), next: first, end: first + count}
}

type lines struct {
	line      []byte
	at        int // of the number
	next, end int
	rest      []byte // of the current line
}

// Read implements io.Reader.
func (l *lines) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(l.rest) == 0 {
			if l.next == l.end {
				break
			}
			PutNumber(l.line[l.at:l.at+len(number)], l.next)
			l.next++
			l.rest = l.line
		}
		copied := copy(p[n:], l.rest)
		l.rest = l.rest[copied:]
		n += copied
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}
