// Package api is Sluice's HTTP face: it reads what callers post, refuses what
// is wrong with it field by field, and answers only when the store has what
// it answers for. It is the one package that knows Echo.
package api
