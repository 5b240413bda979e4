package tally

// maxBlocks is how many blocks are kept. When they are full, each two neighbours become one.
const maxBlocks = 64

// parts counts the attributed replies in the order of their arrival, in blocks of equal size. It needs the same memory for any run.
type parts struct {
	blocks []map[string]int
	size   int // replies in each full block
	last   int // replies in the last block
}

func (p *parts) add(name string) {
	if p.size == 0 {
		p.size = 1
	}
	if len(p.blocks) == 0 || p.last == p.size {
		if len(p.blocks) == maxBlocks {
			p.merge()
		}
		p.blocks, p.last = append(p.blocks, map[string]int{}), 0
	}
	p.blocks[len(p.blocks)-1][name]++
	p.last++
}

// merge joins each two neighbours.
func (p *parts) merge() {
	for i := range maxBlocks / 2 {
		joined := p.blocks[2*i]
		for name, n := range p.blocks[2*i+1] {
			joined[name] += n
		}
		p.blocks[i] = joined
	}
	clear(p.blocks[maxBlocks/2:])
	p.blocks, p.size, p.last = p.blocks[:maxBlocks/2], 2*p.size, 2*p.size
}

// Parts returns the attributed replies of the run in n parts of about the same size, in the order of their arrival, by name. Replies that
// were attributed later are not in it. It returns nil if there are fewer than n replies.
func (t *Tally) Parts(n int) []map[string]int {
	blocks := t.parts.blocks
	if len(blocks) < n {
		return nil
	}
	out := make([]map[string]int, n)
	for i := range out {
		out[i] = map[string]int{}
		for _, b := range blocks[i*len(blocks)/n : (i+1)*len(blocks)/n] {
			for name, count := range b {
				out[i][name] += count
			}
		}
	}
	return out
}
