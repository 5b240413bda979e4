package clusters

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/term"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/execplugin"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
)

// plugin is the exec credential plugin of a context.
type plugin struct {
	key     string // equal for contexts that client-go runs the plugin for once
	command string
	prompts bool             // it may ask a person
	browser bool             // it looks like one that opens a browser, which no interactiveMode tells
	host    *execplugin.Host // nil: client-go runs it itself
}

// usePlugin makes a client configuration run its credential plugin through the wrapper, and returns the plugin; nil without one.
func (f *Flags) usePlugin(cfg *rest.Config) *plugin {
	if cfg.ExecProvider == nil {
		return nil
	}
	exec := cfg.ExecProvider.DeepCopy() // it is the kubeconfig's
	if f.unattended {
		exec.StdinUnavailable, exec.StdinUnavailableMessage = true, "the shell completes a command line"
	}
	identity := []any{exec}
	if exec.ProvideClusterInfo {
		// It fails where the CA cannot be read; the client says so.
		cluster, _ := rest.ConfigToExecCluster(cfg)
		identity = append(identity, cluster, fmt.Sprint(exec.Config))
	}
	p := &plugin{key: fingerprint(identity), command: filepath.Base(exec.Command), prompts: mayPrompt(exec), browser: mayOpenBrowser(exec), host: f.host}
	if f.host != nil {
		exec = f.host.Wrap(exec, p.key, f.Timeout)
		cfg.Wrap(func(rt http.RoundTripper) http.RoundTripper { return f.host.Watch(p.key, rt) })
	}
	cfg.ExecProvider = exec
	return p
}

// mayPrompt reports whether client-go gives the plugin the terminal. What the plugin does with it nobody knows beforehand.
func mayPrompt(exec *clientcmdapi.ExecConfig) bool {
	switch exec.InteractiveMode {
	case clientcmdapi.IfAvailableExecInteractiveMode, clientcmdapi.AlwaysExecInteractiveMode:
		return !exec.StdinUnavailable && term.IsTerminal(int(os.Stdin.Fd()))
	}
	return false
}

// mayOpenBrowser reports whether the command line speaks of what is done in a browser. kubelogin for example (kubectl oidc-login) has interactiveMode Never
// in its own instructions, and opens one.
func mayOpenBrowser(exec *clientcmdapi.ExecConfig) bool {
	return slices.ContainsFunc(append([]string{filepath.Base(exec.Command)}, exec.Args...), func(word string) bool {
		word = strings.ToLower(word)
		return strings.Contains(word, "login") || strings.Contains(word, "oidc") || strings.Contains(word, "browser")
	})
}

// need tells the host that the plugin's credentials are needed.
func (p *plugin) need() {
	if p.host != nil {
		p.host.Need(p.key)
	}
}

// fetchCredentials makes client-go run the plugin, which takes as long as it takes. client-go keeps the credentials for all clients of the same configuration.
func fetchCredentials(cfg *rest.Config) error {
	conf, err := cfg.TransportConfig()
	if err != nil || conf.TLS.GetCertHolder == nil { // other credentials go before those of the plugin
		return err
	}
	_, err = conf.TLS.GetCertHolder.GetCert()
	return err
}

// explain puts the reason why the plugin failed in the place of client-go's error, which knows the wrapper's exit code only.
func (p *plugin) explain(err error) error {
	if p == nil || p.host == nil || err == nil {
		return err
	}
	if text := err.Error(); !strings.Contains(text, "exec: executable") && !strings.Contains(text, "decoding stdout") {
		return err
	}
	cause := p.host.Failure(p.key)
	switch {
	case cause == nil:
		return err
	case cause.TimedOut:
		return &failure.Error{Class: failure.Timeout, Err: cause}
	}
	return &failure.Error{Class: failure.Other, Err: cause}
}

// withClock returns a context whose deadlines do not run while the member's plugin does, or while a person is at the terminal.
func (m *Member) withClock(ctx context.Context) context.Context {
	p := m.plugin // the member may use another context later
	if p == nil || p.host == nil {
		return ctx
	}
	return fanout.WithClock(ctx, func() bool { return p.host.Busy(p.key) })
}
