package callback

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// retryAfter is what a 503 asks for. Providers follow their own schedules; it
// is there for proxies and people.
const retryAfter = 5 * time.Second

// problem answers with RFC 9457 problem details. They say no more than the
// status does: the reason is in our log.
func problem(w http.ResponseWriter, status int) {
	body, err := json.Marshal(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
	}{"about:blank", http.StatusText(status), status})
	if err != nil {
		panic("callback: encode problem: " + err.Error()) // strings and an int always encode
	}
	w.Header().Set("Content-Type", "application/problem+json")
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func notAllowed(allow string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", allow)
		problem(w, http.StatusMethodNotAllowed)
	}
}
