package clusters

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	_ "k8s.io/client-go/plugin/pkg/client/auth/azure" // its error says what to use instead of the auth provider that was removed
	_ "k8s.io/client-go/plugin/pkg/client/auth/gcp"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
)

// candidate is one context of one kubeconfig file.
type candidate struct {
	name    string                 // as shown and accepted: NAME, or FILE::NAME where NAME alone is ambiguous
	context string                 // its name in the file
	file    string                 // an absolute path
	config  *clientcmdapi.Config   // the file alone, or the merge where the context refers to another file
	merged  bool                   // it does
	files   commandline.Kubeconfig // those of the kubeconfig
}

// kubeconfig is what all files say together, without merging them.
type kubeconfig struct {
	candidates []candidate
	current    string // name of the current context, "" when there is none
	// files are those that were read, as printed commands name them: none where that is the default file, which every shell finds.
	files commandline.Kubeconfig
}

// load reads each kubeconfig file by itself. kubectl's merge takes the first of
// two users or clusters of the same name, which silently connects with the
// wrong credentials; here every context keeps the entries of its own file.
func (f *Flags) load() (*kubeconfig, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	files := rules.GetLoadingPrecedence()
	explicit := ptr.Deref(f.Config.KubeConfig, "")
	if explicit != "" {
		files = []string{explicit}
		rules.ExplicitPath = explicit
	}
	kc := &kubeconfig{}
	var read commandline.Kubeconfig
	var without []string // why a file has no context
	for _, file := range files {
		if file == "" { // KUBECONFIG=$KUBECONFIG:FILE with the variable unset; kubectl skips it too
			continue
		}
		file, err := filepath.Abs(file) // a printed command holds in any directory, and so does the FILE of FILE::NAME
		if err != nil {
			return nil, fmt.Errorf("kubeconfig %s: %w", file, err)
		}
		cfg, err := clientcmd.LoadFromFile(file)
		if os.IsNotExist(err) && explicit == "" {
			without = append(without, file+" does not exist")
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("kubeconfig %s: %w", file, err)
		}
		if err := clientcmd.ResolveLocalPaths(cfg); err != nil {
			return nil, fmt.Errorf("kubeconfig %s: %w", file, err)
		}
		if len(cfg.Contexts) == 0 {
			without = append(without, file+" has no context")
		}
		kc.add(file, cfg)
		read = append(read, file)
	}
	if explicit != "" || os.Getenv(clientcmd.RecommendedConfigPathEnvVar) != "" {
		kc.files = read
	}
	if len(kc.candidates) == 0 {
		if len(without) == 0 {
			without = []string{"KUBECONFIG does not contain the name of a file"}
		}
		return nil, fmt.Errorf("no kubeconfig with a context was found: %s; set KUBECONFIG or --kubeconfig", strings.Join(without, ", "))
	}
	return kc, kc.finish(rules)
}

// add takes in the contexts of one file; LoadFromFile has set LocationOfOrigin.
func (kc *kubeconfig) add(file string, cfg *clientcmdapi.Config) {
	names := make([]string, 0, len(cfg.Contexts))
	for name := range cfg.Contexts {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		kc.candidates = append(kc.candidates, candidate{name: name, context: name, file: file, config: cfg})
	}
	if kc.current == "" && cfg.CurrentContext != "" {
		kc.current = cfg.CurrentContext
	}
}

// finish gives contexts of one name their FILE::NAME, drops exact repetitions,
// and falls back to the merge for contexts that refer to another file.
func (kc *kubeconfig) finish(rules *clientcmd.ClientConfigLoadingRules) error {
	var merged *clientcmdapi.Config
	for i := range kc.candidates {
		c := &kc.candidates[i]
		ctx := c.config.Contexts[c.context]
		_, hasCluster := c.config.Clusters[ctx.Cluster]
		_, hasUser := c.config.AuthInfos[ctx.AuthInfo]
		if hasCluster && (hasUser || ctx.AuthInfo == "") {
			continue
		}
		if merged == nil {
			m, err := rules.Load()
			if err != nil {
				return fmt.Errorf("kubeconfig: %w", err)
			}
			merged = m
		}
		// What the own file has goes before the merge, in which the first file wins.
		mine := merged.DeepCopy()
		maps.Copy(mine.Clusters, c.config.Clusters)
		maps.Copy(mine.AuthInfos, c.config.AuthInfos)
		mine.Contexts[c.context] = ctx
		c.config, c.merged = mine, true
	}
	var out []candidate
	for i, c := range kc.candidates {
		same, differs := false, false
		for j, o := range kc.candidates {
			if i == j || o.context != c.context {
				continue
			}
			switch {
			case equalContext(c, o):
				same = same || j < i
			default:
				differs = true
			}
		}
		if same {
			continue
		}
		if differs {
			c.name = c.file + "::" + c.context
			if c.context == kc.current && !slices.ContainsFunc(out, func(o candidate) bool { return o.context == kc.current }) {
				kc.current = c.name
			}
		}
		out = append(out, c)
	}
	for i := range out {
		out[i].files = kc.files
	}
	kc.candidates = out
	return nil
}

// equalContext reports whether two contexts of one name reach the same cluster with the same credentials.
func equalContext(a, b candidate) bool {
	parts := func(c candidate) [3]any {
		ctx := c.config.Contexts[c.context].DeepCopy()
		ctx.LocationOfOrigin = ""
		var cluster clientcmdapi.Cluster
		if p := c.config.Clusters[ctx.Cluster]; p != nil {
			cluster = *p.DeepCopy()
		}
		var user clientcmdapi.AuthInfo
		if p := c.config.AuthInfos[ctx.AuthInfo]; p != nil {
			user = *p.DeepCopy()
		}
		cluster.LocationOfOrigin, user.LocationOfOrigin = "", ""
		return [3]any{*ctx, cluster, user}
	}
	return reflect.DeepEqual(parts(a), parts(b))
}

// find returns the candidates that a name or glob means. The exact name comes first, whatever it holds: brackets, stars and "::" are common
// in the names of contexts. Only then is it read as FILE::NAME, with the file's path or base name, and last as a glob.
func (kc *kubeconfig) find(pattern string) ([]candidate, error) {
	if i := slices.IndexFunc(kc.candidates, func(c candidate) bool { return c.name == pattern }); i >= 0 {
		return kc.candidates[i : i+1 : i+1], nil
	}
	var exact, ambiguous, matched []candidate
	for _, c := range kc.candidates {
		switch {
		case c.inFile(pattern):
			exact = append(exact, c)
		case c.context == pattern:
			ambiguous = append(ambiguous, c)
		case isGlob(pattern) && (globMatch(pattern, c.name) || globMatch(pattern, c.context)):
			matched = append(matched, c)
		}
	}
	switch {
	case len(exact) == 1:
		return exact, nil
	case len(exact)+len(ambiguous) > 0:
		return nil, fmt.Errorf("context %q is defined in more than one kubeconfig file with different content; name it as %s",
			pattern, joinNames(append(exact, ambiguous...), " or "))
	case len(matched) > 0:
		return matched, nil
	case isGlob(pattern):
		return nil, fmt.Errorf("no context matches %q; there are: %s", pattern, joinNames(kc.candidates, ", "))
	}
	return nil, fmt.Errorf("context %q not found in kubeconfig; there are: %s", pattern, joinNames(kc.candidates, ", "))
}

// inFile reports whether what a user typed is FILE::NAME of the candidate. It is compared and not split: a context's own name may hold "::".
func (c candidate) inFile(pattern string) bool {
	file, ok := strings.CutSuffix(pattern, "::"+c.context)
	if !ok || file == "" {
		return false
	}
	if file == filepath.Base(c.file) {
		return true
	}
	abs, err := filepath.Abs(file)
	return err == nil && abs == c.file
}

func joinNames(cs []candidate, sep string) string {
	const most = 12
	var names []string
	for i, c := range cs {
		if i == most {
			names = append(names, fmt.Sprintf("and %d more", len(cs)-most))
			break
		}
		names = append(names, c.name)
	}
	return strings.Join(names, sep)
}

// restConfig builds the client configuration of a context with the flags that hold for every context.
func (f *Flags) restConfig(c candidate, single bool) (*rest.Config, string, error) {
	cf := f.Config
	o := &clientcmd.ConfigOverrides{CurrentContext: c.context}
	o.AuthInfo.Impersonate = ptr.Deref(cf.Impersonate, "")
	o.AuthInfo.ImpersonateUID = ptr.Deref(cf.ImpersonateUID, "")
	o.AuthInfo.ImpersonateGroups = ptr.Deref(cf.ImpersonateGroup, nil)
	o.Timeout = ptr.Deref(cf.Timeout, "")
	o.AuthInfo.ImpersonateUserExtra = userExtra(ptr.Deref(cf.ImpersonateUserExtra, nil))
	o.ClusterInfo.InsecureSkipTLSVerify = ptr.Deref(cf.Insecure, false)
	o.ClusterInfo.DisableCompression = ptr.Deref(cf.DisableCompression, false)
	o.ClusterInfo.ProxyURL = ptr.Deref(cf.ProxyURL, "")
	if single {
		o.ClusterInfo.Server = ptr.Deref(cf.APIServer, "")
		o.ClusterInfo.TLSServerName = ptr.Deref(cf.TLSServerName, "")
		o.ClusterInfo.CertificateAuthority = ptr.Deref(cf.CAFile, "")
		o.AuthInfo.Token = ptr.Deref(cf.BearerToken, "")
		o.AuthInfo.ClientCertificate = ptr.Deref(cf.CertFile, "")
		o.AuthInfo.ClientKey = ptr.Deref(cf.KeyFile, "")
		o.Context.Cluster = ptr.Deref(cf.ClusterName, "")
		o.Context.AuthInfo = ptr.Deref(cf.AuthInfoName, "")
	}
	cc := clientcmd.NewNonInteractiveClientConfig(*c.config, c.context, o, nil)
	cfg, err := cc.ClientConfig()
	if err != nil {
		return nil, "", fmt.Errorf("context %q: %w", c.name, err)
	}
	ns := ""
	if ctx := c.config.Contexts[c.context]; ctx != nil {
		ns = ctx.Namespace
	}
	return cfg, ns, nil
}

// userExtra reads --as-user-extra as kubectl does: key=value, repeatable.
func userExtra(pairs []string) map[string][]string {
	var extra map[string][]string
	for _, p := range pairs {
		if k, v, ok := strings.Cut(p, "="); ok {
			if extra == nil {
				extra = map[string][]string{}
			}
			extra[k] = append(extra[k], v)
		}
	}
	return extra
}

// singleOnly names the flags that make sense for one context only.
func (f *Flags) singleOnly() []string {
	var set []string
	for flag, v := range map[string]*string{
		"--server": f.Config.APIServer, "--token": f.Config.BearerToken, "--user": f.Config.AuthInfoName, "--cluster": f.Config.ClusterName,
		"--tls-server-name": f.Config.TLSServerName, "--certificate-authority": f.Config.CAFile, "--client-certificate": f.Config.CertFile, "--client-key": f.Config.KeyFile,
	} {
		if ptr.Deref(v, "") != "" {
			set = append(set, flag)
		}
	}
	slices.Sort(set)
	return set
}
