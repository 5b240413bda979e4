package annotate

import "testing"

func TestStateDir(t *testing.T) {
	t.Parallel()
	type env map[string]string
	for name, tt := range map[string]struct {
		goos string
		env  env
		want string
		err  string
	}{
		"linux":                    {"linux", env{"HOME": "/home/me"}, "/home/me/.local/state/kubectl-mesh", ""},
		"linux, XDG":               {"linux", env{"HOME": "/home/me", "XDG_STATE_HOME": "/var/me"}, "/var/me/kubectl-mesh", ""},
		"linux, relative XDG":      {"linux", env{"HOME": "/home/me", "XDG_STATE_HOME": "state"}, "/home/me/.local/state/kubectl-mesh", ""},
		"linux, path of Windows":   {"linux", env{"HOME": "/home/me", "XDG_STATE_HOME": `C:\state`}, "/home/me/.local/state/kubectl-mesh", ""},
		"linux, no home":           {"linux", env{"LOCALAPPDATA": `C:\x`}, "", "$HOME is not defined"},
		"darwin":                   {"darwin", env{"HOME": "/Users/me"}, "/Users/me/.local/state/kubectl-mesh", ""},
		"darwin, XDG":              {"darwin", env{"HOME": "/Users/me", "XDG_STATE_HOME": "/Users/me/s"}, "/Users/me/s/kubectl-mesh", ""},
		"windows":                  {"windows", env{"LOCALAPPDATA": `C:\Users\me\AppData\Local`, "HOME": "/c/Users/me"}, `C:\Users\me\AppData\Local\kubectl-mesh`, ""},
		"windows, XDG":             {"windows", env{"LOCALAPPDATA": `C:\x`, "XDG_STATE_HOME": `D:\state`}, `D:\state\kubectl-mesh`, ""},
		"windows, slashes":         {"windows", env{"LOCALAPPDATA": `C:\x`, "XDG_STATE_HOME": `d:/state`}, `d:/state\kubectl-mesh`, ""},
		"windows, server":          {"windows", env{"LOCALAPPDATA": `C:\x`, "XDG_STATE_HOME": `\\server\me`}, `\\server\me\kubectl-mesh`, ""},
		"windows, path of Git":     {"windows", env{"LOCALAPPDATA": `C:\x`, "XDG_STATE_HOME": "/c/state"}, `C:\x\kubectl-mesh`, ""},
		"windows, drive's own dir": {"windows", env{"LOCALAPPDATA": `C:\x`, "XDG_STATE_HOME": `C:state`}, `C:\x\kubectl-mesh`, ""},
		"windows, nothing":         {"windows", env{"HOME": "/c/Users/me"}, "", "%LOCALAPPDATA% is not defined"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := stateDir(tt.goos, func(name string) string { return tt.env[name] })
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
				t.Errorf("got %q, %v; want %q, %q", got, err, tt.want, tt.err)
			}
		})
	}
}
