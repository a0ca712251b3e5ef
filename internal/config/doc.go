// Package config reads the one YAML file that describes an installation
// (docs/configuration.md is its reference, configs/sluice.yaml its example):
// defaults, then the file, then references to the environment and to files
// inside it, then SLUICE_ variables over it, checked as a whole.
package config
