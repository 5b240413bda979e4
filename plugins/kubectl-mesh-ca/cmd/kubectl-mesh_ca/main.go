// Command kubectl-mesh_ca is kubectl mesh-ca. kubectl finds it by this name, with the underscore.
package main

import (
	"context"
	"os"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/execplugin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/cmd"
)

func main() {
	ctx, release := execplugin.WithHost(cli.SignalContext(context.Background()))
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	code := cli.Main(ctx, cmd.NewRoot(streams), streams)
	release()
	os.Exit(code)
}
