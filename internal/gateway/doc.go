// Package gateway is Sluice's domain: what a message, an attempt and its
// outcome are, and the rules that hold for them whatever carries them. It does
// no I/O and imports the standard library only; every adapter speaks to the
// others in these types.
package gateway
