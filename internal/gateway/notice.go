package gateway

import "time"

// Notice tells a caller of one change of a message's status. Notices of one
// message are told in order, each until the caller confirms it or a day has
// passed.
type Notice struct {
	Message           MessageID
	Number            int // within the message, from 1; with Message it names the notice for ever
	Account           AccountID
	URL               string // where to
	Status            Status
	Previous          Status // empty with the first
	At                time.Time
	Reference         string
	Batch             BatchID
	ProviderMessageID ProviderMessageID
	Error             *Error
	Metadata          map[string]string

	Tries int       // made before
	Since time.Time // of the first try; zero: none was made
}
