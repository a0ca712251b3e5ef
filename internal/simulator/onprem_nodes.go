package simulator

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
)

// contacts says which numbers have WhatsApp. As the client does since v2.43 it
// says so of every number, unless Options.RealCapability is set.
func (p *onPrem) contacts(w http.ResponseWriter, r *http.Request, a *account) {
	body, err := readBody(w, r)
	if err != nil {
		return // the client has gone, or means no good
	}
	check := &checker{}
	o := check.decode(body)
	inputs := o.strings("contacts", 1, unlimited, unlimited)
	blocking := o.one("blocking", "wait", "no_wait", "")
	o.flag("force_check")
	o.done()
	if check.first != nil {
		p.refuse(onPremRefusal(check.first, 0)).write(w)
		return
	}
	type contact struct {
		Input  string `json:"input"`
		Status string `json:"status"`
		WaID   string `json:"wa_id,omitempty"`
	}
	all := make([]contact, len(inputs))
	for i, input := range inputs {
		number := cloudNumber(input)
		all[i] = contact{Input: input, Status: "invalid"}
		if number == "" {
			continue
		}
		before := a.resolve(number)
		magical := !p.s.opts.NoMagic
		switch real := p.s.opts.RealCapability; {
		case real && magical && strings.HasSuffix(number, "0003"):
		case real && !before && blocking != "wait":
			all[i].Status = "processing"
		default:
			all[i].Status, all[i].WaID = "valid", number
			if magical && strings.HasSuffix(number, "0013") {
				all[i].WaID = otherNumber(number)
			}
		}
	}
	onPremAnswer(http.StatusOK, "contacts", all).write(w)
}

func (p *onPrem) markRead(w http.ResponseWriter, r *http.Request, _ *account) {
	body, err := readBody(w, r)
	if err != nil {
		return // the client has gone, or means no good
	}
	check := &checker{}
	o := check.decode(body)
	o.one("status", "read")
	o.done()
	if check.first != nil {
		p.refuse(onPremRefusal(check.first, 0)).write(w)
		return
	}
	onPremAnswer(http.StatusOK, "", nil).write(w)
}

// onPremFileLife is how long a file can be used: longer than it should be kept.
const onPremFileLife = 30 * 24 * time.Hour

// onPremUpload is the longest file that is taken, in bytes.
const onPremUpload = 100 << 20

// upload takes the bytes as they are. What type is good for a message is seen
// when it is sent.
func (p *onPrem) upload(w http.ResponseWriter, r *http.Request, a *account) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || strings.HasPrefix(mediaType, "multipart/") {
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxRequest))
		p.refuse(refusal{reason: reasonInvalid, code: onPremInvalid, detail: "Content-Type must be the file's media type"}).write(w)
		return
	}
	content, err := readLimited(w, r, onPremUpload)
	if err != nil || len(content) == 0 {
		p.refuse(refusal{reason: reasonInvalid, code: onPremInvalid, detail: "the body must be a file of at most 100 MB"}).write(w)
		return
	}
	id := uuid()
	p.s.uploads.put(id, a, r.Header.Get("Content-Type"), content, onPremFileLife)
	onPremAnswer(http.StatusCreated, "media", []map[string]string{{"id": id}}).write(w)
}

func (p *onPrem) download(w http.ResponseWriter, r *http.Request, a *account) {
	f, ok := p.s.uploads.get(r.PathValue("id"), a)
	if !ok {
		w.WriteHeader(http.StatusNotFound) // with nothing more
		return
	}
	reply{status: http.StatusOK, header: http.Header{"Content-Type": {f.contentType}}, body: f.content}.write(w)
}

func (p *onPrem) deleteFile(w http.ResponseWriter, r *http.Request, a *account) {
	id := r.PathValue("id")
	if _, ok := p.s.uploads.get(id, a); !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	p.s.uploads.remove(id)
	onPremAnswer(http.StatusOK, "", nil).write(w)
}

func (p *onPrem) health(w http.ResponseWriter, _ *http.Request, _ *account) {
	onPremAnswer(http.StatusOK, "health", map[string]string{"gateway_status": "connected"}).write(w)
}

// onPremMetric is one of the numbers that stats tell.
type onPremMetric struct {
	Type string        `json:"type"`
	Help string        `json:"help"`
	Data []onPremValue `json:"data"`
}

type onPremValue struct {
	Value  int64             `json:"value"`
	Labels map[string]string `json:"labels,omitempty"`
}

func onPremGauge(help string, n int64) onPremMetric {
	return onPremMetric{Type: "gauge", Help: help, Data: []onPremValue{{Value: n}}}
}

// stats answers with the client's counters: of the app, or of its database.
func (p *onPrem) stats(w http.ResponseWriter, r *http.Request, a *account) {
	accepted := a.stats().Accepted
	carried := p.s.courier.stats()
	var metrics map[string]onPremMetric
	part := orText(r.PathValue("part"), "app")
	switch part {
	case "app":
		metrics = map[string]onPremMetric{
			"callback_queue_size": onPremGauge("Number of callbacks waiting", int64(carried.Pending)),
			"callback_requests": {Type: "counter", Help: "Number of callbacks made", Data: []onPremValue{
				{Value: carried.Taken, Labels: map[string]string{"type": "status_change", "result": "success"}},
				{Value: carried.Retried + carried.Dropped, Labels: map[string]string{"type": "status_change", "result": "failure"}},
			}},
		}
	case "db":
		metrics = map[string]onPremMetric{
			"db_messages":          onPremGauge("Number of messages", accepted),
			"db_contacts":          onPremGauge("Number of contacts", 0),
			"db_message_receipts":  onPremGauge("Number of receipts", 0),
			"db_pending_callbacks": onPremGauge("Number of callbacks waiting", int64(carried.Pending)),
			"db_pending_messages":  onPremGauge("Number of messages waiting", 0),
		}
	default:
		p.refuse(refusal{reason: reasonInvalid, code: onPremNotFound}).write(w)
		return
	}
	onPremNumbers(r, "stats", map[string]any{part: metrics}, metrics).write(w)
}

// metrics answers with the counters of the web application, which is one node.
func (p *onPrem) metrics(w http.ResponseWriter, r *http.Request, a *account) {
	const node = "simulator"
	metric := func(kind, help string, value int64) onPremMetric {
		return onPremMetric{Type: kind, Help: help, Data: []onPremValue{{Value: value, Labels: map[string]string{"node": node}}}}
	}
	metrics := map[string]onPremMetric{
		"web_uptime":           metric("gauge", "Seconds since the web server started", int64(p.s.opts.Now().Sub(a.started)/time.Second)),
		"web_handled_requests": metric("counter", "Number of requests to send", a.stats().Requests),
		"web_requests": {Type: "gauge", Help: "Number of requests under way", Data: []onPremValue{
			{Value: 1, Labels: map[string]string{"node": node, "state": "handle-request"}}, // this one
		}},
	}
	onPremNumbers(r, "metrics", metrics, metrics).write(w)
}

// onPremNumbers is a node of numbers as JSON, or if that is asked for in
// Prometheus' text format.
func onPremNumbers(r *http.Request, node string, payload any, metrics map[string]onPremMetric) reply {
	if r.URL.Query().Get("format") != "prometheus" {
		return onPremAnswer(http.StatusOK, node, payload)
	}
	var text bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		m := metrics[name]
		fmt.Fprintf(&text, "# HELP %s %s\n# TYPE %s %s\n", name, m.Help, name, m.Type)
		for _, v := range m.Data {
			var labels []string
			for _, label := range slices.Sorted(maps.Keys(v.Labels)) {
				labels = append(labels, fmt.Sprintf("%s=%q", label, v.Labels[label]))
			}
			text.WriteString(name)
			if len(labels) > 0 {
				fmt.Fprintf(&text, "{%s}", strings.Join(labels, ","))
			}
			fmt.Fprintf(&text, " %d\n", v.Value)
		}
	}
	return reply{
		status: http.StatusOK, header: http.Header{"Content-Type": {"text/plain; version=0.0.4; charset=utf-8"}}, body: text.Bytes(),
	}
}
