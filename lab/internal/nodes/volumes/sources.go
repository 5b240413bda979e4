package volumes

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

type file struct {
	content []byte
	mode    fs.FileMode
}

// sourcesOf are what a volume is made of; a Secret or a ConfigMap counts as a projection of its own.
func sourcesOf(v *corev1.Volume) []corev1.VolumeProjection {
	switch {
	case v.Projected != nil:
		return v.Projected.Sources
	case v.Secret != nil:
		return []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: v.Secret.SecretName}, Items: v.Secret.Items, Optional: v.Secret.Optional,
		}}}
	case v.ConfigMap != nil:
		return []corev1.VolumeProjection{{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: v.ConfigMap.LocalObjectReference, Items: v.ConfigMap.Items, Optional: v.ConfigMap.Optional,
		}}}
	}
	return nil
}

func defaultMode(v *corev1.Volume) fs.FileMode {
	for _, mode := range []*int32{
		field(v.Projected, func(p *corev1.ProjectedVolumeSource) *int32 { return p.DefaultMode }),
		field(v.Secret, func(s *corev1.SecretVolumeSource) *int32 { return s.DefaultMode }),
		field(v.ConfigMap, func(c *corev1.ConfigMapVolumeSource) *int32 { return c.DefaultMode }),
	} {
		if mode != nil {
			return fs.FileMode(*mode)
		}
	}
	return 0o644
}

func field[T any](source *T, get func(*T) *int32) *int32 {
	if source == nil {
		return nil
	}
	return get(source)
}

// collect reads the sources of a volume. A later source wins over an earlier one.
func (s *Set) collect(ctx context.Context, v *corev1.Volume, sources []corev1.VolumeProjection) (map[string]file, error) {
	files := map[string]file{}
	mode := defaultMode(v)
	for _, source := range sources {
		switch {
		case source.Secret != nil:
			p := source.Secret
			secret, err := s.client.CoreV1().Secrets(s.pod.Namespace).Get(ctx, p.Name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) && isTrue(p.Optional) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if err := project(files, secret.Data, p.Items, mode, isTrue(p.Optional)); err != nil {
				return nil, fmt.Errorf("secret %q: %w", p.Name, err)
			}
		case source.ConfigMap != nil:
			p := source.ConfigMap
			config, err := s.client.CoreV1().ConfigMaps(s.pod.Namespace).Get(ctx, p.Name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) && isTrue(p.Optional) {
				continue
			}
			if err != nil {
				return nil, err
			}
			data := maps.Clone(config.BinaryData)
			if data == nil {
				data = map[string][]byte{}
			}
			for key, value := range config.Data {
				data[key] = []byte(value)
			}
			if err := project(files, data, p.Items, mode, isTrue(p.Optional)); err != nil {
				return nil, fmt.Errorf("configmap %q: %w", p.Name, err)
			}
		case source.ServiceAccountToken != nil:
			token, err := s.token(ctx, source.ServiceAccountToken)
			if err != nil {
				return nil, err
			}
			files[source.ServiceAccountToken.Path] = file{[]byte(token), mode}
		case source.DownwardAPI != nil:
			for _, item := range source.DownwardAPI.Items {
				if item.FieldRef == nil || item.FieldRef.FieldPath != "metadata.namespace" {
					return nil, fmt.Errorf("downward API: only metadata.namespace is supported in the lab")
				}
				files[item.Path] = file{[]byte(s.pod.Namespace), mode}
			}
		default:
			return nil, fmt.Errorf("a source of this kind is not supported in the lab")
		}
	}
	return files, nil
}

// project adds keys of an object to the files: those that are named, or all.
func project(files map[string]file, data map[string][]byte, items []corev1.KeyToPath, mode fs.FileMode, optional bool) error {
	if len(items) == 0 {
		for _, key := range slices.Sorted(maps.Keys(data)) {
			files[key] = file{data[key], mode}
		}
		return nil
	}
	for _, item := range items {
		content, ok := data[item.Key]
		if !ok && optional {
			continue
		}
		if !ok {
			return fmt.Errorf("it has no key %q", item.Key)
		}
		m := mode
		if item.Mode != nil {
			m = fs.FileMode(*item.Mode)
		}
		files[item.Path] = file{content, m}
	}
	return nil
}

func isTrue(b *bool) bool { return b != nil && *b }

// tokens are the pod's tokens by audience and path, until they are due.
type tokens map[string]token

type token struct {
	text string
	due  time.Time
}

// defaultExpiry is how long a token is valid if the pod does not say.
const defaultExpiry = 3600

// token requests a token of the pod's service account, and another one when 80 % of its time is over, as a kubelet does.
func (s *Set) token(ctx context.Context, p *corev1.ServiceAccountTokenProjection) (string, error) {
	id := p.Audience + " " + p.Path
	if t, ok := s.tokens[id]; ok && time.Now().Before(t.due) {
		return t.text, nil
	}
	expiry := int64(defaultExpiry)
	if p.ExpirationSeconds != nil {
		expiry = *p.ExpirationSeconds
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: &expiry,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: s.pod.Name, UID: s.pod.UID},
	}}
	if p.Audience != "" {
		request.Spec.Audiences = []string{p.Audience}
	}
	issued, err := s.client.CoreV1().ServiceAccounts(s.pod.Namespace).CreateToken(ctx, s.pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("token of service account %q: %w", s.pod.Spec.ServiceAccountName, err)
	}
	s.tokens[id] = token{issued.Status.Token, time.Now().Add(time.Duration(expiry) * time.Second * 4 / 5)}
	return issued.Status.Token, nil
}
