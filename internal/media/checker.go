// Package media looks at linked files before a message that shows them is
// sent. Providers often accept a file of the wrong type or size and report it
// only later, when the message is lost (Cloud API reference, error 131053).
package media

import (
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
	Timeout  time.Duration // of one fetch as a whole; 20 s
	Parallel int           // fetches of one Judge at one time; 32
	Remember int           // links remembered; 4,096
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
	done    chan struct{}
	found   facts
	settled bool // false: whoever fetched gave up; another should
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
	return &Checker{
		client:  limitRedirects(client),
		refused: opts.Refused,
		timeout: opts.Timeout,
		slots:   opts.Parallel,
		cache:   newCache(opts.Remember),
		flights: make(map[key]*flight),
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
}

// For makes the judge of an account's files; one is enough. Judges share what
// they found for the same account, and their fetches wait for no other's.
func (c *Checker) For(account gateway.AccountID) *Judge {
	return &Judge{checker: c, account: account, slots: make(chan struct{}, c.slots)}
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
// A refusal has ClassMedia and one of this package's codes. It holds nothing
// of the link.
func (j *Judge) Judge(ctx context.Context, f gateway.File, rule gateway.MediaRule) (refused *gateway.Error, retryable bool) {
	if f.Media == nil || f.Media.Link == "" || f.Media.Provider != "" {
		return nil, false
	}
	v := j.judge(ctx, f.Media.Link, f.Kind, rule)
	return v.err(), v.retryable()
}

func (j *Judge) judge(ctx context.Context, link string, kind gateway.MediaKind, rule gateway.MediaRule) verdict {
	if problem := gateway.CheckLink(link); problem != "" {
		return badLink("the link " + problem)
	}
	if len(rule.Types) == 0 {
		return wrongType(kind, fmt.Sprintf("the provider takes no %s", kind))
	}
	if rule.MaxBytes <= 0 {
		rule.MaxBytes = maxBytes
	}
	c, k := j.checker, key{account: j.account, link: link}
	for {
		c.mu.Lock()
		if found, ok := c.cache.get(k, time.Now()); ok {
			if v, ok := found.verdict(kind, rule); ok {
				c.mu.Unlock()
				return v
			}
		}
		f, underWay := c.flights[k]
		if !underWay {
			f = &flight{done: make(chan struct{})}
			c.flights[k] = f
			c.mu.Unlock()
			return j.fly(ctx, k, f, kind, rule)
		}
		c.mu.Unlock()
		select {
		case <-f.done:
			if !f.settled {
				continue
			}
			if v, ok := f.found.verdict(kind, rule); ok {
				return v
			}
		case <-ctx.Done():
			return interrupted()
		}
	}
}

// fly makes the fetch that others wait for, and lets them go whatever happens.
func (j *Judge) fly(ctx context.Context, k key, f *flight, kind gateway.MediaKind, rule gateway.MediaRule) verdict {
	c, holdsFor := j.checker, time.Duration(0)
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.flights, k)
		if f.settled {
			c.cache.put(k, f.found, time.Now().Add(holdsFor))
		}
		close(f.done)
	}()
	select {
	case j.slots <- struct{}{}:
		defer func() { <-j.slots }()
	case <-ctx.Done():
		return interrupted()
	}
	found := c.fetch(ctx, k.link, kind, rule)
	v, _ := found.verdict(kind, rule)
	if v.retryable() && ctx.Err() != nil {
		return interrupted() // the asker gave up, the link is not to blame
	}
	f.found, f.settled, holdsFor = found, true, v.holdsFor()
	return v
}

// fetch finds out what it takes to judge the file as the kind under the rule.
func (c *Checker) fetch(ctx context.Context, link string, kind gateway.MediaKind, rule gateway.MediaRule) facts {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	// GET, for providers GET too, and many servers answer HEAD differently.
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, link, http.NoBody)
	if err != nil {
		return noFile(badLink("the link can't be read"))
	}
	r.Header.Set("Accept-Encoding", "identity") // the size of the file, not of its compression
	r.Header.Set("User-Agent", "sluice")
	resp, err := c.client.Do(r)
	if err != nil {
		return noFile(c.failed(err))
	}
	defer resp.Body.Close()
	if v := judgeStatus(resp.StatusCode); !v.ok() {
		return noFile(v)
	}
	found := facts{
		declared:  normal(resp.Header.Get("Content-Type")),
		extension: extension(resp.Request.URL.Path, r.URL.Path),
	}
	if err := found.read(resp, kind, rule); err != nil {
		return noFile(c.failed(err))
	}
	return found
}

// read looks at the content: its first bytes, and as much more as it takes to
// compare its size with the limit. A declared length needs no more, for HTTP
// holds the server to it; nor does a wrong type.
func (f *facts) read(resp *http.Response, kind gateway.MediaKind, rule gateway.MediaRule) error {
	body, length := io.Reader(resp.Body), resp.ContentLength
	if strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") { // not asked for, but some stores have nothing else
		unzipped, err := gzip.NewReader(resp.Body)
		if err != nil {
			return err
		}
		body, length = unzipped, -1
	}
	first := min(headSize, rule.MaxBytes+1)
	head, err := io.ReadAll(io.LimitReader(body, first))
	if err != nil {
		return err
	}
	f.sniff(head)
	f.size, f.more = int64(len(head)), int64(len(head)) == first
	if length >= 0 {
		f.size, f.more = length, false
	}
	if _, known := f.verdict(kind, rule); known {
		return nil
	}
	rest, err := io.Copy(io.Discard, io.LimitReader(body, rule.MaxBytes+1-f.size))
	if err != nil {
		return err
	}
	f.size += rest
	f.more = f.size > rule.MaxBytes
	return nil
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
func (c *Checker) failed(err error) verdict {
	if c.refused(err) {
		return refusedAddress()
	}
	if r, ok := errors.AsType[redirectError](err); ok {
		return badLink(string(r))
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return unreachable("the host's name can't be resolved")
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return unreachable("the server took too long")
	}
	return unreachable("the connection failed")
}
