package judge

import (
	"fmt"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/stats"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
)

// judgeNoErrors judges errors=0%.
func judgeNoErrors(t *tally.Tally, ev Evidence, c Check) Check {
	c.Observed = ratio(t.Failed(), t.Requests)
	if t.Failed() > 0 {
		return c.end(Fail, "")
	}
	return ev.needAll(c.end(Pass, ""), ev.Dropped == 0)
}

// judgeErrors judges errors<1%. It passes only if that also holds when all requests that were not sent count as failed.
func (e Expectation) judgeErrors(t *tally.Tally, ev Evidence, c Check) Check {
	z := quantile(ev.Looks)
	ci := stats.WilsonAt(t.Failed(), t.Requests, z)
	c.Observed = fmt.Sprintf("%s, 95%% CI %s", ratio(t.Failed(), t.Requests), interval(ci))
	switch {
	case ci.High < e.value:
		return ev.needAll(c.end(Pass, ""), stats.WilsonAt(t.Failed()+ev.Dropped, t.Requests+ev.Dropped, z).High < e.value)
	case ci.Low >= e.value:
		return c.end(Fail, "")
	}
	share := float64(t.Failed()) / float64(t.Requests)
	c.Needs = stats.SampleSize(max(share, e.value/10), max(e.value-share, e.value/10), z)
	return c.tooFew(ev)
}

// needAll withdraws a verdict about the requests that were sent, unless it holds for those that were not sent, too.
func (ev Evidence) needAll(c Check, holds bool) Check {
	if holds {
		return c
	}
	return c.end(Inconclusive, sender.NotSent(ev.Dropped))
}
