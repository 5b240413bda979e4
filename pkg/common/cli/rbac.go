package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
)

// RBACSubjects are the flags of the rbac commands that say for whom.
type RBACSubjects struct {
	set *pflag.FlagSet // to tell an empty value from none

	users, groups, serviceAccounts []string
}

// AddFlags registers the flags. They are named as in kubectl create rolebinding; --user hides the one for credentials, as it does there.
func (f *RBACSubjects) AddFlags(fs *pflag.FlagSet) {
	f.set = fs
	fs.StringSliceVar(&f.users, "user", nil, "User to bind the roles to (repeatable).")
	fs.StringSliceVar(&f.groups, "group", nil, "Group to bind the roles to (repeatable).")
	fs.StringSliceVar(&f.serviceAccounts, "serviceaccount", nil, "Service account to bind the roles to, as NAMESPACE:NAME (repeatable).")
}

// Subjects checks the flags.
func (f *RBACSubjects) Subjects() ([]rbacv1.Subject, error) {
	var out []rbacv1.Subject
	for flag, names := range map[string][]string{"user": f.users, "group": f.groups, "serviceaccount": f.serviceAccounts} {
		if f.set.Changed(flag) && len(names) == 0 {
			return nil, fmt.Errorf("--%s is empty", flag)
		}
	}
	for _, u := range f.users {
		out = append(out, rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: u})
	}
	for _, n := range f.groups {
		out = append(out, rbacv1.Subject{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: n})
	}
	for _, sa := range f.serviceAccounts {
		ns, name, ok := strings.Cut(sa, ":")
		if !ok || ns == "" || name == "" {
			return nil, fmt.Errorf("--serviceaccount %q is not NAMESPACE:NAME", sa)
		}
		out = append(out, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: name})
	}
	for _, s := range out {
		if s.Name == "" {
			return nil, errors.New("--user or --group is empty")
		}
	}
	return out, nil
}

// RBACText returns manifests as one stream of YAML documents.
func RBACText(m permissions.Manifests) (string, error) {
	var docs []string
	add := func(object any) error {
		b, err := yaml.Marshal(object)
		docs = append(docs, string(b))
		return err
	}
	var errs []error
	for _, r := range m.ClusterRoles {
		errs = append(errs, add(r))
	}
	for _, r := range m.ClusterRoleBindings {
		errs = append(errs, add(r))
	}
	for _, r := range m.Roles {
		errs = append(errs, add(r))
	}
	for _, r := range m.RoleBindings {
		errs = append(errs, add(r))
	}
	return strings.Join(docs, "---\n"), errors.Join(errs...)
}
