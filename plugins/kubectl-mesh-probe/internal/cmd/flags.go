package cmd

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/podexec"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/target"
)

// flags are what the user typed.
type flags struct {
	from         string
	fromClusters []string
	container    string

	count       int
	countGiven  bool // --count was typed
	maxCount    int  // 0 means maxCountDefault, or --count if that was typed
	duration    time.Duration
	rate        float64
	maxRate     float64
	concurrency int
	timeout     time.Duration
	method      string
	headers     []string
	tool        string
	insecure    bool
	caCert      string
	allowHeader bool

	identify string
	mappings []string

	expect           []string
	expectPrediction bool
	settle           time.Duration
}

// bodyLimit is how much of a body is searched.
const bodyLimit = 16 << 10

// maxCountDefault is the number of requests up to which a run is extended while a check needs more.
const maxCountDefault = 10000

func newFlags() *flags {
	return &flags{count: 400, maxRate: 200, concurrency: 1, timeout: 5 * time.Second, method: "GET", tool: "auto", identify: "auto"}
}

// addFlags registers the flags.
func (f *flags) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&f.from, "from", f.from, "Client pod, as TYPE/NAME (deploy, sts, ds, rs, job, svc) or a pod's name.")
	fs.StringSliceVar(&f.fromClusters, "from-clusters", f.fromClusters, "Clusters in which a client pod sends requests, by Cilium name or context, or 'all'. Defaults to the home cluster.")
	fs.StringVarP(&f.container, "container", "c", f.container, "Container of the client pod. Defaults to the container that kubectl exec chooses.")
	fs.IntVar(&f.count, "count", f.count, "Number of requests from each client pod.")
	fs.IntVar(&f.maxCount, "max-count", f.maxCount, "Number of requests up to which a run is extended while a check needs more of them. Defaults to 10000, or to --count if that is set.")
	fs.DurationVar(&f.duration, "duration", f.duration, "How long to send requests. Replaces --count.")
	fs.Float64Var(&f.rate, "rate", f.rate, "Requests per second from each client pod. Defaults to --max-rate.")
	fs.Float64Var(&f.maxRate, "max-rate", f.maxRate, "Maximum of requests per second from each client pod. 0 means unlimited.")
	fs.IntVar(&f.concurrency, "concurrency", f.concurrency, "Number of exec streams to each client pod, from 1 to 8.")
	fs.DurationVar(&f.timeout, "timeout", f.timeout, "Time limit of one request.")
	fs.StringVar(&f.method, "method", f.method, "HTTP method. Must be one of: GET, HEAD.")
	fs.StringArrayVarP(&f.headers, "header", "H", f.headers, "Header to send with each request, as 'Name: value' (repeatable).")
	fs.StringVar(&f.tool, "tool", f.tool, "Program in the pod that sends the requests. Must be one of: auto, curl, wget.")
	fs.BoolVar(&f.insecure, "insecure", f.insecure, "If true, the client does not verify the server's certificate (https only).")
	fs.StringVar(&f.caCert, "cacert", f.caCert, "Local file with CA certificates in PEM form. The client uses them to verify the server's certificate (https only).")
	fs.BoolVar(&f.allowHeader, "allow-visible-headers", f.allowHeader, "If true, wget may send secret headers. The process list of the client pod then shows them.")
	fs.StringVar(&f.identify, "identify", f.identify, "How to identify the cluster that answered, by the headers and the first 16 KiB of the body. Must be one of: auto (names and addresses of pods, nodes and clusters), body=REGEX with one group, header=NAME, json=PATH.")
	fs.StringArrayVar(&f.mappings, "map", f.mappings, "VALUE=CLUSTER: the cluster that a captured value refers to (repeatable).")
	fs.StringArrayVar(&f.expect, "expect", f.expect, "Expected result, such as us=50%, eu=50%±3, only=us or errors<1% (repeatable, or separated by commas).")
	fs.BoolVar(&f.expectPrediction, "expect-prediction", f.expectPrediction, "If true, check that the shares are those that mesh-svc describe predicts.")
	fs.DurationVar(&f.settle, "settle", f.settle, "Wait until the prediction has been stable for this long, then start.")
}

// config checks the flags and returns what they ask for. It needs no cluster.
func (f flags) config(target string, mesh *clusters.Flags) (probe.Config, error) {
	c, err := f.checked(target)
	c.Mesh, c.ClusterTimeout = mesh, mesh.Timeout
	return c, err
}

func (f flags) checked(typed string) (probe.Config, error) {
	if f.from == "" {
		return probe.Config{}, errors.New("--from is required: the client pod, such as --from deploy/client")
	}
	ref, err := podexec.ParseRef(f.from)
	if err != nil {
		return probe.Config{}, fmt.Errorf("--from %w", err)
	}
	url, err := parseTarget(typed)
	if err != nil {
		return probe.Config{}, err
	}
	f.method = strings.ToUpper(f.method)
	if f.maxCount > 0 && !f.countGiven {
		f.count = min(f.count, f.maxCount)
	}
	if err := f.validate(); err != nil {
		return probe.Config{}, err
	}
	send, err := f.send(url)
	if err != nil {
		return probe.Config{}, err
	}
	// The names of clusters are checked when the members are known. The rest is checked now.
	if _, err := origin.Parse(f.identify, nil, nil); err != nil {
		return probe.Config{}, err
	}
	mappings, err := origin.ParseMappings(f.mappings)
	if err != nil {
		return probe.Config{}, err
	}
	if _, err := judge.ParseExpectations(f.expect, nil, true); err != nil {
		return probe.Config{}, err
	}
	return probe.Config{
		Clients: probe.Clients{From: ref, Container: f.container, Clusters: f.fromClusters}, Target: typed, URL: url, Send: send, MaxCount: f.most(),
		Identify: f.identify, Map: mappings, Expect: f.expect, ExpectPrediction: f.expectPrediction, Settle: f.settle,
	}, nil
}

// parseTarget checks a URL or SERVICE[:PORT]. It returns nil for a Service.
func parseTarget(typed string) (*request.Target, error) {
	if !strings.Contains(typed, "://") && !strings.ContainsAny(typed, "\r\n\x00") {
		_, _, err := target.SplitService(typed)
		return nil, err
	}
	url, err := request.ParseTarget(typed)
	if err != nil {
		return nil, err
	}
	return &url, nil
}

// send is what each client pod sends.
func (f flags) send(url *request.Target) (sender.Config, error) {
	c := sender.Config{
		Request: request.Request{
			Method: f.method, UserAgent: "kubectl-mesh-probe/" + userAgentVersion(), Timeout: f.timeout, Insecure: f.insecure, AllowVisibleHeaders: f.allowHeader,
		},
		Count: f.count, Duration: f.duration, Rate: f.maxRate, Streams: f.concurrency, Tool: f.tool, BodyLimit: bodyLimit,
	}
	if f.rate > 0 {
		c.Rate = f.rate
	}
	if f.duration > 0 {
		c.Count = 0
	}
	for _, h := range f.headers {
		header, err := request.ParseHeader(h)
		if err != nil {
			return c, fmt.Errorf("--%w", err)
		}
		c.Headers = append(c.Headers, header)
	}
	var err error
	c.CACert, err = f.readCACert(url)
	return c, err
}

// most is the number of requests up to which a run may be extended.
func (f flags) most() int {
	switch {
	case f.duration > 0:
		return 0
	case f.maxCount == 0 && f.countGiven:
		return f.count
	case f.maxCount == 0:
		return max(f.count, maxCountDefault)
	}
	return f.maxCount
}

func (f flags) validate() error {
	switch {
	case f.maxCount < 0:
		return errors.New("--max-count must be at least 1")
	case f.maxCount > 0 && f.duration > 0:
		return errors.New("--max-count and --duration cannot be used together")
	case f.maxCount > 0 && f.duration == 0 && f.maxCount < f.count:
		return fmt.Errorf("--max-count %d must be at least --count %d", f.maxCount, f.count)
	case f.duration < 0:
		return errors.New("--duration must be greater than 0")
	case math.IsNaN(f.rate), math.IsNaN(f.maxRate):
		return errors.New("--rate and --max-rate must be numbers")
	case f.duration == 0 && f.count < 1:
		return errors.New("--count must be at least 1")
	case f.rate < 0, f.maxRate < 0:
		return errors.New("--rate and --max-rate must not be negative")
	case f.maxRate > 0 && f.rate > f.maxRate:
		return fmt.Errorf("--rate %v is above the limit of %v requests per second; raise it with --max-rate", f.rate, f.maxRate)
	case f.concurrency < 1 || f.concurrency > 8:
		return errors.New("--concurrency must be from 1 to 8, because each stream is a connection through the API server")
	case f.timeout < 100*time.Millisecond || f.timeout > 10*time.Minute:
		return errors.New("--timeout must be from 100ms to 10m")
	case f.method != "GET" && f.method != "HEAD":
		return fmt.Errorf("--method %s: must be GET or HEAD, which change nothing", f.method)
	case !slices.Contains([]string{"auto", "curl", "wget"}, f.tool):
		return fmt.Errorf("--tool %q: must be auto, curl or wget", f.tool)
	case f.settle < 0:
		return errors.New("--settle must not be negative")
	case f.identify == "auto" && len(f.mappings) > 0:
		return errors.New("--map requires a rule that captures a value: --identify body=REGEX, header=NAME or json=PATH")
	case slices.Contains(f.fromClusters, "all") && len(f.fromClusters) > 1:
		return errors.New("--from-clusters: all cannot be combined with names of clusters")
	}
	return nil
}

// readCACert reads the file of --cacert. --cacert and --insecure require an https URL. A Service is called by http.
func (f flags) readCACert(url *request.Target) ([]byte, error) {
	flag := "--insecure"
	if f.caCert != "" {
		flag = "--cacert"
	}
	switch {
	case f.caCert == "" && !f.insecure:
		return nil, nil
	case f.caCert != "" && f.insecure:
		return nil, errors.New("--cacert and --insecure cannot be used together: --cacert verifies the server's certificate, --insecure does not")
	case url == nil:
		return nil, fmt.Errorf("%s requires an https URL, such as https://SERVICE; a Service without a scheme is called by http", flag)
	case !url.TLS():
		return nil, fmt.Errorf("%s requires an https URL; %s is http", flag, url)
	case f.caCert == "":
		return nil, nil
	}
	data, err := os.ReadFile(f.caCert)
	if err != nil {
		return nil, fmt.Errorf("--cacert: %w", err)
	}
	certs, err := request.ParseCACert(data)
	if err != nil {
		return nil, fmt.Errorf("--cacert %s: %w", f.caCert, err)
	}
	return certs, nil
}

// userAgentVersion is the version of the plugin as one word.
func userAgentVersion() string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-+", r) {
			return r
		}
		return -1
	}, cli.BuildInfo().Version)
}
