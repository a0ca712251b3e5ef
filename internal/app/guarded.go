package app

import "net/http"

// guarded fetches what users link to, through the guard of the configuration
// in force.
type guarded struct{ directory *Directory }

// RoundTrip implements http.RoundTripper.
func (g guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	return g.directory.now.Load().fetch.RoundTrip(r)
}
