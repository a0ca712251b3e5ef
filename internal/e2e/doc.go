// Package e2e tests the programs as users run them: it builds them and drives
// them as processes, over a real Redis. There is nothing in it but tests.
package e2e
