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

var letterStatuses = func() map[string]gateway.Status {
	m := make(map[string]gateway.Status, len(statusLetters))
	for status, letter := range statusLetters {
		m[letter] = status
	}
	return m
}()

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
	At        int64              `json:"at"`
	Connected bool               `json:"connected"`
	Error     *errorJSON         `json:"error,omitempty"`
	Nodes     []nodeJSON         `json:"nodes,omitempty"`
	Stats     map[string]float64 `json:"stats,omitempty"`
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
	return out
}

// attemptJSON is one line of a record's attempts.
type attemptJSON struct {
	Number  int             `json:"n"`
	Started int64           `json:"s"`
	Ended   int64           `json:"e,omitempty"`
	Outcome gateway.Outcome `json:"o,omitempty"`
	Code    string          `json:"c,omitempty"`
	Detail  string          `json:"d,omitempty"`
}

func encodeAttempt(a gateway.Attempt) string {
	b, _ := json.Marshal(attemptJSON{ // strings and numbers only
		Number: a.Number, Started: a.StartedAt.UnixMilli(), Ended: a.EndedAt.UnixMilli(),
		Outcome: a.Outcome, Code: a.Code, Detail: a.Detail,
	})
	return string(b)
}

func decodeAttempt(line string) (gateway.Attempt, error) {
	var a attemptJSON
	if err := json.Unmarshal([]byte(line), &a); err != nil {
		return gateway.Attempt{}, err
	}
	return gateway.Attempt{
		Number: a.Number, StartedAt: millis(a.Started), EndedAt: millis(a.Ended),
		Outcome: a.Outcome, Code: a.Code, Detail: a.Detail,
	}, nil
}

// encodeMessage lists a record's fields as accept.lua writes them; absent
// members take no room.
func encodeMessage(m *gateway.Message) ([]any, error) {
	content, err := json.Marshal(m.Content)
	if err != nil {
		return nil, fmt.Errorf("encode content of %s: %w", m.ID, err)
	}
	fields := []any{
		"a", string(m.Account), "p", laneLetter(m.Priority), "to", string(m.Recipient), "y", string(m.Content.Type),
		"c", content, "ct", m.CreatedAt.UnixMilli(), "ex", m.ExpiresAt.UnixMilli(), "q", 0,
	}
	add := func(name, value string) {
		if value != "" {
			fields = append(fields, name, value)
		}
	}
	add("r", m.Reference)
	add("rt", m.ReplyTo)
	add("b", string(m.Batch))
	add("cb", m.CallbackURL)
	if m.OnUnknown == gateway.ResendUnknown {
		add("ou", "r")
	}
	if !m.SendAt.IsZero() {
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

// decodeRecord reads what HGETALL gave.
func decodeRecord(id gateway.MessageID, f map[string]string) (*gateway.Record, error) {
	r := &gateway.Record{
		Message: gateway.Message{
			ID: id, Account: gateway.AccountID(f["a"]), Recipient: gateway.Recipient(f["to"]),
			Priority: lanePriority(f["p"]), Reference: f["r"], ReplyTo: f["rt"], Batch: gateway.BatchID(f["b"]),
			OnUnknown: gateway.HoldUnknown, CallbackURL: f["cb"],
			CreatedAt: moment(f["ct"]), SendAt: moment(f["sa"]), ExpiresAt: moment(f["ex"]),
		},
		Purged:            f["pu"] != "",
		Status:            letterStatuses[f["s"]],
		UpdatedAt:         moment(f["ut"]),
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
	if r.History, err = decodeHistory(f["h"]); err != nil {
		return nil, fmt.Errorf("decode history of %s: %w", id, err)
	}
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

func decodeHistory(h string) ([]gateway.StatusChange, error) {
	if h == "" {
		return nil, nil
	}
	var out []gateway.StatusChange
	for entry := range strings.SplitSeq(h, ",") {
		if len(entry) < 2 {
			return nil, fmt.Errorf("entry %q", entry)
		}
		out = append(out, gateway.StatusChange{Status: letterStatuses[entry[:1]], At: moment(entry[1:])})
	}
	return out, nil
}

// decodeAttempts adds the attempt in flight, which has no line yet.
func decodeAttempts(f map[string]string) ([]gateway.Attempt, error) {
	var out []gateway.Attempt
	if al := f["al"]; al != "" {
		for line := range strings.SplitSeq(al, "\n") {
			a, err := decodeAttempt(line)
			if err != nil {
				return nil, err
			}
			out = append(out, a)
		}
	}
	if n := number(f["at"]); n > 0 && (len(out) == 0 || out[len(out)-1].Number < n) {
		out = append(out, gateway.Attempt{Number: n, StartedAt: moment(f["as"])})
	}
	return out, nil
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
