package sender

import "time"

// batchTime is how long a batch should take.
const batchTime = 500 * time.Millisecond

// pace decides how many requests the next batch has, and how many batches are ordered ahead.
type pace struct {
	size    int  // of the next batch
	most    int  // a larger batch is not tried
	limited bool // bodies are large: the pod limits the output, and each request has its own process
	started bool // a batch has ended
}

func newPace(most int) pace { return pace{size: 1, most: most} }

// single makes every following batch a single request.
func (p *pace) single() { p.most, p.size = 1, 1 }

// window is how many batches may be ordered before the first of them has ended.
func (p *pace) window() int {
	if !p.started {
		return 1 // the first reply shows what to expect
	}
	return max(2, 32/max(1, p.size))
}

// ended learns from a batch that has ended: how many requests were ordered, how many of them were sent, and how long it took.
func (p *pace) ended(ordered, sent int, took time.Duration, failed bool) {
	per := took / time.Duration(max(1, sent))
	target := max(1, min(p.most, int(batchTime/max(per, time.Microsecond))))
	if failed {
		p.size = max(1, min(p.size/2, target))
	} else {
		p.size = min(max(1, p.size*4), target)
	}
	if sent < ordered {
		// The tool ends at the first error: do not order many more requests than it is likely to send.
		p.size = min(p.size, 2*max(1, sent))
	}
	if p.limited {
		p.size = 1
	}
}
