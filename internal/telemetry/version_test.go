package telemetry

import (
	"runtime/debug"
	"testing"
)

func TestVersionOf(t *testing.T) {
	build := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}, Settings: settings}
	}
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"}
	tests := []struct {
		name string
		info *debug.BuildInfo
		want string
	}{
		{"a released module says its version", build("v1.2.3", revision), "v1.2.3"},
		{"a build from a working copy says its commit", build("(devel)", revision), "0123456789ab"},
		{"and whether it was changed since", build("", revision, debug.BuildSetting{Key: "vcs.modified", Value: "true"}), "0123456789ab+dirty"},
		{"an unchanged one isn't dirty", build("", revision, debug.BuildSetting{Key: "vcs.modified", Value: "false"}), "0123456789ab"},
		{"a short revision is shown whole", build("", debug.BuildSetting{Key: "vcs.revision", Value: "42"}), "42"},
		{"a build without either is devel", build("(devel)"), "devel"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := versionOf(tt.info); got != tt.want {
				t.Errorf("versionOf = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestVersionIsWhatTheBuildWasGiven(t *testing.T) {
	linked = "v9.8.7"
	t.Cleanup(func() { linked = "" })
	if got := Version(); got != "v9.8.7" {
		t.Errorf("Version = %q, want v9.8.7", got)
	}
}

func TestVersionIsNeverEmpty(t *testing.T) {
	if Version() == "" {
		t.Error("Version is empty")
	}
}
