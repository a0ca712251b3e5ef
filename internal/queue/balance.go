package queue

import (
	"cmp"
	"slices"

	"sluice/internal/gateway"
)

// member is one live worker as the balance sees it.
type member struct {
	nonce string
	// accepts is false for a worker that leaves, or whose configuration is older
	// than another's: it keeps what it has and gets nothing more.
	accepts bool
	// keeps is false for a worker that leaves: it lets go of everything by
	// itself, and isn't asked to.
	keeps bool
}

// share says who should own each of the accounts, given who owns them now.
// Every worker that knows the same comes to the same answer. Accounts without a
// live owner go to those who have least; then those who have most give, one at
// a time, until nobody has two more than anybody who accepts. That leaves n/W
// or n/W+1 each and moves no more than that needs. Accounts that can't be given
// to anybody are missing.
func share(members []member, accounts []gateway.AccountID, owners map[gateway.AccountID]string) map[gateway.AccountID]string {
	byNonce := slices.SortedFunc(slices.Values(members), func(a, b member) int { return cmp.Compare(a.nonce, b.nonce) })
	has := make(map[string][]gateway.AccountID, len(members))
	for _, m := range byNonce {
		has[m.nonce] = nil
	}
	plan := make(map[gateway.AccountID]string, len(accounts))
	var free []gateway.AccountID
	for _, account := range slices.Sorted(slices.Values(accounts)) {
		owner := owners[account]
		if _, alive := has[owner]; !alive {
			free = append(free, account)
			continue
		}
		plan[account] = owner
		has[owner] = append(has[owner], account)
	}
	give := func(account gateway.AccountID, to string) {
		plan[account] = to
		has[to] = append(has[to], account)
	}
	least := func() (string, bool) {
		return extreme(byNonce, func(m member) bool { return m.accepts }, func(m member) int { return -len(has[m.nonce]) })
	}
	most := func() (string, bool) {
		return extreme(byNonce, func(m member) bool { return m.keeps }, func(m member) int { return len(has[m.nonce]) })
	}
	for _, account := range free {
		if to, ok := least(); ok {
			give(account, to)
		}
	}
	for {
		to, ok := least()
		from, found := most()
		if !ok || !found || len(has[from])-len(has[to]) < 2 {
			return plan
		}
		last := len(has[from]) - 1
		account := has[from][last]
		has[from] = has[from][:last]
		give(account, to)
	}
}

// extreme is the first member with the highest score among those that count.
func extreme(members []member, counts func(member) bool, score func(member) int) (string, bool) {
	best, found := "", false
	high := 0
	for _, m := range members {
		if counts(m) && (!found || score(m) > high) {
			best, high, found = m.nonce, score(m), true
		}
	}
	return best, found
}
