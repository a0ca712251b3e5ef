// Package app joins the adapters into the programs: it is the one place that
// knows them all, and nothing imports it but the commands.
//
// API and Worker are the two processes. Directory is the configuration in
// force, in the forms the adapters ask for; a reload replaces it as a whole.
package app
