// Package media looks at linked files before a message that shows them is
// sent. Providers often accept a file of the wrong type or size and report it
// only later, when the message is lost (Cloud API reference, error 131053).
package media

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"sluice/internal/gateway"
)

// Options tune a Checker. Zero fields mean the defaults.
type Options struct {
	// Refused recognises the client's errors that say a link leads where
	// nothing may be fetched, however often it is tried. Default: none does.
	Refused  func(error) bool
	Timeout  time.Duration // of one fetch as a whole, or until its file is handed to a Put; 20 s
	Parallel int           // fetches of one Judge at one time; 32
	Remember int           // links remembered; 4,096

	UploadTimeout  time.Duration // of one Put; 5 min
	UploadParallel int           // fetches of one Judge that may lead to a Put, at one time; 8
}

// maxBytes bounds what is read under a rule that names no limit: the largest
// file that WhatsApp takes of any kind.
const maxBytes = 100 << 20

// maxRedirects is how many redirects are followed.
const maxRedirects = 3

// Checker fetches links and remembers for a while what it found there, so that
// a batch that shows one file fetches it once. It is safe for concurrent use
// and starts no goroutine.
type Checker struct {
	client  *http.Client
	refused func(error) bool
	timeout time.Duration
	slots   int

	uploadTimeout time.Duration
	uploadSlots   int

	mu      sync.Mutex
	cache   *cache
	flights map[key]*flight
}

// key is what is fetched and remembered together. Accounts share nothing: what
// one has learned of a link is no hint to another.
type key struct {
	account gateway.AccountID
	link    string
}

// flight is a fetch under way, for all who ask about the link.
type flight struct {
	done      chan struct{}
	found     finding
	foundAt   time.Time
	settled   bool   // false: whoever fetched gave up; another should
	forgotten string // an id that was dropped meanwhile
}

// NewChecker makes a checker that fetches with the client. The client decides
// what may be reached; the checker follows at most three of the redirects that
// the client would follow.
func NewChecker(client *http.Client, opts Options) *Checker {
	if opts.Refused == nil {
		opts.Refused = func(error) bool { return false }
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 20 * time.Second
	}
	if opts.Parallel <= 0 {
		opts.Parallel = 32
	}
	if opts.Remember <= 0 {
		opts.Remember = 4096
	}
	if opts.UploadTimeout <= 0 {
		opts.UploadTimeout = 5 * time.Minute
	}
	if opts.UploadParallel <= 0 {
		opts.UploadParallel = 8
	}
	return &Checker{
		client:        limitRedirects(client),
		refused:       opts.Refused,
		timeout:       opts.Timeout,
		slots:         opts.Parallel,
		uploadTimeout: opts.UploadTimeout,
		uploadSlots:   opts.UploadParallel,
		cache:         newCache(opts.Remember),
		flights:       make(map[key]*flight),
	}
}

// redirectError is a redirect that isn't followed, in words for the caller.
type redirectError string

func (e redirectError) Error() string { return string(e) }

func limitRedirects(client *http.Client) *http.Client {
	limited := *client
	limited.CheckRedirect = func(next *http.Request, via []*http.Request) error {
		next.Header.Del("Referer") // the link before may hold a secret
		if len(via) > maxRedirects {
			return redirectError("too many redirects")
		}
		if next.URL.Scheme != "http" && next.URL.Scheme != "https" {
			return redirectError("it redirects to what is no http or https URL")
		}
		if client.CheckRedirect != nil {
			return client.CheckRedirect(next, via)
		}
		return nil
	}
	return &limited
}

// Judge is a Checker for the files of one account. It is safe for concurrent
// use.
type Judge struct {
	checker *Checker
	account gateway.AccountID
	slots   chan struct{}
	uploads chan struct{}
}

// For makes the judge of an account's files; one is enough. Judges share what
// they found for the same account, and their fetches wait for no other's.
func (c *Checker) For(account gateway.AccountID) *Judge {
	return &Judge{
		checker: c, account: account,
		slots: make(chan struct{}, c.slots), uploads: make(chan struct{}, c.uploadSlots),
	}
}

// Judge fetches as much of the linked file as it takes to say whether it may
// be sent under the provider's rule, at most a byte more than the rule's limit:
// the content type its server declares must be among the rule's types, its
// content and name must bear that out, and its size be within the limit. No
// limit means WhatsApp's largest, 100 MiB; "*/*" takes every type. Nil means
// that nothing speaks against the file, which holds for one that is no link and
// for one that only the provider has the credentials to fetch. If ctx ends
// first, the answer is a retryable refusal that nobody remembers.
//
// What was found is remembered for a while. After that the server is asked
// whether the file has changed, if it ever said what it knows the file by.
//
// A refusal has ClassMedia and one of this package's codes. It holds nothing
// of the link.
func (j *Judge) Judge(ctx context.Context, f gateway.File, rule gateway.MediaRule) (refused *gateway.Error, retryable bool) {
	a := j.ask(ctx, f, want{kind: f.Kind, rule: rule})
	return a.refused, a.retryable
}

// Upload judges likewise and gives the provider's id for the file. put is
// called for that, with the file as it comes from its server, once for all who
// ask for the same holder; then the id is remembered until shortly before it
// expires or the file changes. While the file can't be fetched the id remains.
// The answer of a put that failed is remembered for a few seconds, or for a
// minute if another can't do better. The id is empty for a file that isn't
// refused and that Judge wouldn't look at.
func (j *Judge) Upload(ctx context.Context, f gateway.File, rule gateway.MediaRule, holder string, put Put) (id string, refused *gateway.Error, retryable bool) {
	a := j.ask(ctx, f, want{kind: f.Kind, rule: rule, holder: holder, put: put})
	return a.id, a.refused, a.retryable
}

// Forget drops an id that Upload gave for the file: the provider doesn't know
// it any more.
func (j *Judge) Forget(f gateway.File, id string) {
	if f.Media == nil {
		return
	}
	c, k := j.checker, key{account: j.account, link: f.Media.Link}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cache.forget(k, id)
	if f := c.flights[k]; f != nil {
		f.forgotten = id
	}
}

func (j *Judge) ask(ctx context.Context, f gateway.File, w want) reply {
	if f.Media == nil || f.Media.Link == "" || f.Media.Provider != "" {
		return reply{}
	}
	if problem := gateway.CheckLink(f.Media.Link); problem != "" {
		return badLink("the link " + problem).reply()
	}
	if len(w.rule.Types) == 0 {
		return wrongType(w.kind, fmt.Sprintf("the provider takes no %s", w.kind)).reply()
	}
	if w.rule.MaxBytes <= 0 {
		w.rule.MaxBytes = maxBytes
	}
	c, k := j.checker, key{account: j.account, link: f.Media.Link}
	for {
		now := time.Now()
		c.mu.Lock()
		last, fresh := c.cache.get(k, now)
		if fresh {
			if a, ok := last.reply(w, now); ok {
				c.mu.Unlock()
				return a
			}
		}
		f, underWay := c.flights[k]
		if !underWay {
			f = &flight{done: make(chan struct{})}
			c.flights[k] = f
			c.mu.Unlock()
			return j.fly(ctx, k, f, w, last)
		}
		c.mu.Unlock()
		select {
		case <-f.done:
			if !f.settled {
				continue
			}
			if a, ok := f.found.reply(w, f.foundAt); ok {
				return a
			}
		case <-ctx.Done():
			return interrupted().reply()
		}
	}
}

// fly makes the fetch that others wait for, and lets them go whatever happens.
// last is what was known before, or nil.
func (j *Judge) fly(ctx context.Context, k key, f *flight, w want, last *finding) reply {
	c, holdsFor := j.checker, time.Duration(0)
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.flights, k)
		if f.settled {
			if f.forgotten != "" {
				f.found.forget(f.forgotten)
			}
			c.cache.put(k, f.found, f.foundAt.Add(holdsFor))
		}
		close(f.done)
	}()
	slots := j.slots
	if w.put != nil {
		slots = j.uploads
	}
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return interrupted().reply()
	}
	found := c.fetch(ctx, k.link, w, last)
	now := time.Now()
	a, _ := found.reply(w, now)
	if a.retryable && ctx.Err() != nil {
		return interrupted().reply() // the asker gave up, the link is not to blame
	}
	v, _ := found.verdict(w.kind, w.rule)
	if v.retryable() && last != nil {
		if before, ok := last.reply(w, now); ok && before.id != "" {
			found, a = *last, before // the provider has the file
		}
	}
	f.found, f.foundAt, f.settled, holdsFor = found, now, true, v.holdsFor()
	return a
}

// fetch finds out what it takes to give the answer.
func (c *Checker) fetch(ctx context.Context, link string, w want, last *finding) finding {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(c.timeout, func() { cancel(context.DeadlineExceeded) })
	defer late.Stop()
	// GET, for providers GET too, and many servers answer HEAD differently.
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, link, http.NoBody)
	if err != nil {
		return noFile(badLink("the link can't be read"))
	}
	r.Header.Set("Accept-Encoding", "identity") // the size of the file, not of its compression
	r.Header.Set("User-Agent", "sluice")
	if last != nil {
		if _, enough := last.reply(w, time.Now()); !enough {
			last = nil
		}
	}
	if last != nil {
		last.conditions(r.Header)
	}
	resp, err := c.client.Do(r)
	if err != nil {
		return noFile(c.failed(ctx, err))
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotModified && last != nil && last.confirmable() {
		return *last
	}
	if v := judgeStatus(resp.StatusCode); !v.ok() {
		return noFile(v)
	}
	found := finding{facts: facts{
		declared:  normal(resp.Header.Get("Content-Type")),
		extension: extension(resp.Request.URL.Path, r.URL.Path),
	}}
	found.validators(resp)
	body, err := found.begin(resp, w.rule)
	if err != nil {
		return noFile(c.failed(ctx, err))
	}
	v, known := found.verdict(w.kind, w.rule)
	switch {
	case known && (!v.ok() || w.put == nil):
		return found
	case w.put == nil:
		err = found.measure(body, w.rule)
	case last != nil && found.same(&last.facts):
		return *last
	default:
		late.Reset(c.uploadTimeout)
		err = found.hand(ctx, w, body)
		cancel(nil) // before the body is closed, which waits for who reads it
	}
	if err != nil {
		return noFile(c.failed(ctx, err))
	}
	return found
}

// begin looks at the first bytes of the content. A declared length tells the
// size, for HTTP holds the server to it. The body is the content from its
// beginning.
func (f *facts) begin(resp *http.Response, rule gateway.MediaRule) (body io.Reader, err error) {
	body, length := io.Reader(resp.Body), resp.ContentLength
	if strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") { // not asked for, but some stores have nothing else
		unzipped, err := gzip.NewReader(&packed{from: resp.Body, left: rule.MaxBytes + rule.MaxBytes>>8 + packedExtra})
		if err != nil {
			return nil, err
		}
		body, length = unzipped, -1
	}
	first := min(headSize, rule.MaxBytes+1)
	head, err := io.ReadAll(io.LimitReader(body, first))
	if err != nil {
		return nil, err
	}
	f.sniff(head)
	f.size, f.more = int64(len(head)), int64(len(head)) == first
	if length >= 0 {
		f.size, f.more = length, false
	}
	return io.MultiReader(bytes.NewReader(head), body), nil
}

// packedExtra is what packing may add to content that can't be packed, beside a
// small part of its size.
const packedExtra = 64 << 10

var errPacked = errors.New("more is packed than may come out")

// packed is packed content. It ends with an error where more has been read than
// content within the limit takes, for what unpacks to nothing need not end.
type packed struct {
	from io.Reader
	left int64
}

// Read implements io.Reader.
func (p *packed) Read(b []byte) (int, error) {
	if p.left <= 0 {
		return 0, errPacked
	}
	n, err := p.from.Read(b[:min(int64(len(b)), p.left)])
	p.left -= int64(n)
	return n, err
}

// measure reads as much as it takes to compare the size with the limit.
func (f *facts) measure(body io.Reader, rule gateway.MediaRule) error {
	size, err := io.Copy(io.Discard, io.LimitReader(body, rule.MaxBytes+1))
	f.size, f.more = size, size > rule.MaxBytes
	return err
}

// judgeStatus says what an answer other than success means. What may be better
// in a while is retryable; the rest won't be.
func judgeStatus(status int) verdict {
	detail := fmt.Sprintf("the server answered %d", status)
	switch {
	case status >= 200 && status < 300:
		return verdict{}
	case status >= 500, status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return unreachable(detail)
	}
	return badLink(detail)
}

// failed says what an error of the fetch means. The error's own words hold the
// link and addresses; they go nowhere.
func (c *Checker) failed(ctx context.Context, err error) verdict {
	if c.refused(err) {
		return refusedAddress()
	}
	if r, ok := errors.AsType[redirectError](err); ok {
		return badLink(string(r))
	}
	if errors.Is(err, errPacked) {
		return badLink("its content can't be unpacked within the limit")
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return unreachable("the host's name can't be resolved")
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() || errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return unreachable("the server took too long")
	}
	return unreachable("the connection failed")
}
