package store

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sluice/internal/gateway"
)

// The letters of common.lua.
var statusLetters = map[gateway.Status]string{
	gateway.StatusScheduled: "h",
	gateway.StatusQueued:    "q",
	gateway.StatusSending:   "s",
	gateway.StatusAccepted:  "a",
	gateway.StatusSent:      "t",
	gateway.StatusDelivered: "d",
	gateway.StatusRead:      "r",
	gateway.StatusFailed:    "f",
	gateway.StatusRejected:  "j",
	gateway.StatusExpired:   "e",
	gateway.StatusCancelled: "c",
	gateway.StatusUnknown:   "u",
}

var letterStatuses = inverse(statusLetters)

func laneLetter(p gateway.Priority) string {
	if p == gateway.Bulk {
		return "b"
	}
	return "t"
}

func lanePriority(letter string) gateway.Priority {
	if letter == "b" {
		return gateway.Bulk
	}
	return gateway.Transactional
}

// errorJSON is an Error as records keep it.
type errorJSON struct {
	Class  gateway.Class `json:"class"`
	Code   string        `json:"code,omitempty"`
	Title  string        `json:"title,omitempty"`
	Detail string        `json:"detail,omitempty"`
}

func encodeError(e *gateway.Error) string {
	if e == nil {
		return ""
	}
	b, _ := json.Marshal(errorJSON(*e)) // strings only
	return string(b)
}

func decodeError(s string) (*gateway.Error, error) {
	if s == "" {
		return nil, nil //nolint:nilnil // no error is kept
	}
	var e errorJSON
	if err := json.Unmarshal([]byte(s), &e); err != nil {
		return nil, err
	}
	out := gateway.Error(e)
	return &out, nil
}

// healthJSON is a Health as it is kept.
type healthJSON struct {
	At        int64                 `json:"at"`
	Connected bool                  `json:"connected"`
	Error     *errorJSON            `json:"error,omitempty"`
	Nodes     []nodeJSON            `json:"nodes,omitempty"`
	Stats     map[string]float64    `json:"stats,omitempty"`
	Unread    map[string]*errorJSON `json:"unread,omitempty"`
}

type nodeJSON struct {
	Name   string     `json:"name,omitempty"`
	Status string     `json:"status,omitempty"`
	Role   string     `json:"role,omitempty"`
	Error  *errorJSON `json:"error,omitempty"`
}

func encodeHealth(h gateway.Health) string {
	out := healthJSON{At: h.At.UnixMilli(), Connected: h.Connected, Error: (*errorJSON)(h.Error), Stats: h.Stats}
	for _, n := range h.Nodes {
		out.Nodes = append(out.Nodes, nodeJSON{Name: n.Name, Status: n.Status, Role: n.Role, Error: (*errorJSON)(n.Error)})
	}
	for page, e := range h.Unread {
		if out.Unread == nil {
			out.Unread = map[string]*errorJSON{}
		}
		out.Unread[page] = (*errorJSON)(e)
	}
	b, _ := json.Marshal(out) // strings and finite numbers only
	return string(b)
}

// decodeHealth is nil for what can't be read: it is written anew in a minute.
func decodeHealth(s string) *gateway.Health {
	var h healthJSON
	if json.Unmarshal([]byte(s), &h) != nil {
		return nil
	}
	out := &gateway.Health{At: millis(h.At), Connected: h.Connected, Error: (*gateway.Error)(h.Error), Stats: h.Stats}
	for _, n := range h.Nodes {
		out.Nodes = append(out.Nodes, gateway.Node{Name: n.Name, Status: n.Status, Role: n.Role, Error: (*gateway.Error)(n.Error)})
	}
	for page, e := range h.Unread {
		if out.Unread == nil {
			out.Unread = map[string]*gateway.Error{}
		}
		out.Unread[page] = (*gateway.Error)(e)
	}
	return out
}

// The letters of an attempt's line.
var outcomeLetters = map[gateway.Outcome]string{
	gateway.OutcomeAccepted:  "a",
	gateway.OutcomeRejected:  "r",
	gateway.OutcomeThrottled: "t",
	gateway.OutcomeTransient: "x",
	gateway.OutcomeSuspended: "s",
	gateway.OutcomeUnknown:   "u",
}

var letterOutcomes = inverse(outcomeLetters)

func inverse[K, V comparable](m map[K]V) map[V]K {
	out := make(map[V]K, len(m))
	for k, v := range m {
		out[v] = k
	}
	return out
}

// oneLine keeps what a provider said from looking like another part of an
// attempt's line.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' {
			return ' '
		}
		return r
	}, s)
}

// decodeAttempt reads what log_attempt of common.lua wrote: number, when it
// began after the message was created, how long it took, outcome, and maybe code
// and detail.
func decodeAttempt(line string, created time.Time) (gateway.Attempt, error) {
	f := strings.Split(line, "\t")
	if len(f) != 4 && len(f) != 6 {
		return gateway.Attempt{}, fmt.Errorf("line of %d parts", len(f))
	}
	a := gateway.Attempt{Number: number(f[0]), StartedAt: after(created, f[1]), Outcome: letterOutcomes[f[3]]}
	a.EndedAt = after(a.StartedAt, f[2])
	if len(f) == 6 {
		a.Code, a.Detail = f[4], f[5]
	}
	return a, nil
}

// encodeContent is a record's content, without its type: that is a field of its
// own, which outlasts the content.
func encodeContent(m *gateway.Message) ([]byte, error) {
	c := m.Content
	c.Type = ""
	content, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode content of %s: %w", m.ID, err)
	}
	return content, nil
}

// encodeRest lists the fields of a record that not every message has.
func encodeRest(m *gateway.Message) ([]any, error) {
	var fields []any
	add := func(name, value string) {
		if value != "" {
			fields = append(fields, name, value)
		}
	}
	add("rt", m.ReplyTo)
	add("cb", m.CallbackURL)
	if m.OnUnknown == gateway.ResendUnknown {
		add("ou", "r")
	}
	if m.SendAt.After(m.CreatedAt) {
		add("sa", strconv.FormatInt(m.SendAt.UnixMilli(), 10))
	}
	if len(m.Metadata) > 0 {
		metadata, err := json.Marshal(m.Metadata)
		if err != nil {
			return nil, fmt.Errorf("encode metadata of %s: %w", m.ID, err)
		}
		add("md", string(metadata))
	}
	return fields, nil
}

// batchName is how keys name a batch: what its messages' ids begin with.
func batchName(id gateway.BatchID) string { return id.Local()[:gateway.BatchName] }

// batchOf is the batch of a message whose record has this in its field b.
func batchOf(id gateway.MessageID, b string) gateway.BatchID {
	if b == "" {
		return ""
	}
	return id.BatchID()
}

// decodeRecord reads what HGETALL gave. cancelled is when the message's batch
// was, if it was.
func decodeRecord(id gateway.MessageID, f map[string]string, cancelled string) (*gateway.Record, error) {
	r := &gateway.Record{
		Message: gateway.Message{
			ID: id, Account: gateway.AccountID(f["a"]), Recipient: gateway.Recipient(f["to"]),
			Priority: lanePriority(f["p"]), Reference: f["r"], ReplyTo: f["rt"], Batch: batchOf(id, f["b"]),
			OnUnknown: gateway.HoldUnknown, CallbackURL: f["cb"],
			CreatedAt: moment(f["ct"]), SendAt: moment(f["sa"]), ExpiresAt: moment(f["ex"]),
		},
		Purged:            f["pu"] != "",
		Status:            letterStatuses[f["s"]],
		ProviderMessageID: gateway.ProviderMessageID(f["pi"]),
		PossibleDuplicate: f["pd"] != "",
		Sequence:          number(f["q"]),
		Spent:             number(f["sp"]),
	}
	if f["ou"] == "r" {
		r.OnUnknown = gateway.ResendUnknown
	}
	var err error
	if c := f["c"]; c != "" {
		if err := json.Unmarshal([]byte(c), &r.Content); err != nil {
			return nil, fmt.Errorf("decode content of %s: %w", id, err)
		}
	}
	r.Content.Type = gateway.ContentType(f["y"])
	if r.Metadata, err = decodeMetadata(f["md"]); err != nil {
		return nil, fmt.Errorf("decode metadata of %s: %w", id, err)
	}
	if r.Error, err = decodeError(f["er"]); err != nil {
		return nil, fmt.Errorf("decode error of %s: %w", id, err)
	}
	if r.History, err = decodeHistory(f); err != nil {
		return nil, fmt.Errorf("decode history of %s: %w", id, err)
	}
	if x := moment(cancelled); r.Batch != "" && !x.IsZero() && r.Status.Waiting() {
		r.Status = gateway.StatusCancelled
		r.History = append(r.History, gateway.StatusChange{Status: r.Status, At: x})
	}
	r.UpdatedAt = r.History[len(r.History)-1].At
	if r.Attempts, err = decodeAttempts(f); err != nil {
		return nil, fmt.Errorf("decode attempts of %s: %w", id, err)
	}
	return r, nil
}

func decodeMetadata(text string) (m map[string]string, err error) {
	if text != "" {
		err = json.Unmarshal([]byte(text), &m)
	}
	return m, err
}

// decodeHistory begins with what every record began with.
func decodeHistory(f map[string]string) ([]gateway.StatusChange, error) {
	created := moment(f["ct"])
	out := []gateway.StatusChange{{Status: gateway.StatusQueued, At: created}}
	if f["sa"] != "" {
		out[0].Status = gateway.StatusScheduled
	}
	if f["h"] == "" {
		return out, nil
	}
	for entry := range strings.SplitSeq(f["h"], ",") {
		if len(entry) < 2 {
			return nil, fmt.Errorf("entry %q", entry)
		}
		out = append(out, gateway.StatusChange{Status: letterStatuses[entry[:1]], At: after(created, entry[1:])})
	}
	return out, nil
}

// decodeAttempts adds the attempt in flight, which has no line yet.
func decodeAttempts(f map[string]string) ([]gateway.Attempt, error) {
	var out []gateway.Attempt
	created := moment(f["ct"])
	if al := f["al"]; al != "" {
		for line := range strings.SplitSeq(al, "\n") {
			a, err := decodeAttempt(line, created)
			if err != nil {
				return nil, err
			}
			out = append(out, a)
		}
	}
	if n := number(f["at"]); n > 0 && (len(out) == 0 || out[len(out)-1].Number < n) {
		out = append(out, gateway.Attempt{Number: n, StartedAt: after(created, f["as"])})
	}
	return out, nil
}

// after is so many milliseconds after t.
func after(t time.Time, ms string) time.Time {
	return t.Add(time.Duration(number(ms)) * time.Millisecond)
}

func number(s string) int {
	n, _ := strconv.Atoi(s) // our own scripts wrote it; absent is zero
	return n
}

func moment(s string) time.Time {
	if s == "" {
		return time.Time{}
	}
	ms, _ := strconv.ParseInt(s, 10, 64) // our own scripts wrote it
	return millis(ms)
}

func millis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
