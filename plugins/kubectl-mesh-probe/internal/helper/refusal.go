package helper

import "strings"

// explain adds the way out to the reason why an API server rejected a helper. All of these are answers with code 403.
func explain(kind Kind, message string) string {
	other := "use --client=pod, which changes no other pod"
	if kind == Pod {
		other = "use --client=ephemeral, which creates no pod"
	}
	switch {
	case strings.HasPrefix(message, "no permission: "):
		return message + "; to print the rules, run: kubectl mesh-probe rbac --client " + string(kind)
	case strings.Contains(message, "violates PodSecurity") && kind == Ephemeral:
		return message + "; the policy applies to the whole pod, and the client pod itself violates it: use --client=pod, whose pod satisfies the restricted policy"
	case strings.Contains(message, "violates PodSecurity"):
		return message + "; the helper pod satisfies the restricted policy, unless admission changed it: " + other
	case strings.Contains(message, "exceeded quota") || strings.Contains(message, "failed quota"):
		return message + "; the quota of the namespace leaves no room for a helper pod: " + other
	case strings.Contains(message, "denied the request") || strings.Contains(message, "is forbidden"):
		return message + "; an admission policy of the cluster rejects it: " + other
	}
	return message
}
