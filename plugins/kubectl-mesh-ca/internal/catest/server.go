package catest

import (
	"encoding/json"
	"errors"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"
)

// Server is an API server's Secrets for several clients at the same time. It holds the preconditions of a merge patch and moves the resource version,
// which the fake clients do not.
type Server struct {
	mu      sync.Mutex
	secrets map[string]*corev1.Secret
}

// NewServer begins with the given Secrets.
func NewServer(secrets ...*corev1.Secret) *Server {
	s := &Server{secrets: map[string]*corev1.Secret{}}
	for _, secret := range secrets {
		s.secrets[secret.Name] = secret.DeepCopy()
	}
	return s
}

// Secret returns a copy of a Secret, nil for none.
func (s *Server) Secret(name string) *corev1.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.secrets[name].DeepCopy()
}

// Client is a client of the server. hook is called before each request that concerns Secrets.
func (s *Server) Client(hook func()) *fake.Clientset {
	client := &fake.Clientset{}
	Tame(client)
	client.PrependReactor("*", "secrets", func(a ktesting.Action) (bool, runtime.Object, error) {
		hook()
		s.mu.Lock()
		defer s.mu.Unlock()
		switch a := a.(type) {
		case ktesting.GetActionImpl:
			if have := s.secrets[a.GetName()]; have != nil {
				return true, have.DeepCopy(), nil
			}
			return true, nil, apierrors.NewNotFound(a.GetResource().GroupResource(), a.GetName())
		case ktesting.CreateActionImpl:
			secret := As[*corev1.Secret](a.GetObject()).DeepCopy()
			if s.secrets[secret.Name] != nil {
				return true, nil, apierrors.NewAlreadyExists(a.GetResource().GroupResource(), secret.Name)
			}
			s.secrets[secret.Name] = secret
			return true, secret.DeepCopy(), nil
		case ktesting.PatchActionImpl:
			secret, err := s.patch(a)
			return true, secret, err
		}
		return false, nil, nil
	})
	client.AddReactor("*", "*", func(a ktesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewNotFound(a.GetResource().GroupResource(), "")
	})
	return client
}

func (s *Server) patch(a ktesting.PatchActionImpl) (*corev1.Secret, error) {
	have := s.secrets[a.GetName()]
	if have == nil {
		return nil, apierrors.NewNotFound(a.GetResource().GroupResource(), a.GetName())
	}
	var body struct {
		Metadata struct {
			UID             types.UID          `json:"uid"`
			ResourceVersion string             `json:"resourceVersion"`
			Annotations     map[string]*string `json:"annotations"`
		} `json:"metadata"`
		Data map[string][]byte `json:"data"`
	}
	if err := json.Unmarshal(a.GetPatch(), &body); err != nil {
		return nil, err
	}
	if m := body.Metadata; m.UID != have.UID || m.ResourceVersion != have.ResourceVersion {
		return nil, apierrors.NewConflict(a.GetResource().GroupResource(), a.GetName(), errors.New("the object has been modified"))
	}
	secret := have.DeepCopy()
	if secret.Annotations == nil {
		secret.Annotations = map[string]string{}
	}
	for k, v := range body.Metadata.Annotations {
		delete(secret.Annotations, k)
		if v != nil {
			secret.Annotations[k] = *v
		}
	}
	for k, v := range body.Data {
		secret.Data[k] = v
	}
	secret.ResourceVersion += "0"
	s.secrets[secret.Name] = secret
	return secret.DeepCopy(), nil
}
