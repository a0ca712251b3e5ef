package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/semaphore"

	"sluice/internal/gateway"
)

// DefaultRequestTimeout lets a 503 arrive within a second when the store is
// away.
const DefaultRequestTimeout = 900 * time.Millisecond

// DefaultStallTimeout is how long the upload of a batch may stand still.
const DefaultStallTimeout = 30 * time.Second

// Options is what the API is made of. Everything is required unless it says
// otherwise.
type Options struct {
	Directory Directory
	Store     Store
	Recall    Recaller // optional: without it, a repetition after its times have passed is refused
	Queue     Queue
	States    States
	Operator  Operator
	Batches   Batches
	// Suppressions keeps the do-not-send lists.
	Suppressions Suppressions
	Checker      Checker
	// CheckURL says why a callback URL of sound form may not be called, in words
	// for the one who wrote it, or nil. It does no I/O.
	CheckURL func(url string) error
	// Callbacks answers /callbacks/… and does its own authentication and
	// limits. Optional: without it there is no such path.
	Callbacks http.Handler
	// Ready says why the process can't serve, or nil.
	Ready      func(context.Context) error
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Gatherer   prometheus.Gatherer
	// Now is the clock; optional.
	Now func() time.Time
	// RequestTimeout bounds what a request waits for the store; optional,
	// DefaultRequestTimeout.
	RequestTimeout time.Duration
	// BatchLines is how many lines a batch may have; optional,
	// gateway.MaxBatchLines.
	BatchLines int
	// StallTimeout bounds the wait for the next bytes of a batch; optional,
	// DefaultStallTimeout.
	StallTimeout time.Duration
}

func (o *Options) validate() error {
	var errs []error
	need := func(present bool, name string) {
		if !present {
			errs = append(errs, fmt.Errorf("api: Options.%s is required", name))
		}
	}
	need(o.Directory != nil, "Directory")
	need(o.Store != nil, "Store")
	need(o.Queue != nil, "Queue")
	need(o.States != nil, "States")
	need(o.Operator != nil, "Operator")
	need(o.Batches != nil, "Batches")
	need(o.Suppressions != nil, "Suppressions")
	need(o.Checker != nil, "Checker")
	need(o.CheckURL != nil, "CheckURL")
	need(o.Ready != nil, "Ready")
	need(o.Logger != nil, "Logger")
	need(o.Registerer != nil, "Registerer")
	need(o.Gatherer != nil, "Gatherer")
	return errors.Join(errs...)
}

// Server answers the API's requests. It starts no goroutine that outlives its
// request, and needs no closing.
type Server struct {
	Options
	metrics *metrics
	posts   decoder[postBody]
	pauses  decoder[pauseBody]
	entries decoder[suppressBody]
	lines   decoder[lineBody]
	heads   decoder[headBody]
	buffers sync.Pool           // of *bytes.Buffer, see buffer
	readers sync.Pool           // of *bufio.Reader, see lines
	room    *semaphore.Weighted // bytes of JSON batches in memory
	handler http.Handler
}

// New builds the API.
func New(o Options) (*Server, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = DefaultRequestTimeout
	}
	if o.BatchLines == 0 {
		o.BatchLines = gateway.MaxBatchLines
	}
	if o.StallTimeout == 0 {
		o.StallTimeout = DefaultStallTimeout
	}
	s := &Server{Options: o, room: semaphore.NewWeighted(batchRoom)}
	var metricsErr, postsErr, pausesErr, entriesErr, linesErr, headsErr error
	s.metrics, metricsErr = newMetrics(o.Registerer)
	s.posts, postsErr = newDecoder[postBody]()
	s.pauses, pausesErr = newDecoder[pauseBody]()
	s.entries, entriesErr = newDecoder[suppressBody]()
	s.lines, linesErr = newDecoder[lineBody]()
	s.heads, headsErr = newDecoder[headBody]()
	if err := errors.Join(metricsErr, postsErr, pausesErr, entriesErr, linesErr, headsErr); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	s.handler = s.router()
	return s, nil
}

// Handler answers every request of the API. Safe for concurrent use.
func (s *Server) Handler() http.Handler { return s.handler }

// route is one line of the API's table.
type route struct {
	method  string
	path    string
	scope   scope
	handler handler
}

func (s *Server) routes() []route {
	return []route{
		{http.MethodPost, "/v1/messages", scopeSend, s.postMessage},
		{http.MethodGet, "/v1/messages", scopeRead, s.listMessages},
		{http.MethodGet, "/v1/messages/:id", scopeRead, s.getMessage},
		{http.MethodPost, "/v1/messages/:id/cancel", scopeSend, s.cancelMessage},
		{http.MethodPost, "/v1/batches", scopeSend, s.postBatch},
		{http.MethodGet, "/v1/batches", scopeRead, s.listBatches},
		{http.MethodGet, "/v1/batches/:id", scopeRead, s.getBatch},
		{http.MethodPost, "/v1/batches/:id/cancel", scopeSend, s.cancelBatch},
		{http.MethodGet, "/v1/accounts", scopeRead, s.listAccounts},
		{http.MethodGet, "/v1/accounts/:id", scopeRead, s.getAccount},
		{http.MethodPost, "/v1/accounts/:id/pause", scopeOperate, s.pauseAccount},
		{http.MethodPost, "/v1/accounts/:id/resume", scopeOperate, s.resumeAccount},
		{http.MethodGet, "/v1/workers", scopeRead, s.listWorkers},
		{http.MethodGet, "/v1/suppressions", scopeRead, s.listSuppressions},
		{http.MethodPut, "/v1/suppressions/:recipient", scopeOperate, s.putSuppression},
		{http.MethodDelete, "/v1/suppressions/:recipient", scopeOperate, s.deleteSuppression},
		{http.MethodGet, "/healthz", scopeOpen, s.healthz},
		{http.MethodGet, "/readyz", scopeOpen, s.readyz},
		{http.MethodGet, "/metrics", scopeRead, s.serveMetrics()},
	}
}

func (s *Server) router() http.Handler {
	e := echo.New()
	e.Logger.SetOutput(io.Discard) // ours is the one logger
	e.Use(s.observe)
	for _, r := range s.routes() {
		h := s.guard(r.scope, r.handler)
		e.Add(r.method, r.path, h)
		if r.method == http.MethodGet {
			e.Add(http.MethodHead, r.path, h) // net/http leaves the body out
		}
	}
	if s.Callbacks != nil {
		e.Any("/callbacks/*", echo.WrapHandler(s.Callbacks))
	}
	return e
}

func (s *Server) serveMetrics() handler {
	h := promhttp.HandlerFor(s.Gatherer, promhttp.HandlerOpts{})
	return func(c *call) error {
		h.ServeHTTP(c.Response(), c.Request())
		return nil
	}
}

func (s *Server) healthz(c *call) error {
	return s.answer(c, http.StatusOK, map[string]string{"status": "ok"})
}

func (s *Server) readyz(c *call) error {
	ctx, cancel := s.bounded(c)
	defer cancel()
	if err := s.Ready(ctx); err != nil {
		return &problem{kind: kindUnavailable, detail: "The process can't serve at present.", cause: err}
	}
	return s.answer(c, http.StatusOK, map[string]string{"status": "ready"})
}

// Limits of a connection. net/http reads a body that a handler left, before it
// answers: without a limit whoever sends one slowly holds the connection for
// ever, with or without a key.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
)

// NewHTTPServer is a server for the handler with the limits a public port
// needs. Requests hang from ctx: ending it cuts off what Shutdown would wait
// for in vain. A handler that takes longer than 15 s over a body or 30 s over an
// answer, such as a stream, moves its deadline by http.ResponseController.
func NewHTTPServer(ctx context.Context, addr string, h http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Addr:              addr,
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}
