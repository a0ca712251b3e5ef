package telemetry

import "runtime/debug"

// unversioned is what a build without any version says.
const unversioned = "devel"

// linked is the version that the build was given, where it has no repository
// to learn it from: -ldflags "-X sluice/internal/telemetry.linked=v1.2.3".
var linked string

// Version names this build: the version it was given, else the module's
// version if it has one, else the commit it was built from ("+dirty" if
// changed since), else "devel".
func Version() string {
	if linked != "" {
		return linked
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unversioned
	}
	return versionOf(info)
}

func versionOf(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	revision := setting(info, "vcs.revision")
	if revision == "" {
		return unversioned
	}
	revision = revision[:min(len(revision), 12)]
	if setting(info, "vcs.modified") == "true" {
		revision += "+dirty"
	}
	return revision
}

func setting(info *debug.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
