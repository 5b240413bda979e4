package sender

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tool"
)

// Schedule is how a run kept its schedule. It is empty if the run had none.
type Schedule struct {
	// Lags are how much later than planned the requests started.
	Lags []time.Duration
	// Late counts the requests that started later than an interval plus 50 ms. Dropped counts those that were not sent, because too
	// many others were under way or waited for the pod to start them.
	Late, Dropped int
}

// LateAfter is the longest lag of a request that is in time, if rate requests are to start per second: an interval plus 50 ms. It is 0 without a rate.
func LateAfter(rate float64) time.Duration {
	if rate <= 0 {
		return 0
	}
	return time.Duration(float64(time.Second)/rate) + lateness
}

// Overload says that not every request can be sent if replies hang until Timeout: Rate times Timeout of them are under way then. It is empty if they
// can. requests is how many the run has at most.
func (c Config) Overload(requests int) string {
	flying := min(c.Rate*c.Timeout.Seconds(), float64(requests))
	if !c.Schedule || flying <= maxFlying {
		return ""
	}
	return fmt.Sprintf("--rate %v --timeout %s: if replies hang, %.0f requests are under way at once, and at most %d can be; the others are not sent", c.Rate, c.Timeout, flying, maxFlying)
}

// LessLoad is how a user avoids an overload.
const LessLoad = "use a shorter --timeout or a lower --rate"

// NotSent says why there is no verdict about the requests of a schedule, if n of them were not sent.
func NotSent(n int) string {
	return fmt.Sprintf("%d requests were not sent, and it is unknown how they would have ended; %s", n, LessLoad)
}

// Planned is the number of requests that the schedule had, except those without a result.
func (s Schedule) Planned() int { return len(s.Lags) + s.Dropped }

// Kept is the number of requests that started in time.
func (s Schedule) Kept() int { return len(s.Lags) - s.Late }

// Join adds a second run to this one.
func (s Schedule) Join(second Schedule) Schedule {
	return Schedule{Lags: slices.Concat(s.Lags, second.Lags), Late: s.Late + second.Late, Dropped: s.Dropped + second.Dropped}
}

// warning says that the pod did not keep the rate. It is empty if the pod did.
func (s Schedule) warning(cfg Config) string {
	if s.Late+s.Dropped == 0 {
		return ""
	}
	text := fmt.Sprintf("the pod kept %d of %d requests (%.2f%% fell behind) of --rate %v: %d started late, by more than an interval plus %s",
		s.Kept(), s.Planned(), 100*float64(s.Late+s.Dropped)/float64(s.Planned()), cfg.Rate, s.Late, lateness)
	if s.Dropped > 0 {
		text += fmt.Sprintf(", and %d were not sent, because %d others were under way or the pod was more than %s behind", s.Dropped, maxFlying, maxBehind)
		if cfg.Rate*cfg.Timeout.Seconds() > maxFlying {
			return text + "; " + LessLoad
		}
	}
	return text + "; use a lower --rate"
}

// countDue hands on a reply of the schedule.
func (r *runs) countDue(one reply.Reply, late bool) {
	r.mu.Lock()
	r.res.Schedule.Lags = append(r.res.Schedule.Lags, one.Lag)
	if late {
		r.res.Schedule.Late++
	}
	r.mu.Unlock()
	r.count(one)
}

// drop counts requests of the schedule that were not sent.
func (r *runs) drop(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.res.Schedule.Dropped += n
}

// notes are the warnings about the replies of a stream, each once.
type notes map[string]bool

func (n notes) add(format string, args ...any) { n[fmt.Sprintf(format, args...)] = true }

// about adds what one reply shows about all.
func (n notes) about(t tool.Traits, one reply.Reply) {
	if one.Redirected {
		n.add("the Service replies with redirects, and %s follows them: each hop is a connection of its own, and the last reply is counted", t.Name)
	}
}

func (n notes) list() []string { return slices.Collect(maps.Keys(n)) }
