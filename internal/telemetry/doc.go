// Package telemetry is how a process shows itself to those who run it: its
// logger, its metrics registry, and the health endpoints of its admin address.
package telemetry
