package commandline

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestQuote has each rule of each platform. TestField11Quoting runs the POSIX rules in a shell; nothing here runs PowerShell.
func TestQuote(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]struct{ posix, powershell string }{
		"kind-us":               {"kind-us", "kind-us"},
		"":                      {"''", `""`},
		"a b":                   {"'a b'", `"a b"`},
		"it's":                  {`'it'\''s'`, `"it's"`},
		`say "hi"`:              {`'say "hi"'`, `'say "hi"'`},
		`"it's"`:                {`'"it'\''s"'`, `'"it''s"'`},
		"it\u2019s \"quoted\"":  {"'it\u2019s \"quoted\"'", "'it\u2019\u2019s \"quoted\"'"},
		"\u201cquoted\u201d":    {"'\u201cquoted\u201d'", "'\u201cquoted\u201d'"},
		"$HOME":                 {"'$HOME'", "'$HOME'"},
		"`id`":                  {"'`id`'", "'`id`'"},
		"%PATH%":                {"'%PATH%'", "'%PATH%'"},
		"a&b":                   {"'a&b'", `"a&b"`},
		"kind-us,kind-eu":       {"kind-us,kind-eu", `"kind-us,kind-eu"`},
		"alice@prod":            {"alice@prod", "alice@prod"},
		"@prod":                 {"@prod", `"@prod"`},
		"--as=alice":            {"--as=alice", "--as=alice"},
		"--server=https://h:1":  {"--server=https://h:1", "--server=https://h:1"},
		"-x.y":                  {"-x.y", `"-x.y"`},
		"-":                     {"-", "-"},
		"--":                    {"--", "--"},
		"/home/me/.kube/config": {"/home/me/.kube/config", "/home/me/.kube/config"},
		`C:\Users\me\.kube\cfg`: {`'C:\Users\me\.kube\cfg'`, `C:\Users\me\.kube\cfg`},
		`C:\Users\a b\cfg`:      {`'C:\Users\a b\cfg'`, `"C:\Users\a b\cfg"`},
		`\\server\share\cfg`:    {`'\\server\share\cfg'`, `\\server\share\cfg`},
		"arn:aws:eks:eu:1:c/us": {"arn:aws:eks:eu:1:c/us", "arn:aws:eks:eu:1:c/us"},
		`go-template={{index .data "ca.crt"}}`: {
			`'go-template={{index .data "ca.crt"}}'`, `'go-template={{index .data "ca.crt"}}'`,
		},
		"ü": {"'ü'", `"ü"`},
	} {
		for goos, want := range map[string]string{"linux": want.posix, "darwin": want.posix, "windows": want.powershell} {
			if got := ShellOf(goos).Quote(word); got != want {
				t.Errorf("%s: %q is quoted as %s, want %s", goos, word, got, want)
			}
		}
	}
}

// TestForms compares whole commands for each platform.
func TestForms(t *testing.T) {
	t.Parallel()
	one, several := Kubeconfig{"/a b"}, Kubeconfig{"/a", "/b c"}
	contexts := []Context{{Name: "kind-us", Kubeconfig: one}, {Name: "kind eu", Kubeconfig: one}}
	apart := []Context{{Name: "kind-us", Kubeconfig: one}, {Name: "kind-eu"}, {Name: "kind-ap"}}
	forms := func(s Shell) map[string]string {
		create := func(at Context) string { return s.Pipe("echo {}", s.Tool("kubectl", at, "", "create", "-f", "-")) }
		get := func(at Context) string { return s.Tool("kubectl", at, "shop", "get", "svc") }
		return map[string]string{
			"one file":      s.Plugin("kubectl mesh-svc", Mesh{Selection: Contexts("a", "b"), Kubeconfig: one}, "shop", "undo", `undo 1.json`),
			"several files": s.Plugin("kubectl mesh-svc", Mesh{Selection: Contexts("a"), Kubeconfig: several}, "", "undrain", "us"),
			"environment":   s.Tool("cilium", contexts[0], "", "status"),
			"loop":          s.Each(contexts, get),
			"sequence":      s.Each(apart, get),
			"pipe":          create(contexts[0]),
			"pipe, several": create(Context{Name: "kind-us", Kubeconfig: several}),
			"pipe, quoted":  create(Context{Name: "kind-us", Kubeconfig: Kubeconfig{"/a$", "/b"}}),
			"pipe in loop":  s.Each(contexts, create),
			"into":          s.Into("ca bundle.crt", "kubectl get a", "kubectl get b"),
		}
	}
	posix := map[string]string{
		"one file":      "kubectl mesh-svc undo 'undo 1.json' -n shop --contexts a,b --kubeconfig '/a b'",
		"several files": "KUBECONFIG='/a:/b c' kubectl mesh-svc undrain us --contexts a",
		"environment":   "KUBECONFIG='/a b' cilium --context kind-us status",
		"loop":          `for c in kind-us 'kind eu'; do kubectl --context "$c" -n shop get svc --kubeconfig '/a b'; done`,
		"sequence": "kubectl --context kind-us -n shop get svc --kubeconfig '/a b' && kubectl --context kind-eu -n shop get svc && " +
			"kubectl --context kind-ap -n shop get svc",
		"pipe":          "echo {} | kubectl --context kind-us create -f - --kubeconfig '/a b'",
		"pipe, several": "echo {} | KUBECONFIG='/a:/b c' kubectl --context kind-us create -f -",
		"pipe, quoted":  "echo {} | KUBECONFIG='/a$:/b' kubectl --context kind-us create -f -",
		"pipe in loop":  `for c in kind-us 'kind eu'; do echo {} | kubectl --context "$c" create -f - --kubeconfig '/a b'; done`,
		"into":          "(kubectl get a; echo; kubectl get b) > 'ca bundle.crt'",
	}
	for goos, want := range map[string]map[string]string{"linux": posix, "darwin": posix, "windows": {
		"one file":      `kubectl mesh-svc undo "undo 1.json" -n shop --contexts "a,b" --kubeconfig "/a b"`,
		"several files": `$env:KUBECONFIG = "/a;/b c"; kubectl mesh-svc undrain us --contexts a`,
		"environment":   `$env:KUBECONFIG = "/a b"; cilium --context kind-us status`,
		"loop":          `foreach ($c in "kind-us", "kind eu") { kubectl --context $c -n shop get svc --kubeconfig "/a b" }`,
		"sequence": `kubectl --context kind-us -n shop get svc --kubeconfig "/a b"; if ($?) { kubectl --context kind-eu -n shop get svc; ` +
			`if ($?) { kubectl --context kind-ap -n shop get svc } }`,
		"pipe":          `echo {} | kubectl --context kind-us create -f - --kubeconfig "/a b"`,
		"pipe, several": `$env:KUBECONFIG = "/a;/b c"; echo {} | kubectl --context kind-us create -f -`,
		"pipe, quoted":  `$env:KUBECONFIG = '/a$;/b'; echo {} | kubectl --context kind-us create -f -`,
		"pipe in loop":  `foreach ($c in "kind-us", "kind eu") { echo {} | kubectl --context $c create -f - --kubeconfig "/a b" }`,
		"into":          `$(kubectl get a; kubectl get b) | Set-Content -Encoding ascii "ca bundle.crt"`,
	}} {
		if d := cmp.Diff(want, forms(ShellOf(goos))); d != "" {
			t.Errorf("%s: %s", goos, d)
		}
	}
}
