package failure

import (
	"errors"
	"regexp"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
)

// forbiddenText is how every API server says which permission a request lacked, whichever authorizer rejected it
// (k8s.io/apiserver pkg/endpoints/handlers/responsewriters, unchanged since 1.11).
var forbiddenText = regexp.MustCompile(`cannot ([a-z]+) resource "([^"]+)" in API group "([^"]*)"(?: in the namespace "([^"]+)"| at the cluster scope)`)

// Explain replaces the message of a request that lacked a permission by one line that names the rule. It returns any other error as it is, also a
// rejection for another reason, such as that of an admission policy.
func Explain(err error) error {
	p, ok := MissingPermission(err)
	if !ok {
		return err
	}
	return &permissions.MissingError{Permissions: []permissions.Permission{p}, Err: err}
}

// MissingPermission reads which permission a request lacked from the error of an API server. It reports false for any other error, and for one that
// Explain returned.
func MissingPermission(err error) (permissions.Permission, bool) {
	var explained *permissions.MissingError
	var status apierrors.APIStatus
	if !apierrors.IsForbidden(err) || errors.As(err, &explained) || !errors.As(err, &status) {
		return permissions.Permission{}, false
	}
	m := forbiddenText.FindStringSubmatch(status.Status().Message)
	if m == nil {
		return permissions.Permission{}, false
	}
	p := permissions.Permission{Verb: m[1], Resource: m[2], Group: m[3], Namespace: m[4]}
	if d := status.Status().Details; d != nil && p.Verb != "create" {
		p.Name = d.Name
	}
	return p, true
}
