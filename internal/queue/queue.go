// Package queue carries tasks from the process that accepts messages to the one
// worker that sends for their account. It is the only user of asynq.
//
// A lane is the queue of one account and priority. Client puts tasks into lanes
// and rings for them; Manager owns accounts, alone among all workers, and opens
// their lanes while there is work. What a task means is the business of the
// Desk behind it.
package queue

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
)

// The names that lie in Redis. They never change.
const (
	taskType = "send"

	transactionalQueue = "transactional"
	bulkQueue          = "bulk"
	bulkRetryQueue     = "bulk-retry"

	doorbellChannel = "sl:doorbell" // "<account>:<priority>": a lane has work
	pokeChannel     = "sl:poke"     // workers came or went, or let go of accounts
)

func liveKey(nonce string) string { return redisdb.WorkersKey("live:" + nonce) }

func noncesKey() string { return redisdb.WorkersKey("nonces") }

func ownersKey() string { return redisdb.WorkersKey("owners") }

func versionKey() string { return redisdb.WorkersKey("version") }

// queuesOf names the asynq queues of a lane, the one served first at the front.
func queuesOf(account gateway.AccountID, p gateway.Priority) []string {
	name := func(queue string) string { return string(account) + ":" + queue }
	switch p {
	case gateway.Transactional:
		return []string{name(transactionalQueue)}
	case gateway.Bulk:
		return []string{name(bulkRetryQueue), name(bulkQueue)}
	}
	return nil
}

// queueFor is the queue a task goes to: a bulk message that comes back doesn't
// wait behind the whole backlog again.
func queueFor(account gateway.AccountID, t gateway.Task) (string, error) {
	queues := queuesOf(account, t.Priority)
	if len(queues) == 0 {
		return "", fmt.Errorf("priority %q is no lane", t.Priority)
	}
	if t.Sequence > 0 {
		return queues[0], nil
	}
	return queues[len(queues)-1], nil
}

// The lists and sets that asynq 0.26 keeps of a queue. They are read here, and
// never written.
func pendingKey(queue string) string { return "asynq:{" + queue + "}:pending" }

func activeKey(queue string) string { return "asynq:{" + queue + "}:active" }

func retryKey(queue string) string { return "asynq:{" + queue + "}:retry" }

// taskID is the task's name within its queue; it carries nothing else. The first
// task of a message is named as the message, so that enqueueing it again is
// recognised; every later one has a name of its own, for the first may still
// be counted as active.
func taskID(t gateway.Task) string {
	if t.Sequence == 0 {
		return string(t.Message)
	}
	return string(t.Message) + "#" + strconv.Itoa(t.Sequence)
}

var errTaskID = errors.New("not a message id, alone or with '#' and a sequence above 0")

func parseTaskID(id string, p gateway.Priority) (gateway.Task, error) {
	message, sequence, found := strings.Cut(id, "#")
	t := gateway.Task{Message: gateway.MessageID(message), Priority: p}
	if message == "" {
		return gateway.Task{}, errTaskID
	}
	if found {
		n, err := strconv.Atoi(sequence)
		if err != nil || n <= 0 || strconv.Itoa(n) != sequence {
			return gateway.Task{}, errTaskID
		}
		t.Sequence = n
	}
	return t, nil
}

func ringPayload(account gateway.AccountID, p gateway.Priority) string {
	return string(account) + ":" + string(p)
}

func parseRing(payload string) (gateway.AccountID, gateway.Priority, bool) {
	account, p, _ := strings.Cut(payload, ":")
	return gateway.AccountID(account), gateway.Priority(p), gateway.Priority(p).Valid()
}
