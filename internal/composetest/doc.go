// Package composetest holds docker-compose.yml, the Dockerfile and
// configs/compose.yaml to one another and to the programs: what they name, the
// other has. It needs no Docker, and has nothing but tests.
package composetest
