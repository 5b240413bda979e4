package server

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/pflag"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	cliflag "k8s.io/component-base/cli/flag"
	logsapi "k8s.io/component-base/logs/api/v1"
	apiserveroptions "k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	controllermanageroptions "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	"k8s.io/kubernetes/cmd/kube-controller-manager/names"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/controlplane/cluster"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

// options turns flags into the options of both programs. Flags and not fields,
// since flags are their documented interface. Both are made before either runs: they
// share the registry of feature gates, which must not grow once it is set.
func options(files cluster.Files, c state.Cluster) (*apiserveroptions.ServerRunOptions, *controllermanageroptions.KubeControllerManagerOptions, error) {
	controllers, err := controllermanageroptions.NewKubeControllerManagerOptions()
	if err != nil {
		return nil, nil, err
	}
	server := apiserveroptions.NewServerRunOptions()
	// Flags of kube-controller-manager 1.34 changes the default of a feature gate. That fails once there are flags for feature gates, so it comes first.
	flags := controllers.Flags(controllermanager.KnownControllers(), controllermanager.ControllersDisabledByDefault(), controllermanager.ControllerAliases())
	if err := parse("kube-controller-manager", flags, controllerFlags(files, c)); err != nil {
		return nil, nil, err
	}
	serverFlags, err := serverFlags(files, c)
	if err != nil {
		return nil, nil, err
	}
	if err := parse("kube-apiserver", server.Flags(), serverFlags); err != nil {
		return nil, nil, err
	}
	if err := server.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return nil, nil, err
	}
	if err := logsapi.ValidateAndApply(server.Logs, utilfeature.DefaultFeatureGate); err != nil {
		return nil, nil, err
	}
	return server, controllers, nil
}

func parse(program string, sets cliflag.NamedFlagSets, flags []string) error {
	all := pflag.NewFlagSet(program, pflag.ContinueOnError)
	for _, set := range sets.FlagSets {
		all.AddFlagSet(set)
	}
	if err := all.Parse(flags); err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	return nil
}

func serverFlags(files cluster.Files, c state.Cluster) ([]string, error) {
	endpoint, err := url.Parse(c.APIServer)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(endpoint.Host)
	if err != nil {
		return nil, err
	}
	// Without an address that pods can reach nobody uses Service default/kubernetes, and an endpoint on loopback
	// would be refused.
	advertise, reconciler := host, "none"
	if c.AdvertiseAddress != "" {
		advertise, reconciler = c.AdvertiseAddress, "lease"
	}
	flags := []string{
		"--etcd-servers=" + etcdClientURL,
		"--bind-address=" + host,
		"--advertise-address=" + advertise,
		"--endpoint-reconciler-type=" + reconciler,
		"--secure-port=" + port,
		"--tls-cert-file=" + files.ServingCert(),
		"--tls-private-key-file=" + files.ServingKey(),
		"--client-ca-file=" + files.CACert(),
		"--authorization-mode=RBAC",
		"--allow-privileged=true",
		"--service-cluster-ip-range=" + c.ServiceCIDR,
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-signing-key-file=" + files.ServiceAccountKey(),
		"--service-account-key-file=" + files.ServiceAccountKey(),
		"--kubelet-certificate-authority=" + files.CACert(),
		"--kubelet-client-certificate=" + files.KubeletClientCert(),
		"--kubelet-client-key=" + files.KubeletClientKey(),
		"--kubelet-preferred-address-types=InternalDNS,InternalIP",
		// There is no node lifecycle controller that would take the taint away again.
		"--disable-admission-plugins=TaintNodesByCondition",
		"--profiling=false",
	}
	if _, err := os.Stat(files.AuditPolicy()); err == nil {
		flags = append(flags, "--audit-policy-file="+files.AuditPolicy(), "--audit-log-path="+files.AuditLog())
	}
	return flags, nil
}

// controllers are those that the lab's objects need. Not among them: everything
// that watches nodes (the lab's nodes never fail by themselves), volumes, and
// signing.
func enabledControllers() []string {
	return []string{
		names.ClusterRoleAggregationController,
		names.CronJobController,
		names.DaemonSetController,
		names.DeploymentController,
		names.EndpointsController,
		names.EndpointSliceController,
		names.EndpointSliceMirroringController,
		names.GarbageCollectorController,
		names.JobController,
		names.NamespaceController,
		names.ReplicaSetController,
		names.ReplicationControllerController,
		names.RootCACertificatePublisherController,
		names.ServiceAccountController,
		names.ServiceAccountTokenController,
		names.ServiceCIDRController,
		names.StatefulSetController,
		names.TTLAfterFinishedController,
	}
}

func controllerFlags(files cluster.Files, c state.Cluster) []string {
	return []string{
		"--kubeconfig=" + files.ControllerManagerKubeconfig(),
		"--controllers=" + strings.Join(enabledControllers(), ","),
		"--leader-elect=false",
		"--secure-port=0",
		"--cluster-name=" + c.Context,
		"--cluster-cidr=" + c.PodCIDR,
		"--root-ca-file=" + files.CACert(),
		"--service-account-private-key-file=" + files.ServiceAccountKey(),
		// One machine, few objects: the default of 20 requests per second is what a
		// roll-out of some dozen pods would wait for.
		"--kube-api-qps=200",
		"--kube-api-burst=400",
	}
}
