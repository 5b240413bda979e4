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
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tool"
)

// flags are what the user typed.
type flags struct {
	from         string
	fromClusters []string
	container    string
	clients      clientFlags

	count       int
	countGiven  bool // --count was typed
	maxCount    int  // 0 means maxCountDefault, or --count if that was typed
	duration    time.Duration
	rate        float64
	maxRate     float64
	concurrency int
	timeout     time.Duration
	tcp         bool
	method      string
	data        string
	dataGiven   bool // --data was typed
	resolve     string
	headers     []string
	tool        string
	insecure    bool
	caCert      string
	allowHeader bool

	identify string
	mappings []string

	expect           []string
	expectPrediction bool
	abortOn          string
	settle           time.Duration
	witness          string
}

// bodyLimit is how much of a body is searched.
const bodyLimit = 16 << 10

// rateUsage describes --rate, which a drill has too.
const rateUsage = "Requests per second from each client pod, on a fixed schedule (open loop): each request starts on time, even if earlier ones have not ended."

// minRate is one request in a minute and 40 seconds.
const minRate = 0.01

// maxCountDefault is the number of requests up to which a run is extended while a check needs more.
const maxCountDefault = 10000

func newFlags() *flags {
	return &flags{count: 400, maxRate: 200, concurrency: 1, timeout: 5 * time.Second, method: "GET", tool: "auto", identify: "auto", clients: clientFlags{startTimeout: startTimeoutDefault}}
}

func (f *flags) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&f.from, "from", f.from, "Client pod, which sends the requests: TYPE/NAME, or the name of a pod. TYPE must be one of: deploy, sts, ds, rs, job, svc, pod. Required.")
	fs.StringSliceVar(&f.fromClusters, "from-clusters", f.fromClusters, "Clusters in which a client pod sends requests, by Cilium name or context, or 'all'. Defaults to the cluster of the current context, or else to the first cluster of --contexts.")
	fs.StringVarP(&f.container, "container", "c", f.container, "Container of the client pod. Defaults to the container that kubectl exec chooses.")
	f.clients.addFlags(fs)
	fs.IntVar(&f.count, "count", f.count, "Number of requests from each client pod to each URL. A check that needs more requests extends the run, up to --max-count.")
	fs.IntVar(&f.maxCount, "max-count", f.maxCount, "Maximum number of requests from each client pod to each URL, if a check needs more than --count. Defaults to 10000, or to --count if that is set. Cannot be used with --duration.")
	fs.DurationVar(&f.duration, "duration", f.duration, "How long to send requests. Cannot be used with --count.")
	fs.Float64Var(&f.rate, "rate", f.rate, rateUsage+" With several URLs, this is the rate to each of them. Without --rate, requests follow one another, at most --max-rate per second.")
	fs.Float64Var(&f.maxRate, "max-rate", f.maxRate, "Maximum number of requests per second from each client pod to each URL. 0 means unlimited.")
	fs.IntVar(&f.concurrency, "concurrency", f.concurrency, "Number of exec streams to each client pod for each URL, from 1 to 8. They send in parallel, and share --count and the rate.")
	fs.DurationVar(&f.timeout, "timeout", f.timeout, "Time limit of one request.")
	fs.BoolVar(&f.tcp, "tcp", f.tcp, "If true, only open a connection to HOST:PORT or SERVICE[:PORT] and send nothing, for a Service that does not speak HTTP. The URL tcp://HOST:PORT does the same.")
	fs.StringVar(&f.method, "method", f.method, "HTTP method. Must be one of: GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE. A method that changes something on the server changes it with every request.")
	fs.StringVar(&f.data, "data", f.data, "Body of each request, or @FILE for the content of a local file (curl only; with POST, PUT, PATCH or DELETE).")
	fs.StringVar(&f.resolve, "resolve", f.resolve, "Connect to ADDRESS instead of looking up the host of the URL, as HOST:PORT:ADDRESS (curl only). All URLs must have this host and port.")
	fs.StringArrayVarP(&f.headers, "header", "H", f.headers, "Header to send with each request, as 'Name: value' (repeatable).")
	fs.StringVar(&f.tool, "tool", f.tool, "Program in the pod that sends the requests. Must be one of: auto, curl, wget; with --tcp: auto, bash, nc, curl.")
	fs.BoolVar(&f.insecure, "insecure", f.insecure, "If true, the client does not verify the server's certificate (https only).")
	fs.StringVar(&f.caCert, "cacert", f.caCert, "Local file with CA certificates in PEM form. The client uses them to verify the server's certificate (https only).")
	fs.BoolVar(&f.allowHeader, "allow-visible-headers", f.allowHeader, "If true, wget may send secret headers, which the process list of the client pod then shows. All headers count as secret, except Host, Accept*, User-Agent and Content-Type.")
	fs.StringVar(&f.identify, "identify", f.identify, "How to identify the cluster that answered, by the headers and the first 16 KiB of the body. Must be one of: auto (names and addresses of pods, nodes and clusters), body=REGEX with one group, header=NAME, json=PATH.")
	fs.StringArrayVar(&f.mappings, "map", f.mappings, "Cluster that a value captured by --identify refers to, as VALUE=CLUSTER (repeatable). Requires --identify body=, header= or json=.")
	fs.StringArrayVar(&f.expect, "expect", f.expect, "Expected result, such as us=50%, eu=50%±3, us>40%, only=us, errors<1%, p99<250ms, p99(eu)<400ms or failover<2s (repeatable, or separated by commas). With several URLs, 2:us=50% applies to the second one only. Quote < and > for the shell.")
	fs.StringVar(&f.abortOn, "abort-on", f.abortOn, "End the run as soon as it is certain that too many requests fail, such as 'errors>5%'. The run then has a failed check.")
	fs.BoolVar(&f.expectPrediction, "expect-prediction", f.expectPrediction, "If true, check that the shares are those that mesh-svc describe predicts, and that no request fails.")
	fs.StringVar(&f.witness, "witness", f.witness, "Also read the backend tables of the Cilium agents on the clients' nodes, and check which layer differs from the prediction. Must be: agents.")
	fs.DurationVar(&f.settle, "settle", f.settle, "Wait until the prediction has been stable for this long, then start.")
}

// config checks the flags and returns what they ask for. It needs no cluster.
func (f flags) config(typed []string, mesh *clusters.Flags) (probe.Config, error) {
	c, err := f.checked(typed...)
	c.Mesh, c.ClusterTimeout = mesh, mesh.Timeout
	return c, err
}

func (f flags) checked(typed ...string) (probe.Config, error) {
	if f.from == "" {
		return probe.Config{}, errors.New("--from is required: the client pod, such as --from deploy/client")
	}
	ref, err := podexec.ParseRef(f.from)
	if err != nil {
		return probe.Config{}, fmt.Errorf("--from %w", err)
	}
	targets, err := f.parseTargets(typed)
	if err != nil {
		return probe.Config{}, err
	}
	f.tcp = f.tcp || targets[0].URL != nil && targets[0].URL.TCP()
	f.method = strings.ToUpper(f.method)
	if f.maxCount > 0 && !f.countGiven {
		f.count = min(f.count, f.maxCount)
	}
	if err := f.validate(); err != nil {
		return probe.Config{}, err
	}
	send, err := f.send(targets)
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
	expect, err := judge.SplitByURL(f.expect, len(targets))
	if err != nil {
		return probe.Config{}, err
	}
	for _, one := range expect {
		if _, err := judge.ParseExpectations(one, nil, true); err != nil {
			return probe.Config{}, err
		}
	}
	if _, err := judge.ParseAbortOn(f.abortOn); err != nil {
		return probe.Config{}, err
	}
	clients := probe.Clients{From: ref, Container: f.container, Clusters: f.fromClusters}
	if err := f.clients.apply(&clients); err != nil {
		return probe.Config{}, err
	}
	return probe.Config{
		AbortOn: f.abortOn, Clients: clients, Targets: targets, TCP: f.tcp, Send: send, MaxCount: f.most(),
		Identify: f.identify, Map: mappings, Expect: f.expect, ExpectPrediction: f.expectPrediction, Settle: f.settle, WitnessAgents: f.witness == "agents",
	}, nil
}

// send is what each client pod sends to each target.
func (f flags) send(targets []probe.Target) (sender.Config, error) {
	method := f.method
	if f.tcp {
		method = ""
	}
	c := sender.Config{
		Request: request.Request{
			Method: method, UserAgent: "kubectl-mesh-probe/" + userAgentVersion(), Timeout: f.timeout, Insecure: f.insecure, AllowVisibleHeaders: f.allowHeader,
		},
		Count: f.count, Duration: f.duration, Rate: f.maxRate, Streams: f.concurrency, Tool: f.tool, BodyLimit: bodyLimit,
	}
	if f.rate > 0 {
		c.Rate, c.Schedule = f.rate, true
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
	if c.Data, err = f.readData(); err != nil {
		return c, err
	}
	if c.Resolve, err = f.readResolve(targets); err != nil {
		return c, err
	}
	c.CACert, err = f.readCACert(targets)
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
	case f.countGiven && f.duration > 0:
		return errors.New("--count and --duration cannot be used together")
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
	case f.rate > 0 && f.rate < minRate:
		return fmt.Errorf("--rate %v: must be at least %v", f.rate, minRate)
	case f.maxRate > 0 && f.rate > f.maxRate:
		return fmt.Errorf("--rate %v is above the limit of %v requests per second; raise it with --max-rate", f.rate, f.maxRate)
	case f.concurrency < 1 || f.concurrency > 8:
		return errors.New("--concurrency must be from 1 to 8, because each stream is a connection through the API server")
	case f.timeout < 100*time.Millisecond || f.timeout > 10*time.Minute:
		return errors.New("--timeout must be from 100ms to 10m")
	case !slices.Contains(request.Methods, f.method):
		return fmt.Errorf("--method %s: must be one of: %s", f.method, strings.Join(request.Methods, ", "))
	case f.tcp && len(f.onlyHTTP()) > 0:
		return fmt.Errorf("%s cannot be used with --tcp, which opens a connection and sends nothing", strings.Join(f.onlyHTTP(), ", "))
	case f.tcp && !slices.Contains([]string{"auto", tool.Bash, "nc", "curl"}, f.tool):
		return fmt.Errorf("--tool %q: must be auto, bash, nc or curl with --tcp", f.tool)
	case !f.tcp && !slices.Contains([]string{"auto", "curl", "wget"}, f.tool):
		return fmt.Errorf("--tool %q: must be auto, curl or wget", f.tool)
	case f.witness != "" && f.witness != "agents":
		return fmt.Errorf("--witness %q: must be agents", f.witness)
	case f.settle < 0:
		return errors.New("--settle must not be negative")
	case f.identify == "auto" && len(f.mappings) > 0:
		return errors.New("--map requires a rule that captures a value: --identify body=REGEX, header=NAME or json=PATH")
	case slices.Contains(f.fromClusters, "all") && len(f.fromClusters) > 1:
		return errors.New("--from-clusters: all cannot be combined with names of clusters")
	}
	return nil
}

// readCACert reads the file of --cacert. --cacert and --insecure require https URLs. A Service is called by http.
func (f flags) readCACert(targets []probe.Target) ([]byte, error) {
	flag := "--insecure"
	if f.caCert != "" {
		flag = "--cacert"
	}
	switch {
	case f.caCert == "" && !f.insecure:
		return nil, nil
	case f.caCert != "" && f.insecure:
		return nil, errors.New("--cacert and --insecure cannot be used together: --cacert verifies the server's certificate, --insecure does not")
	}
	for _, t := range targets {
		switch {
		case t.URL == nil:
			return nil, fmt.Errorf("%s requires an https URL, such as https://SERVICE; a Service without a scheme is called by http", flag)
		case !t.URL.TLS():
			return nil, fmt.Errorf("%s requires an https URL; %s is http", flag, t.URL)
		}
	}
	if f.caCert == "" {
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
