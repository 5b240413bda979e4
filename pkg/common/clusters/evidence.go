package clusters

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// entry is what a kubeconfig says about a context. It is the only evidence of which cluster a context leads to when that cluster does not answer.
type entry struct {
	names      []string // of the context, of its cluster entry and of its user entry
	server     string
	serverName string // the TLS server name, by which some proxies tell clusters apart
	proxy      string // the proxy of the cluster entry; behind another one the same address is that of another network
	ca         string // data or path, "" for the system's
	user       string // fingerprint of credentials that are stored, "" for none and for a login
	login      string // fingerprint of the program or provider that fetches credentials, "" without one
}

// entry returns what the kubeconfig says about a candidate.
func (c candidate) entry() entry {
	ctx := c.config.Contexts[c.context]
	e := entry{names: []string{c.context, ctx.Cluster, ctx.AuthInfo}}
	if cluster := c.config.Clusters[ctx.Cluster]; cluster != nil {
		e.server, e.serverName, e.proxy, e.ca = cluster.Server, cluster.TLSServerName, cluster.ProxyURL, string(cluster.CertificateAuthorityData)
		if e.ca == "" {
			e.ca = cluster.CertificateAuthority
		}
	}
	user := c.config.AuthInfos[ctx.AuthInfo]
	switch {
	case user == nil:
	case user.Exec != nil:
		e.login = fingerprint(user.Exec)
	case user.AuthProvider != nil:
		e.login = fingerprint(user.AuthProvider)
	default:
		stored := user.DeepCopy()
		stored.LocationOfOrigin = ""
		if empty := fingerprint(clientcmdapi.NewAuthInfo()); fingerprint(stored) != empty {
			e.user = fingerprint(stored)
		}
	}
	return e
}

// fingerprint stands for a value that may hold credentials.
func fingerprint(v any) string {
	text, err := json.Marshal(v)
	if err != nil { // an extension of unknown type: equal only to itself
		text = fmt.Appendf(nil, "%p", v)
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))
}

// otherLogins reports whether two contexts log in with different programs. Behind one address a proxy such as Teleport's
// chooses the cluster by the credentials, so that nothing else tells the clusters apart.
func otherLogins(a, b entry) bool { return a.login != "" && b.login != "" && a.login != b.login }

// sameCluster reports whether the kubeconfig alone shows that two contexts lead to one cluster.
func sameCluster(a, b entry) bool {
	return a.server != "" && a.server == b.server && a.serverName == b.serverName && a.proxy == b.proxy && a.ca == b.ca && !otherLogins(a, b)
}

// looksLike reports whether the entries of a context resemble those of another one so much that it does not show a further cluster:
// a certificate authority or stored credentials that are those of the other cluster.
func looksLike(a, b entry) bool {
	if otherLogins(a, b) {
		return false
	}
	if host, path := address(a.server); host != "" {
		if otherHost, otherPath := address(b.server); host == otherHost && path != otherPath {
			return false // a proxy such as Rancher's, which serves several clusters with one certificate and one token
		}
	}
	return sameCluster(a, b) || a.ca != "" && a.ca == b.ca || a.user != "" && a.user == b.user
}

func address(server string) (host, path string) {
	u, err := url.Parse(server)
	if err != nil {
		return "", ""
	}
	return u.Host, strings.TrimSuffix(u.Path, "/")
}

// names says which of the known clusters the names of a context's entries contain, as a word.
// A name within a longer one that matches too does not count: "prod" does not in prod-eu.
func (e entry) mentions(known []string) []string {
	var found []string
	for _, name := range known {
		if !slices.Contains(found, name) && slices.ContainsFunc(e.names, func(text string) bool { return hasWord(text, name) }) {
			found = append(found, name)
		}
	}
	return slices.DeleteFunc(slices.Clone(found), func(name string) bool {
		return slices.ContainsFunc(found, func(longer string) bool { return longer != name && hasWord(longer, name) })
	})
}

// region matches the regions and zones of cloud providers. They are names of places, and clusters are called after places too.
var region = regexp.MustCompile(`(?i)(^|[^a-z0-9])(?:af|ap|ca|cn|eu|il|me|mx|sa|us|asia|europe|northamerica|southamerica|australia|africa)` +
	`(?:-gov|-iso[a-z]?)?-?(?:north|south|east|west|central|northeast|northwest|southeast|southwest)-?[0-9]+(?:-?[a-z])?($|[^a-z0-9])`)

// clusterPart returns the part of an entry's name that names a cluster: without the account, project, region and zone that EKS and GKE put into it.
func clusterPart(text string) string {
	if strings.HasPrefix(text, "arn:") {
		return text[strings.LastIndex(text, "/")+1:]
	}
	if parts := strings.SplitN(text, "_", 4); len(parts) == 4 && parts[0] == "gke" {
		return parts[3]
	}
	return text
}

// hasWord reports whether a text contains a name with no letter and no digit beside it, in any case of letters.
func hasWord(text, name string) bool {
	text, name = strings.ToLower(clusterPart(text)), strings.ToLower(name)
	if !region.MatchString(name) {
		text = region.ReplaceAllString(text, "$1$2")
	}
	beside := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 0x80 }
	for from := 0; name != ""; {
		at := strings.Index(text[from:], name)
		if at < 0 {
			return false
		}
		at += from
		end := at + len(name)
		if (at == 0 || !beside(text[at-1])) && (end == len(text) || !beside(text[end])) {
			return true
		}
		from = at + 1
	}
	return false
}

// peerOf returns the peer to which a context that could not be read belongs by its own entries, or "". That no other context and no other peer is left
// says nothing: the context may lead to a cluster that is already known, or to one outside the mesh.
func peerOf(unread *Member, peers, known []string, read []*Member) string {
	mentioned := unread.entry.mentions(append(slices.Clone(known), peers...))
	if len(mentioned) != 1 || !slices.Contains(peers, mentioned[0]) {
		return ""
	}
	if slices.ContainsFunc(read, func(m *Member) bool { return looksLike(unread.entry, m.entry) }) {
		return ""
	}
	return mentioned[0]
}
