package pki

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// role is what a user of a clustermesh-apiserver's etcd may do there.
type role int

// The roles that Cilium grants, and what a client of etcd needs.
const (
	roleNone   role = iota
	roleLocal       // reads what KVStoreMesh caches of other clusters
	roleRemote      // reads the state of etcd's own cluster
	roleRoot        // reads and writes everything
)

// purposes of the roles, for sentences.
func (r role) String() string {
	switch r {
	case roleLocal:
		return "read what KVStoreMesh caches of other clusters"
	case roleRemote:
		return "read the state of the cluster"
	case roleRoot:
		return "write the state of the cluster"
	default:
		return "log in"
	}
}

// allows reports whether a role covers what a client needs. The local and the remote role read different keys, so that neither covers the other.
// Source: rangesForLocalRole and rangesForRemoteRole in pkg/kvstore/etcdinit/init.go (1.18.11 and 1.20.2, read).
func (r role) allows(need role) bool { return r == roleRoot || r == need }

// userExternal is the user of external workloads; etcd has it up to Cilium 1.17.
const userExternal = "externalworkload"

// Where clustermesh-apiserver finds the users of other clusters, and the flag that makes it look.
// Source: clustermesh-apiserver/clustermesh/users_mgmt.go and templates/clustermesh-apiserver/deployment.yaml (1.16.19, 1.18.11, 1.19.7 and 1.20.2, read).
const (
	containerEtcdInit  = "etcd-init"
	flagUsersEnabled   = "cluster-users-enabled"
	flagUsersConfig    = "cluster-users-config-path"
	defaultUsersConfig = "/var/lib/cilium/etcd-config/users.yaml"
	dirUsersConfig     = "/var/lib/cilium/etcd-config"
)

// etcdUsers are the users of one cluster's etcd. etcd takes the user of a connection from the common name of its certificate; the names of the
// certificate (SANs) do not count.
type etcdUsers struct {
	cluster string // as sentences name it
	roles   map[string]role
	// managed says that clustermesh-apiserver adds the users of other clusters (authMode migration or cluster).
	managed bool
	// source is where it takes them from.
	source Source
	// doubt says why there may be further users.
	doubt string
}

// users lists the users of a cluster's etcd: root, admin-<cluster>, local-<cluster> and remote, which the init container makes in every authMode
// (pkg/kvstore/etcdinit/init.go, 1.16 to 1.20), and with authMode migration or cluster those of ConfigMap clustermesh-remote-users.
func (s Side) users() etcdUsers {
	cluster := s.ClusterName()
	if c, ok := s.MeshAPI.initContainer(containerEtcdInit); ok {
		cluster = c.Flag("cluster-name", cmp.Or(c.Env["CILIUM_CLUSTER_NAME"], cluster))
	}
	u := etcdUsers{cluster: s.Name, roles: map[string]role{"root": roleRoot, "admin-" + cluster: roleRoot, "local-" + cluster: roleLocal, "remote": roleRemote}}
	c, ok := s.MeshAPI.Container(containerAPIServer)
	if !ok || !c.enabled(flagUsersEnabled) {
		return u
	}
	u.managed = true
	src, err := s.MeshAPI.source(c, c.Flag(flagUsersConfig, defaultUsersConfig), s.Objects)
	if err != nil {
		u.doubt = err.Error()
		return u
	}
	u.source = src
	text, err := s.file(src)
	if err != nil {
		u.doubt = fmt.Sprintf("%s: %v", src, err)
		return u
	}
	if err := u.add(text, s.ClusterName()); err != nil {
		u.doubt = fmt.Sprintf("%s does not parse", src)
	}
	return u
}

// AuthMode is how the clusters of a mesh log in to the etcd of a cluster: clustermesh.apiserver.tls.authMode.
type AuthMode string

// The modes, which the chart has since 1.16.
const (
	AuthLegacy    AuthMode = "legacy"    // every cluster logs in as remote
	AuthMigration AuthMode = "migration" // the users remote-CLUSTER exist too; the cluster itself still logs in as remote
	AuthCluster   AuthMode = "cluster"   // the users remote-CLUSTER exist, and the cluster itself logs in as remote-CLUSTER
)

// AuthMode is the mode of the cluster, by what its clustermesh-apiserver does and by the user that its own certificate names. It is empty where
// that is not known. The chart makes both from one value; with certificates of one's own they may differ, and then the certificate decides what is
// asked of the other clusters.
func (s Side) AuthMode() AuthMode {
	if s.MeshAPI == nil {
		return ""
	}
	leaf, err := ParseLeaf(s.Objects[Ref{Kind: Secret, Name: SecretRemote}].Data)
	switch {
	case err == nil && leaf.Cert().Subject.CommonName == "remote-"+s.ClusterName():
		return AuthCluster
	case s.users().managed:
		return AuthMigration
	}
	return AuthLegacy
}

// add takes in users.yaml. clustermesh-apiserver leaves out an entry with the bare name of its own cluster.
func (u *etcdUsers) add(text []byte, own string) error {
	var doc struct {
		Users []struct {
			Name string `json:"name"`
			Role string `json:"role"`
		} `json:"users"`
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return err
	}
	for _, user := range doc.Users {
		if user.Name == own {
			continue
		}
		granted := map[string]role{"root": roleRoot, "local": roleLocal, "remote": roleRemote}[user.Role]
		u.roles[user.Name] = max(granted, u.roles[user.Name])
	}
	return nil
}

// login says whether etcd lets a client with a common name do what it needs, and why not.
func (u etcdUsers) login(commonName string, need role) (Verdict, string) {
	have, known := u.roles[commonName]
	name := clean(commonName)
	switch {
	case known && have.allows(need):
		return OK, ""
	case known && have == roleNone:
		return Unknown, fmt.Sprintf("user %q of etcd in %s has a role that is not Cilium's", name, u.cluster)
	case known && have == roleRemote && need == roleLocal:
		return Unknown, fmt.Sprintf("user %q of etcd in %s may %s in old versions only (1.16, not 1.18)", name, u.cluster, need)
	case known:
		return Broken, fmt.Sprintf("user %q of etcd in %s may not %s", name, u.cluster, need)
	case commonName == "":
		return Broken, fmt.Sprintf("etcd in %s has no user \"\": etcd takes the user from the common name of the certificate, which has none; its other names do not count", u.cluster)
	case commonName == userExternal:
		return Unknown, fmt.Sprintf("etcd in %s has a user %q up to Cilium 1.17 only", u.cluster, name)
	case u.doubt != "":
		return Unknown, fmt.Sprintf("cannot determine whether etcd in %s has a user %q: %s", u.cluster, name, u.doubt)
	}
	reason := fmt.Sprintf("etcd in %s has no user %q; it has %s", u.cluster, name, u.list(need))
	switch {
	case need != roleRemote || !strings.HasPrefix(commonName, "remote-"):
	case u.managed:
		reason += fmt.Sprintf(" (%s lists the clusters of clustermesh.config.clusters)", u.source.Ref)
	default:
		reason += " (clustermesh.apiserver.tls.authMode is legacy there)"
	}
	return Broken, reason
}

// list names the users that may do what a client needs; root is left out, for nobody issues a certificate for it.
func (u etcdUsers) list(need role) string {
	var names []string
	for name, r := range u.roles {
		if r.allows(need) && name != "root" && (need == roleRoot || r != roleRoot) {
			names = append(names, fmt.Sprintf("%q", clean(name)))
		}
	}
	slices.Sort(names)
	const most = 5
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// judge adds to one half of a handshake whether the client is a user of etcd: a certificate that verifies is not a login.
func (u etcdUsers) judge(c Check, client endpoint, need role) Check {
	if len(client.cert.certs) == 0 {
		return c
	}
	verdict, reason := u.login(client.cert.certs[0].Subject.CommonName, need)
	if verdict == OK {
		return c
	}
	if c.Verdict == OK {
		c.Reason = fmt.Sprintf("%s of %s verifies, but %s", c.Presented, client.cluster, reason)
	} else {
		c.Reason = join(c.Reason, reason)
	}
	c.Verdict, c.User = worst(c.Verdict, verdict), verdict
	return c
}
