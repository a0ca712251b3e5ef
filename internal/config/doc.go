// Package config reads the one YAML file that describes an installation
// (configs/sluice.yaml is its example and explains every key): defaults, then the file, then references to the environment and to files
// inside it, then SLUICE_ variables over it, checked as a whole.
package config
