// Package helper provides what sends requests where a client pod has no tool: an ephemeral container in the client pod, or a helper pod beside it.
// It creates them, waits until they run, keeps them alive, ends them, and finds what an earlier run left behind. It knows the Kubernetes clients;
// it does not know what is sent.
//
// Everything that it starts ends by itself: the process in the container when it gets no sign of life from the plugin, and the pod after a time
// limit.
package helper

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind says where the requests come from.
type Kind string

// The kinds of helpers.
const (
	// Ephemeral is an ephemeral container in the client pod.
	Ephemeral Kind = "ephemeral"
	// Pod is a helper pod in the namespace of the client pod.
	Pod Kind = "pod"
)

// Config is what the user requests.
type Config struct {
	Kind  Kind
	Image string
	// CopyLabels gives a helper pod the labels and the service account of the client pod, and SameNode its node.
	CopyLabels, SameNode bool
	// Lifetime is after how long a helper ends in any case.
	Lifetime time.Duration
	// StartTimeout is how long it may take until a helper runs.
	StartTimeout time.Duration
}

const (
	// LabelManagedBy has the value Manager in every helper pod.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// Manager is also the field manager of what this package writes.
	Manager = "kubectl-mesh-probe"

	// namePrefix begins the names of helper pods and of ephemeral containers.
	namePrefix = "mesh-probe-helper-"
	// containerName is the container of a helper pod.
	containerName = "client"
)

// newName returns a name that nothing has. It is chosen before the write, so that the object can be removed even if the answer is lost.
func newName() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return namePrefix + hex.EncodeToString(b[:])
}

// isHelper reports whether a container's name is that of an ephemeral container of this package.
func isHelper(container string) bool {
	suffix, ok := strings.CutPrefix(container, namePrefix)
	return ok && len(suffix) == 8 && !slices.ContainsFunc([]rune(suffix), func(r rune) bool { return !strings.ContainsRune("0123456789abcdef", r) })
}

// Describe names what a helper of the kind is, as messages do.
func (k Kind) Describe(namespace, pod, container string) string {
	if k == Ephemeral {
		return fmt.Sprintf("ephemeral container %s of pod %s/%s", container, namespace, pod)
	}
	return fmt.Sprintf("helper pod %s/%s", namespace, pod)
}
